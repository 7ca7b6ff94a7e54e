"""Who is told what, when, and why not: encounters, updates, quiet hours, cooldowns, budgets, digests, escalation."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.alerts.desk import AlertSettings
from edge.alerts.people import Recipient
from edge.alerts.rules import Rule
from edge.clock import SteppedClock
from edge.errors import NotifyError
from edge.model import AgentFacts
from edge.store import encounters, notices
from tests.alert_rig import FELIDAE, JAGUAR, PUMA, Rig, animal, person

NIGHT = datetime(2026, 11, 22, 7, 14, tzinfo=UTC)  # 02:14 in Bogotá
BOGOTA = "America/Bogota"
CATS = Rule(name="cats", taxon="Felidae", channels=("mail",))
AGENT = AgentFacts("b", 1, 1, 5.0, "ok")


@pytest.fixture
def site(tmp_path):
    made = []

    def make(*rules, **options):
        options = {"clock": SteppedClock(NIGHT), "timezone": BOGOTA, "stations": {}} | options
        made.append(Rig(tmp_path, rules or (CATS,), **options))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


def ana(**fields):
    return Recipient(**{"name": "ana", "reach": {"mail": "ana@example.org", "sms": "+573001234567"}} | fields)


def to_ana(**fields):
    return Rule(**{"name": "cats", "taxon": "Felidae", "to": ("ana",)} | fields)


def with_ana(site, *rules, **fields):
    return site(*(rules or (to_ana(),)), recipients=(ana(**fields),), channels=("mail", "sms"))


def test_a_herd_before_the_lens_is_one_encounter_and_three_messages_at_most(site):
    rig = site()
    for number in range(400):
        rig.see(animal(FELIDAE if number < 100 else JAGUAR, side=0.2 + 0.0015 * number))
        rig.clock.step(0.3)
        if number % 10 == 0:
            rig.send()
    rig.live(900)

    inbox = rig.inboxes["mail"]
    assert 2 <= len(inbox.got) <= 3
    assert len({notice.thread for notice in inbox.got}) == 1
    assert [notice.kind for notice in inbox.got] == ["alert"] + ["update"] * (len(inbox.got) - 1)


def test_an_update_tells_a_finer_name_or_a_closer_picture_and_nothing_is_repeated(site):
    rig = site()
    rig.see(animal(FELIDAE))
    rig.send()
    rig.clock.step(20)
    rig.see(animal(FELIDAE, side=0.31))  # nothing new
    rig.see(animal(JAGUAR))  # a finer name
    rig.live(120)
    rig.see(animal(JAGUAR, side=0.8))  # much closer
    rig.live(120)
    rig.see(animal(JAGUAR, side=0.95))  # a third update would be too many
    rig.live(400)

    told = [(notice.kind, notice.words.fields["what"], notice.alert.frame_id) for notice in rig.inboxes["mail"].got]
    assert told == [("alert", "Cat", "f1"), ("update", "Jaguar", "f3"), ("update", "Jaguar", "f4")]


def test_what_waits_shows_the_best_that_came_in_the_meantime(site):
    rig = site()
    mail = rig.inboxes["mail"]
    mail.failures = [NotifyError("down")]
    rig.see(animal(FELIDAE, side=0.2))
    rig.send()
    rig.see(animal(JAGUAR, side=0.5))
    rig.live(60)

    assert [(notice.kind, notice.alert.frame_id) for notice in mail.got] == [("alert", "f2")]


def test_two_kinds_are_two_encounters_and_so_is_one_after_a_gap(site):
    rig = site(CATS, Rule(name="people", category="person", channels=("mail",)))
    rig.see(animal(JAGUAR), person())
    rig.clock.step(60)
    rig.see(animal(PUMA))
    rig.clock.step(11 * 60)
    rig.see(animal(JAGUAR))
    rig.send()

    assert len({notice.thread for notice in rig.inboxes["mail"].got}) == 4


def test_two_rules_are_one_message_to_one_addressee_and_the_severer_speaks(site):
    jaguars = Rule(name="jaguars", taxon="Panthera onca", channels=("mail",), severity="critical")
    rig = site(CATS, jaguars)
    rig.see(animal(JAGUAR))
    rig.send()

    (notice,) = rig.inboxes["mail"].got
    assert (notice.severity, notice.alert.rule) == ("critical", "jaguars")


@pytest.mark.parametrize(
    ("late", "agent", "told"),
    [
        (timedelta(minutes=29), None, True),
        (timedelta(minutes=31), None, False),
        (timedelta(minutes=31), AGENT, False),
        (timedelta(days=300), None, False),
        (timedelta(days=300), AGENT, True),  # no backlog is so old: its clock is wrong, and it is live
        (-timedelta(days=300), AGENT, True),
        (-timedelta(days=300), None, False),
    ],
)
def test_what_comes_late_is_told_in_the_digest_and_never_as_if_it_were_live(site, late, agent, told):
    rig = site()
    rig.see(animal(JAGUAR), late=late, agent=agent)
    sent = rig.send()
    at_once = [notice.kind for notice in rig.inboxes["mail"].got]
    rig.live(24 * 3600, every_s=600)

    assert (sent, at_once) == ((1, ["alert"]) if told else (0, []))
    kinds = [notice.kind for notice in rig.inboxes["mail"].got]
    assert kinds == (["alert"] if told else ["digest"])


def test_a_live_frame_of_an_encounter_that_a_backlog_began_is_told(site):
    rig = site()
    rig.see(animal(JAGUAR), late=timedelta(minutes=35))
    for _ in range(5):
        rig.clock.step(60)
        rig.see(animal(JAGUAR), late=timedelta(minutes=30 - 6 * _))
    rig.send()

    assert [notice.kind for notice in rig.inboxes["mail"].got] == ["alert"]


def test_quiet_hours_wait_for_the_digest_and_what_is_critical_comes_through(site):
    hunters = to_ana(name="hunters", taxon=(), category="person", severity="critical")
    rig = with_ana(site, to_ana(), hunters, quiet={"hours": ["21:00-06:00"]}, timezone=BOGOTA)
    rig.see(animal(JAGUAR))
    rig.see(person())
    rig.send()
    at_night = rig.inboxes["mail"].headlines
    rig.live(6 * 3600, every_s=300)

    assert len(at_night) == 1
    assert at_night[0].startswith("Person")
    digest = rig.inboxes["mail"].got[-1]
    assert (digest.kind, len(rig.inboxes["mail"].got)) == ("digest", 2)
    assert digest.words.rows == (("2026-11-22 02:14 ridge", "Jaguar, 90% – quiet hours"),)
    assert digest.words.headline.endswith(": 1 sighting")
    assert [row.state for row in rig.rows()] == ["digested", "sent", "sent"]


def test_a_message_that_failed_in_the_evening_does_not_ring_at_night(site):
    evening = SteppedClock(datetime(2026, 11, 23, 1, 55, tzinfo=UTC))  # 20:55
    rig = site(to_ana(), recipients=(ana(quiet={"hours": ["21:00-06:00"]}),), channels=("mail", "sms"), clock=evening)
    rig.inboxes["mail"].failures = [NotifyError("down")] * 6
    rig.see(animal(JAGUAR))
    rig.send()
    rig.live(3 * 3600)

    assert rig.inboxes["mail"].got == []
    assert rig.states() == [("ana/mail", "digest", "quiet")]


def test_a_cooldown_is_charged_by_what_was_sent_and_by_nothing_else(site):
    rig = site(CATS.model_copy(update={"cooldown_min": 60.0}), settings=AlertSettings(gap=timedelta(minutes=1)))
    mail = rig.inboxes["mail"]
    rig.see(animal(JAGUAR), late=timedelta(hours=2))  # filtered: too old
    rig.see(animal())  # filtered: no cat
    mail.failures = [NotifyError("down")] * 2
    rig.clock.step(120)
    rig.see(animal(JAGUAR))
    rig.send()  # failed: nothing is charged
    rig.live(300)
    first = list(mail.got)
    rig.see(animal(JAGUAR))
    rig.send()
    rig.live(50 * 60)
    rig.see(animal(JAGUAR))
    rig.live(20 * 60)

    assert len(first) == 1
    assert [state for _who, state, _why in rig.states()] == ["digest", "sent", "digest", "digest"]
    assert [why for _who, _state, why in rig.states()] == ["late", "", "cooldown", "cooldown"]
    rig.see(animal(JAGUAR))
    assert rig.send() == 1


def test_no_more_than_the_days_number_and_the_rest_in_the_digest(site):
    rig = with_ana(site, per_day=3, timezone=BOGOTA)
    for _ in range(8):
        rig.see(animal(JAGUAR))
        rig.clock.step(20 * 60)
        rig.send()
    today = len(rig.inboxes["mail"].got)
    rig.live(24 * 3600, every_s=600)
    kinds = [notice.kind for notice in rig.inboxes["mail"].got]

    assert today == 3
    assert kinds == ["alert"] * 3 + ["digest"]
    assert len(rig.inboxes["mail"].got[-1].words.rows) == 5
    rig.see(animal(JAGUAR))
    assert rig.send() == 1, "a new day, a new budget"


def test_an_escalation_goes_on_until_somebody_answers(site):
    steps = [{"after_min": 15, "to": ["ana/sms"]}, {"after_min": 30, "to": ["beto"]}]
    beto = Recipient(name="beto", reach={"sms": "+573009999999"}, language="es")
    rig = site(to_ana(severity="critical", escalate=steps), recipients=(ana(), beto), channels=("mail", "sms"))
    rig.see(animal(JAGUAR))
    rig.send()
    rig.live(16 * 60)
    told = rig.inboxes["sms"].got
    with rig.store.transaction() as connection:
        encounter = encounters.by_code(connection, told[0].code)
        encounters.acknowledge(connection, encounter.pk, by="ana", now=rig.clock.now())
    rig.live(30 * 60)

    assert [(notice.to, notice.thread) for notice in told] == [("+573001234567", rig.inboxes["mail"].got[0].thread)]
    assert rig.states()[-1] == ("beto/sms", "dropped", "acknowledged")


def test_an_escalation_that_nobody_answers_reaches_everybody_in_their_language(site):
    steps = [{"after_min": 15, "to": ["ana/sms"]}, {"after_min": 30, "to": ["beto"]}]
    beto = Recipient(name="beto", reach={"sms": "+573009999999"}, language="es")
    rig = site(to_ana(escalate=steps), recipients=(ana(), beto), channels=("mail", "sms"))
    rig.see(animal(person().category and FELIDAE))
    rig.live(40 * 60)

    assert [notice.words.fields["what"] for notice in rig.inboxes["sms"].got] == ["Cat", "Felino"]


def test_mute_waits_for_the_digest_and_stop_ends_everything(site):
    rig = with_ana(site)
    with rig.store.transaction() as connection:
        notices.mute(connection, "ana", until=rig.clock.now() + timedelta(hours=2), now=rig.clock.now())
    rig.see(animal(JAGUAR))
    rig.send()
    rig.clock.step(2 * 3600 + 1)
    rig.see(animal(JAGUAR))
    rig.send()
    with rig.store.transaction() as connection:
        notices.mute(connection, "ana", until=None, now=rig.clock.now())
    rig.live(24 * 3600, every_s=600)

    assert [notice.kind for notice in rig.inboxes["mail"].got] == ["alert"]
    assert rig.states() == [
        ("ana/mail", "dropped", "stopped"), ("ana/mail", "sent", ""), ("ana/mail", "dropped", "stopped"),
    ]  # fmt: skip


def test_a_queue_that_no_channel_empties_is_bounded_and_says_so(site):
    rig = site(settings=AlertSettings(gap=timedelta(0), queue=5))
    rig.inboxes["mail"].failures = [NotifyError("down")] * 1000
    for _ in range(20):
        rig.see(animal(JAGUAR))
        rig.clock.step(1)

    states = [(state, why) for _who, state, why in rig.states()]
    assert states.count(("pending", "")) == 5
    assert states.count(("digest", "queue")) == 15


def test_a_recipient_without_digest_hears_nothing_of_the_rest_and_the_row_says_why(site):
    rig = with_ana(site, digest=None)
    rig.see(animal(JAGUAR), late=timedelta(days=3))
    rig.live(24 * 3600, every_s=3600)

    assert rig.inboxes["mail"].got == []
    assert rig.states() == [("ana/mail", "dropped", "late")]
