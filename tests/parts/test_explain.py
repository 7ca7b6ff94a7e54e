"""`explain`: for each frame, rule and addressee why something was sent or was not; nothing is kept back in silence."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.alerts.desk import AlertSettings
from edge.alerts.explain import as_json, explain, fate
from edge.alerts.gate import HELD, REASONS
from edge.alerts.people import Recipient
from edge.alerts.rules import Rule
from edge.clock import SteppedClock
from edge.errors import NoticeRefused, NotifyError
from edge.store import encounters, notices
from tests.alert_rig import FELIDAE, JAGUAR, PUMA, Rig, animal, person

NIGHT = datetime(2026, 11, 22, 7, 14, tzinfo=UTC)  # 02:14 in Bogotá
CATS = Rule(name="cats", taxon="Felidae", channels=("mail",))


@pytest.fixture
def site(tmp_path):
    made = []

    def make(*rules, **options):
        options = {"clock": SteppedClock(NIGHT), "timezone": "America/Bogota"} | options
        made.append(Rig(tmp_path, rules or (CATS,), **options))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


def explained(rig, outcome):
    recorded = rig.store.outcome(outcome.spooled.pk)
    with rig.store.transaction() as connection:
        return explain(rig.desk, connection, recorded)


def in_brief(rig, outcome):
    """(rule, holds, what was recorded, states of the messages) of each rule of each group."""
    return [
        (each.rule, each.holds, each.recorded.outcome if each.recorded else "", [row.state for row in each.messages])
        for group in explained(rig, outcome)
        for each in group.rules
    ]


def test_a_rule_that_holds_and_one_that_does_not(site):
    rig = site(CATS, Rule(name="people", category="person", channels=("mail",)))
    seen = rig.see(animal(JAGUAR))
    rig.send()

    assert in_brief(rig, seen) == [("cats", True, "opened", ["sent"]), ("people", False, "", ["sent"])]


def test_two_kinds_in_one_frame_are_explained_each_by_its_own_encounter(site):
    rig = site()
    first = rig.see(animal(PUMA), station="ridge")
    rig.clock.step(60)
    both = rig.see(animal(JAGUAR), animal(PUMA, side=0.2))
    rig.send()

    groups = explained(rig, both)
    told = {group.group.lineage[-1]: (group.encounter.lineage[-1], group.rules[0].recorded.outcome) for group in groups}
    assert told == {
        "Panthera onca": ("Panthera onca", "opened"),
        "Puma concolor": ("Puma concolor", "joined"),
    }
    assert explained(rig, first)[0].encounter.pk != explained(rig, both)[0].encounter.pk


def test_a_frame_is_not_explained_by_an_encounter_of_another_kind(site):
    rig = site(Rule(name="pumas", taxon="Puma concolor", channels=("mail",)), settings=AlertSettings())
    seen = rig.see(animal(JAGUAR))
    rig.clock.step(30)
    rig.see(animal(PUMA))
    rig.clock.step(30)

    (group,) = explained(rig, seen)
    assert group.encounter.lineage[-1] == "Panthera onca"


def test_rules_that_were_changed_since_stand_beside_what_was_recorded(site):
    rig = site()
    seen = rig.see(animal(JAGUAR))
    rig.desk = type(rig.desk)(
        (CATS.model_copy(update={"min_score": 0.99}),), rig.directory, rig.stations, rig.settings, rig.timezone
    )

    (rule,) = explained(rig, seen)[0].rules
    assert (rule.holds, rule.recorded.outcome) == (False, "opened")
    assert [each.code for each in rule.because if not each.holds] == ["min_score"]


def everything_that_can_happen(site):
    """A rig in which a message ended in every way there is; reason → a frame whose message has it."""
    quiet = {"hours": ["01:00-05:00"]}
    people = (
        Recipient(name="ana", reach={"mail": "a@b.org"}, quiet=quiet),
        Recipient(name="beto", reach={"sms": "+573001"}, per_day=1),
        Recipient(name="caro", reach={"sms": "+573002"}, digest=None),
        Recipient(name="dina", reach={"sms": "+573003"}),
        Recipient(name="ede", reach={"sms": "+573004"}),
    )
    rules = (
        Rule(name="quiet", taxon="Felidae", stations=("quiet",), to=("ana",)),
        Rule(name="budget", taxon="Felidae", stations=("budget",), to=("beto",)),
        Rule(name="late", taxon="Felidae", stations=("late",), to=("caro",)),
        Rule(name="muted", taxon="Felidae", stations=("muted",), to=("dina",)),
        Rule(name="stopped", taxon="Felidae", stations=("stopped",), to=("ede",)),
        Rule(name="cooldown", taxon="Felidae", stations=("cooldown",), channels=("mail",), cooldown_min=60),
        Rule(name="refused", taxon="Felidae", stations=("refused",), channels=("pager",)),
    )
    rig = site(*rules, recipients=people, channels=("mail", "sms", "pager"), settings=AlertSettings(gap=timedelta(0)))
    rig.inboxes["pager"].failures = [NoticeRefused("no such pager")]
    with rig.store.transaction() as connection:
        notices.mute(connection, "dina", until=NIGHT + timedelta(hours=2), now=NIGHT)
        notices.mute(connection, "ede", until=None, now=NIGHT)
    frames = {}
    for station in ("quiet", "budget", "muted", "stopped", "cooldown", "refused"):
        for _ in range(2):
            frames[station] = rig.see(animal(JAGUAR), station=station)
            rig.clock.step(1)
            rig.send()
    frames["late"] = rig.see(animal(JAGUAR), station="late", late=timedelta(hours=2))
    rig.clock.step(25)
    rig.send()
    frames.pop("refused")
    return rig, frames


def test_every_reason_is_found_by_the_frame_it_is_about(site):
    rig, frames = everything_that_can_happen(site)

    for reason, outcome in frames.items():
        (rule,) = [each for each in explained(rig, outcome)[0].rules if each.rule == reason]
        assert rule.holds, reason
        (row,) = rule.messages
        assert (row.frame_id, row.reason) == (outcome.spooled.id, reason)
        for language in ("en", "es"):
            state, why = fate(row, language)
            assert state in {"digest", "dropped"}
            assert why
            assert why != reason


def test_what_was_refused_says_what_the_channel_said(site):
    rig, _frames = everything_that_can_happen(site)
    (row,) = [each for each in rig.rows() if each.reason == "refused"]

    assert fate(row, "en") == ("failed", "the channel will never take it (no such pager)")


@pytest.mark.parametrize("reason", sorted(HELD))
def test_what_nobody_will_tell_in_a_digest_does_not_say_so(site, reason):
    rig = site()
    rig.see(animal(JAGUAR))
    with rig.store.transaction() as connection:
        notices.set_state(connection, 1, "dropped", reason=reason)
    (row,) = rig.rows()

    state, why = fate(row, "en")
    assert (state, "it is told in the digest" in why) == ("dropped", False)
    assert why.endswith(REASONS["no digest"])


def test_what_joins_and_what_betters_is_explained_by_the_message_that_was_sent(site):
    rig = site()
    rig.inboxes["mail"].failures = [NotifyError("down")]
    first = rig.see(animal(FELIDAE, side=0.2))
    rig.send()
    better = rig.see(animal(JAGUAR))
    rig.live(60)
    joined = rig.see(animal(JAGUAR, side=0.31))
    rig.send()

    assert [in_brief(rig, each)[0][2:] for each in (first, better, joined)] == [
        ("opened", ["sent"]), ("better", ["sent"]), ("joined", ["sent"]),
    ]  # fmt: skip


def test_an_escalation_is_explained_with_its_rule(site):
    people = (Recipient(name="ana", reach={"sms": "+573001"}),)
    rule = CATS.model_copy(update={"escalate": Rule.model_validate(
        {"name": "x", "taxon": "Felidae", "channels": ["mail"], "escalate": [{"after_min": 15, "to": ["ana"]}]}
    ).escalate})  # fmt: skip
    rig = site(rule, recipients=people, channels=("mail", "sms"))
    seen = rig.see(animal(JAGUAR))
    rig.send()

    (told,) = explained(rig, seen)[0].rules
    assert [(row.addressee, row.step, row.state) for row in told.messages] == [
        ("@mail", 0, "sent"), ("ana/sms", 1, "pending"),
    ]  # fmt: skip


def test_a_frame_with_nothing_in_it_has_nothing_to_explain(site):
    rig = site()

    assert explained(rig, rig.see()) == []


def test_explaining_changes_nothing(site):
    rig = site()
    seen = rig.see(animal(JAGUAR), person())
    before = (rig.states(), rig.store.count_encounters())

    for _ in range(3):
        explained(rig, seen)

    assert (rig.states(), rig.store.count_encounters()) == before


def test_as_json_has_reasons_in_words_of_the_language(site):
    rig = site(CATS, Rule(name="people", category="person", channels=("mail",)))
    seen = rig.see(animal(JAGUAR))
    rig.send()

    (group,) = as_json(explained(rig, seen), "es")
    cats, people = group["rules"]
    assert (group["category"], group["taxon"]) == ("animal", "Panthera onca")
    assert (cats["holds"], cats["recorded"], cats["messages"][0]["state"]) == (True, "opened", "sent")
    assert cats["because"][0]["text"] == "taxon: Panthera onca, dentro de Felidae"
    assert people["because"][0]["text"] == "category: animal, se pide persona"
    with rig.store.transaction() as connection:
        assert encounters.by_code(connection, group["encounter"]).frames == 1
