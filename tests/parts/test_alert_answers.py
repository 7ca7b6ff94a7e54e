"""What people answer, and what becomes of it: in two languages, from known numbers only, each answer once."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from edge.alerts.answers import LONGEST_MUTE, Answers, Asked, read_answer
from edge.alerts.desk import AlertSettings
from edge.alerts.people import Recipient
from edge.alerts.rules import Rule
from edge.clock import SteppedClock
from edge.notices import Reply
from edge.store import encounters
from edge.store.schema import mutes, replies
from tests.alert_rig import FELIDAE, JAGUAR, Rig, animal, person

NIGHT = datetime(2026, 11, 22, 7, 14, tzinfo=UTC)  # 02:14 in Bogotá
ANA, BETO, NOBODY = "+573001111111", "+573002222222", "+15550001111"
PEOPLE = (
    Recipient(name="ana", reach={"sms": ANA, "mail": "Ana@example.org"}, language="es", sees_people=True),
    Recipient(name="beto", reach={"sms": BETO}, language="en"),
)
STEPS = [{"after_min": 15, "to": ["beto"]}]
RULES = (
    Rule(name="cats", taxon="Felidae", to=("ana",), severity="critical", escalate=STEPS),
    Rule(name="people", category="person", to=("ana",)),
    Rule(name="police", category="person", to=("beto",), severity="critical", shows_people=True),
)


class Site:
    def __init__(self, folder, **options):
        options = {"clock": SteppedClock(NIGHT), "timezone": "America/Bogota"} | options
        self.rig = Rig(folder, options.pop("rules", RULES), PEOPLE, ("sms", "mail"), **options)
        self.answers = Answers(self.rig.store, self.rig.directory, self.rig.clock, self.rig.events.append)
        self.count = 0

    def say(self, text, *, sender=ANA, reply_id="", about="", channel="sms"):
        self.count += 1
        return self.answers.hear(channel, Reply("ignored", sender, text, reply_id or f"SM{self.count}", about))

    def told(self, channel="sms"):
        return self.rig.inboxes[channel].got

    def kept(self, table):
        with self.rig.store.transaction() as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

    def encounter(self, code):
        with self.rig.store.transaction() as connection:
            return encounters.by_code(connection, code)

    def cat(self):
        """A cat that Ana was told of; its code."""
        self.rig.see(animal(FELIDAE))
        self.rig.send()
        return self.told()[-1].code


@pytest.fixture
def site(tmp_path):
    made = []

    def make(**options):
        made.append(Site(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        each.rig.store.close()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ACK", "ack"), ("  ack.", "ack"), ("¡Recibido!", "ack"), ("RECIBIDO, voy para allá", "ack"), ("visto", "ack"),
        ("Mute 2h", "mute"), ("SILENCIO 2 h", "mute"), ("Siléncio", "mute"), ("foto", "photo"),
        ("FOTO por favor", "photo"),
        ("Picture", "photo"), ("STOP", "stop"), ("Alto", "stop"), ("baja", "stop"), ("START", "start"),
        ("álta", "start"),
        ("AYUDA", "help"), ("ayúda?", "help"), ("help me", "help"), ("\u202eACK", "ack"), ("A\u0301CK", "ack"),
    ],
)  # fmt: skip
def test_words_are_read_in_both_languages_whatever_their_case_and_accents(text, word):
    assert read_answer(text) == Asked(word)


@pytest.mark.parametrize(
    "text", ["", " ", "👍", "acknowledge?", "no mute", "1 ack", "\0\0", "ack2", "'; DROP TABLE replies"]
)
def test_what_is_no_word_of_ours_is_not_guessed_at(text):
    assert read_answer(text) is None


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("MUTE", 120), ("MUTE 2h", 120), ("MUTE 2 h", 120), ("mute 30 min", 30),
        ("mute 45m", 45), ("SILENCIO 3 horas", 180),
        ("silencio 1 hora", 60), ("silencio 2 días", 2880), ("mute 1 day", 1440), ("mute 1d", 1440), ("mute 0h", 120),
        ("mute 2 weeks", 120), ("mute 9999d", 43_200), ("mute 99999999999999 d", 43_200),
        ("mute 222h", 13_320),
        ("mute for 3 hours please", 180),
    ],
)  # fmt: skip
def test_how_long_a_mute_is(text, minutes):
    asked = read_answer(text)

    assert (asked.word, asked.length) == ("mute", timedelta(minutes=minutes))
    assert asked.length <= LONGEST_MUTE


@pytest.mark.parametrize(("text", "word"), [("ACK7F2K", "ack"), ("ack7f2k", "ack"), ("Foto7F2K!", "photo")])
def test_a_code_may_stand_right_behind_its_word(text, word):
    assert read_answer(text) == Asked(word, "7F2K")


@pytest.mark.parametrize("code", ["7F2K", "222H", "345D", "678M", "2345", "HHHH"])
def test_a_code_is_one_also_where_it_looks_like_a_time(code):
    assert read_answer(f"ack {code.lower()} gracias").code == code
    assert read_answer(f"Foto de {code}").code == code


@pytest.mark.parametrize("text", ["ACK", "ack {code}", "Recibido {code}, gracias", "OK {lower}"])
def test_ack_is_answered_in_the_persons_language_and_stops_the_escalation(site, text):
    here = site()
    code = here.cat()

    said = here.say(text.format(code=code, lower=code.lower()))
    here.rig.live(20 * 60)

    assert said == f"Gracias: {code} en ridge queda a su cargo, no se llama a nadie más."
    assert here.encounter(code).acked_by == "ana"
    assert [(row.addressee, row.state, row.reason) for row in here.rig.rows()] == [
        ("ana/sms", "sent", ""), ("beto/sms", "dropped", "acknowledged"),
    ]  # fmt: skip


def test_the_second_who_acknowledges_is_told_who_was_first(site):
    here = site()
    code = here.cat()
    here.say("ACK")
    here.rig.clock.step(60)

    said = here.say(f"ack {code}", sender=BETO)

    assert said == f"ana has seen to {code} already, at 02:14."
    assert here.encounter(code).acked_by == "ana"


def test_after_an_ack_no_update_is_made_however_much_better_the_pictures_get(site):
    here = site()
    here.cat()
    here.rig.see(animal(FELIDAE, side=0.5))  # an update that waits for its minute
    here.say("ACK")
    here.rig.live(90)
    for side in (0.6, 0.7, 0.8, 0.9):
        here.rig.see(animal(JAGUAR, side=side))
        here.rig.live(90)

    assert [notice.kind for notice in here.told()] == ["alert"]
    states = [(row.kind, row.state, row.reason) for row in here.rig.rows() if not row.step]
    assert states == [("alert", "sent", ""), ("update", "dropped", "acknowledged")]


def test_a_wrong_code_does_nothing_and_says_so(site):
    here = site()
    code = here.cat()
    wrong = "ZZZZ" if code != "ZZZZ" else "YYYY"

    said = here.say(f"ACK {wrong}")

    assert said == "Ningún avistamiento tiene este código, o no se le avisó de ninguno."
    assert here.encounter(code).acked_at is None


def test_without_a_code_the_message_that_is_answered_counts_and_else_the_last_one(site):
    here = site(settings=AlertSettings(gap=timedelta(0)))
    first = here.cat()
    thread = here.told()[-1].thread
    here.rig.clock.step(60)
    second = here.cat()

    here.say("ACK", about=f"{thread}/ana%2Fsms/0")
    assert (here.encounter(first).acked_by, here.encounter(second).acked_by) == ("ana", "")
    here.say("ACK", about="nonsense")
    assert here.encounter(second).acked_by == "ana"


def test_who_was_told_of_nothing_can_not_acknowledge_without_a_code(site):
    here = site()
    code = here.cat()

    assert here.say("ACK", sender=BETO) == "No sighting has this code, or you were told of none."
    assert here.encounter(code).acked_at is None


def test_an_unknown_sender_gets_no_answer_changes_nothing_and_is_kept(site):
    here = site()
    code = here.cat()

    for text in (f"ACK {code}", "STOP", "MUTE 2h", "FOTO", "AYUDA", "hello"):
        assert here.say(text, sender=NOBODY) == ""

    assert here.encounter(code).acked_at is None
    assert here.kept(mutes) == []
    assert {(row["sender"], row["who"], row["answer"]) for row in here.kept(replies)} == {(NOBODY, "", "")}
    assert [(event.ok, event.fields["who"]) for event in here.rig.events if event.verb == "people.answered"] == [
        (False, "")
    ] * 6


def test_a_number_is_known_on_its_own_channel_only(site):
    here = site()

    assert here.say("AYUDA", channel="mail") == ""
    assert here.say("AYUDA", sender="ana@EXAMPLE.org", channel="mail").startswith("ACK: ")


def test_an_answer_that_comes_twice_is_done_once_and_answered_the_same(site):
    here = site()
    here.cat()

    first = here.say("MUTE 2h", reply_id="SM-same")
    here.say("START")
    here.rig.clock.step(3600)
    again = here.say("MUTE 2h", reply_id="SM-same")

    assert (first, here.kept(mutes)) == (again, [])
    assert here.say("MUTE 2h", reply_id="SM-same", channel="mail") == "", "another channel counts for itself"


def test_mute_stop_and_start_do_what_they_say(site):
    here = site(settings=AlertSettings(gap=timedelta(0)))

    assert here.say("MUTE 2h").startswith("Silencio hasta 2026-11-22 04:14")
    here.rig.see(animal(FELIDAE))
    here.rig.send()
    assert here.told() == []
    here.rig.clock.step(2 * 3600)
    assert here.cat()
    here.say("STOP")
    here.rig.clock.step(60)
    here.rig.see(animal(FELIDAE))
    here.rig.send()
    here.say("START")
    here.rig.clock.step(60)
    here.cat()

    own = [(row.state, row.reason) for row in here.rig.rows() if row.who == "ana"]
    assert own == [("digest", "muted"), ("sent", ""), ("dropped", "stopped"), ("sent", "")]
    assert here.kept(mutes) == []


def test_a_photo_comes_as_a_message_of_its_own_and_takes_no_update_away(site):
    here = site(settings=AlertSettings(updates=1))
    code = here.cat()

    assert here.say("FOTO") == "La foto va en camino."
    here.rig.send()
    here.say(f"foto {code}")
    here.rig.send()
    here.rig.see(animal(JAGUAR, side=0.8))
    here.rig.live(90)

    assert [notice.kind for notice in here.told()] == ["alert", "answer", "answer", "update"]
    assert {notice.thread for notice in here.told()} == {here.told()[0].thread}
    assert all(notice.alert for notice in here.told())


def test_a_photo_comes_though_it_is_muted_and_quiet(site):
    here = site()
    here.cat()
    here.say("STOP")

    here.say("FOTO")

    assert here.rig.send() == 1
    assert here.told()[-1].kind == "answer"


def test_a_photo_shows_people_to_nobody_whose_own_rule_does_not(site):
    here = site()
    here.rig.see(person())
    here.rig.send()

    here.say("FOTO")
    here.say("FOTO", sender=BETO)

    shown = {row.who: row.shows_people for row in here.rig.rows() if row.kind == "answer"}
    assert shown == {"ana": False, "beto": True}


def test_there_is_no_photo_of_what_nobody_was_told(site):
    here = site()

    assert here.say("FOTO", sender=BETO) == "No sighting has this code, or you were told of none."


@pytest.mark.parametrize(
    "text",
    ["x" * 100_000, "ACK " + "9" * 100_000, "\0\x07\x1b[2J", "'; DROP TABLE replies; --", '"}{"', "ﷺ" * 5000, "\ud800"],
)
def test_what_is_long_odd_or_hostile_is_kept_short_and_harms_nothing(site, text):
    here = site()
    code = here.cat()

    said = here.say(text)

    assert said
    assert said.isprintable()
    (row,) = here.kept(replies)
    assert len(row["text"]) <= 500
    assert here.encounter(code) is not None


def test_the_words_are_listed_for_whom_we_do_not_understand(site):
    here = site()

    assert here.say("¿qué?") == here.say("AYUDA")
    assert here.say("what?", sender=BETO).startswith("ACK: I see to it.")


def test_a_mute_is_no_longer_for_a_clock_that_is_set(site):
    here = site(settings=AlertSettings(gap=timedelta(0)))
    here.rig.send()
    here.say("MUTE 2h")
    here.rig.send()
    here.rig.clock.at -= timedelta(days=365)
    here.rig.send()
    here.rig.clock.step(3600)
    here.rig.see(animal(FELIDAE))
    here.rig.send()
    assert here.told() == [], "an hour of it is left"
    here.rig.clock.step(3601)

    assert here.cat()


def test_a_mute_by_a_clock_that_was_ahead_at_the_last_start_ends(site):
    here = site(settings=AlertSettings(gap=timedelta(0)))
    here.rig.clock.at += timedelta(days=365)
    here.say("MUTE 2h")
    here.rig.clock.at -= timedelta(days=365)
    here.rig.box = here.rig.outbox(**here.rig.inboxes)
    here.rig.send()
    here.rig.clock.step(2 * 3600 + 1)

    assert here.cat()
