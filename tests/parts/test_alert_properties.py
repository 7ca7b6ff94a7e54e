"""Whatever happens, in whatever order: what no alert may ever do. Real store, desk and outbox on a stepped clock.

A life is a list of things that happen to a site: frames, answers, channels that fail, restarts, clocks that are set.
`HYPOTHESIS_EXAMPLES=2000 pytest tests/parts/test_alert_properties.py` tries more of them.
"""

import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge.alerts.answers import Answers
from edge.alerts.desk import AlertSettings
from edge.alerts.explain import explain
from edge.alerts.gate import REASONS
from edge.alerts.people import Recipient
from edge.alerts.rules import Rule
from edge.clock import SteppedClock
from edge.errors import NoticeRefused, NotifyError
from edge.model import AgentFacts
from edge.notices import Reply
from edge.pipeline.lanes import Outlet
from edge.store import encounters
from tests.alert_rig import FELIDAE, JAGUAR, PUMA, Rig, animal, person

FEW = 25
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", FEW))
FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # because fsync is not what is tested
UPDATES, HOUR, YEAR = 2, 3600.0, 365 * 86_400.0
AGENT = AgentFacts("b", 1, 1, 5.0, "ok")
ANA, BETO = "+573001111111", "+573002222222"
RULES = (
    Rule(name="cats", taxon="Felidae", to=("ana",), channels=("mail",), cooldown_min=30),
    Rule(
        name="jaguars",
        taxon="Panthera onca",
        severity="critical",
        to=("ana", "beto"),
        escalate=[{"after_min": 15, "to": ["ana/sms"]}, {"after_min": 90, "to": ["beto"]}],
    ),
    Rule(name="people", category="person", severity="info", to=("beto",), cooldown_min=60),
)
# (zone, a moment before its clocks are changed): forward, back, by half an hour, at midnight
STARTS = (
    ("UTC", datetime(2026, 6, 1, 3, tzinfo=UTC)),
    ("America/Bogota", datetime(2026, 11, 22, 7, 14, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 4, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 3, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 12, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 13, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 11, 1, 2, tzinfo=UTC)),
)
SEEN = {
    "cat": animal(FELIDAE, side=0.2),
    "jaguar": animal(JAGUAR),
    "close jaguar": animal(JAGUAR, side=0.8),
    "puma": animal(PUMA, side=0.4),
    "person": person(),
    "animal": animal(side=0.5),
}
ERRORS = {
    "down": lambda: NotifyError("server down"),
    "busy": lambda: NotifyError("too many requests", again_in_s=90.0),
    "refused": lambda: NoticeRefused("no such number"),
    "bug": lambda: KeyError("token"),
}

happenings = st.one_of(
    st.tuples(
        st.just("see"),
        st.sampled_from(sorted(SEEN)),
        st.sampled_from(["ridge", "river"]),
        st.sampled_from([0.0, 0.0, 0.0, 40 * 60.0, 3 * 86_400.0, -YEAR]),
        st.booleans(),
    ),
    st.tuples(st.just("pass"), st.sampled_from([1.0, 61.0, 300.0, 700.0, 1800.0, HOUR, 5 * HOUR, 24 * HOUR])),
    st.tuples(st.just("jump"), st.sampled_from([HOUR, -HOUR, YEAR, -YEAR])),
    st.tuples(st.just("channel"), st.sampled_from(["mail", "sms"]), st.sampled_from([*sorted(ERRORS), "works"])),
    st.tuples(
        st.just("say"), st.sampled_from([ANA, BETO]), st.sampled_from(["ACK", "MUTE 2h", "STOP", "START", "FOTO"])
    ),
    st.tuples(st.just("restart")),
)
lives = st.tuples(st.sampled_from(STARTS), st.lists(happenings, min_size=1, max_size=25))


@dataclass(frozen=True)
class Handed:
    """A message at the moment its channel got it. elapsed_s: by the clock that nobody sets. starts: of the outbox."""

    notice: object
    at: datetime
    elapsed_s: float
    starts: int
    to: str
    rule: str

    @property
    def is_step(self):
        return "/step-" in self.notice.key


@dataclass
class Channel:
    """A channel that fails when it is told to, and notes the moment of all it gets."""

    name: str
    life: "Life"
    failing: str = "works"

    def send(self, notice, *, picture):
        del picture
        rig = self.life.rig
        to = f"{notice.person}/{self.name}" if notice.person else f"@{self.name}"
        rule = notice.alert.rule if notice.alert else ""
        handed = Handed(notice, rig.clock.now(), rig.clock.monotonic_s(), self.life.starts, to, rule)
        self.life.tried.append(handed)
        if self.failing != "works":
            error = ERRORS[self.failing]
            raise error()
        self.life.taken.append(handed)


@dataclass
class Life:
    """A site, what happened to it and what its channels got."""

    rig: Rig
    tried: list = field(default_factory=list)
    taken: list = field(default_factory=list)
    held: list = field(default_factory=list)  # (elapsed_s, starts, event)
    seen: list = field(default_factory=list)
    moments: dict = field(default_factory=dict)  # frame → (elapsed_s, starts) when it was recorded
    starts: int = 0
    said: int = 0
    jumped: bool = False

    def __post_init__(self):
        self.channels = {name: Channel(name, self) for name in ("mail", "sms")}
        self.answers = Answers(self.rig.store, self.rig.directory, self.rig.clock, self.rig.events.append)
        self.start()

    def start(self):
        self.starts += 1
        self.rig.box = self.rig.outbox(**{name: Outlet(each, None) for name, each in self.channels.items()})

    def send(self):
        before = len(self.rig.events)
        self.rig.send()
        moment = (self.rig.clock.monotonic_s(), self.starts)
        self.held += [(*moment, event) for event in self.rig.events[before:] if event.fields.get("held_back")]

    def do(self, happening):
        what, *how = happening
        getattr(self, f"_{what}")(*how)
        self.send()

    def _see(self, what, station, late_s, has_agent):
        late, agent = timedelta(seconds=late_s), AGENT if has_agent else None
        seen = self.rig.see(SEEN[what], station=station, late=late, agent=agent)
        self.seen.append(seen)
        self.moments[seen.spooled.id] = (self.rig.clock.monotonic_s(), self.starts)

    def _pass(self, seconds):
        every_s = max(20.0, seconds / 10)
        while seconds > 0:
            self.rig.clock.step(min(every_s, seconds))
            seconds -= every_s
            self.send()

    def _jump(self, seconds):
        self.jumped = True
        self.rig.clock.at += timedelta(seconds=seconds)

    def _channel(self, name, how):
        self.channels[name].failing = how

    def _say(self, sender, text):
        self.said += 1
        self.answers.hear("sms", Reply("", sender, text, f"r{self.said}"))

    def _restart(self):
        self.start()

    def end(self):
        """All works again, everybody listens, and four days pass."""
        for name in self.channels:
            self.do(("channel", name, "works"))
        for who in (ANA, BETO):
            self.do(("say", who, "START"))
        for _ in range(4 * 24):
            self.rig.clock.step(HOUR)
            self.send()
            counts = self.rig.store.counts()
            if not any(counts.get(f"alerts_{state}") for state in ("pending", "sending", "digest")):
                break


def people(zone):
    quiet = {"hours": ["21:00-06:00"], "override": "critical"}
    ana = {"name": "ana", "reach": {"mail": "ana@example.org", "sms": ANA}, "timezone": zone, "quiet": quiet}
    beto_quiet = {"hours": ["00:30-02:15", "13:00-14:00"], "override": "never"}
    return (
        Recipient(**ana, per_day=3, digest="07:00"),
        Recipient(name="beto", reach={"sms": BETO}, timezone=zone, quiet=beto_quiet, per_day=2, digest="02:10"),
    )


def live(life):
    """Let a life happen, and give what became of it."""
    (zone, begin), happened = life
    folder = Path(tempfile.mkdtemp(prefix="tigrillo-life-", dir=FOLDER))
    rig = Rig(
        folder, RULES, people(zone), ("mail", "sms"), clock=SteppedClock(begin), timezone=zone,
        settings=AlertSettings(updates=UPDATES, queue=6),
    )  # fmt: skip
    try:
        lived = Life(rig)
        for each in happened:
            lived.do(each)
        lived.end()
        check_all(lived)
    finally:
        rig.store.close()
        shutil.rmtree(folder)


def check_all(life):
    rows = {row.key: row for row in life.rig.rows()}
    check_quiet(life)
    check_budget(life)
    check_cooldown(life)
    check_number(life)
    check_steps(life)
    check_ended(life, rows)
    check_digests(life, rows)
    check_explained(life)


def local(life, person, at):
    zone = next(each.timezone for each in life.rig.recipients if each.name == person)
    return at.astimezone(ZoneInfo(zone))


def check_quiet(life):
    for each in life.tried:
        notice = each.notice
        if notice.kind not in {"alert", "update"} or not notice.person:
            continue
        clock = f"{local(life, notice.person, each.at):%H:%M}"
        if notice.person == "ana":
            assert notice.severity == "critical" or "06:00" <= clock < "21:00", (clock, notice.key)
        else:
            quiet = "00:30" <= clock < "02:15" or "13:00" <= clock < "14:00"
            assert not quiet, (clock, notice.key)
    for _elapsed_s, _starts, event in life.held:
        if event.fields["held_back"] == "quiet" and event.fields["addressee"].startswith("ana"):
            assert event.fields["rule"] != "jaguars", "what is critical comes through"


def check_budget(life):
    days = Counter(
        (each.notice.person, local(life, each.notice.person, each.at).date())
        for each in life.taken
        if each.notice.person and each.notice.kind in {"alert", "update"}
    )
    for (who, day), count in days.items():
        assert count <= {"ana": 3, "beto": 2}[who], (who, day, count)


def check_cooldown(life):
    lengths = {rule.name: rule.cooldown_min * 60 for rule in RULES}
    station = {frame.spooled.id: frame.spooled.station for frame in life.seen}
    charged = [(each, (each.rule, each.notice.station, each.to)) for each in life.taken if each.notice.kind == "alert"]
    assert all(station[each.notice.alert.frame_id] == each.notice.station for each, _key in charged)
    for number, (each, key) in enumerate(charged):
        for before, earlier in charged[:number]:
            sure = before.starts == each.starts or not life.jumped  # over a restart the wall clock has to do
            if earlier == key and not each.is_step and sure:
                assert each.elapsed_s - before.elapsed_s >= lengths[each.rule], key
    for elapsed_s, starts, event in life.held:
        if event.fields["held_back"] == "cooldown":
            key = (event.fields["rule"], event.station, event.fields["addressee"])
            since = [each for each, charge in charged if charge == key and each.elapsed_s <= elapsed_s]
            assert since, f"nothing was sent that could have charged {key}"
            last = since[-1]
            if last.starts == starts or not life.jumped:
                assert elapsed_s - last.elapsed_s < lengths[key[0]], key


def check_number(life):
    keys = Counter(each.notice.key for each in life.taken)
    assert not [key for key, count in keys.items() if count > 1], "sent twice"
    told = Counter(
        (each.notice.thread, each.to)
        for each in life.taken
        if each.notice.kind in {"alert", "update"} and not each.is_step
    )
    assert all(count <= 1 + UPDATES for count in told.values()), told


def check_steps(life):
    after_s = {"step-1": 15 * 60, "step-2": 90 * 60}
    for each in life.tried:
        if each.is_step:
            elapsed_s, starts = life.moments[each.notice.alert.frame_id]
            sure = starts == each.starts or not life.jumped
            assert not sure or each.elapsed_s - elapsed_s >= after_s[each.notice.key.rpartition("/")[2]]


def check_ended(life, rows):
    for row in rows.values():
        assert row.state in {"sent", "digested", "dropped", "failed"}, (row.key, row.state, row.reason)
        assert row.state == "sent" or row.reason in REASONS, (row.key, row.state, row.reason)
        assert (row.state == "sent") == (row.key in {each.notice.key for each in life.taken}), (row.key, row.state)
    assert {each.notice.key for each in life.taken} <= set(rows)


def check_digests(life, rows):
    by_pk = {row.pk: row for row in rows.values()}
    inside = {}
    for row in rows.values():
        assert (row.state == "digested") == (row.digest_pk is not None), row.key
        if row.digest_pk is not None:
            digest = by_pk[row.digest_pk]
            assert (digest.kind, digest.who) == ("digest", row.who)
            inside.setdefault(digest.key, set()).add((row.encounter_pk, row.rule))
    for each in life.taken:
        if each.notice.kind == "digest":
            assert len(each.notice.words.rows) == len(inside[each.notice.key])
    for row in rows.values():
        if row.reason == "quiet" and row.who == "ana":
            assert row.severity != "critical", (row.key, "critical, and kept back by quiet hours")


def check_explained(life):
    desk = life.rig.desk
    for outcome in life.seen:
        with life.rig.store.transaction() as connection:
            found = explain(desk, connection, outcome)
            matches = encounters.matches_of(connection, outcome.spooled.pk)
        told = [rule for group in found for rule in group.rules]
        for match in matches:
            (rule,) = [each for each in told if each.recorded == match]
            wanted = {to.name for name in next(r for r in RULES if r.name == match.rule).names
                      if (to := desk.directory.find(name))}  # fmt: skip
            assert wanted <= {row.addressee for row in rule.messages}, (match, rule.messages)


def at(zone, *happened):
    return (next(each for each in STARTS if each[0] == zone), list(happened))


@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES == FEW, suppress_health_check=list(HealthCheck))
@given(lives)
# a jaguar where a cat waits for the digest; an escalation of 90 min; a clock that was a year ahead when it was queued
@example(at("America/Bogota", ("see", "cat", "ridge", 0.0, True), ("see", "jaguar", "ridge", 0.0, True)))
@example(at("UTC", ("see", "jaguar", "ridge", 0.0, True), ("pass", 300.0)))
@example(at("UTC", ("jump", YEAR), ("see", "person", "ridge", 2400.0, False), ("restart",), ("jump", -YEAR)))
@example(at("UTC", ("jump", YEAR), ("see", "person", "ridge", 2400.0, False), ("jump", -YEAR), ("restart",)))
# a midnight that comes twice, with messages in both hours after it
@example(at("America/Havana", ("pass", 2 * HOUR), *[("see", "jaguar", "ridge", 0.0, True), ("pass", 1200.0)] * 7))
def test_no_life_of_a_site_breaks_what_is_promised(life):
    live(life)


# ── one thing at a time ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def make(tmp_path):
    made = []

    def rig(*rules, **options):
        options = {"clock": SteppedClock(datetime(2026, 6, 1, 12, tzinfo=UTC)), "channels": ("mail", "sms")} | options
        made.append(Rig(tmp_path, rules or (Rule(name="cats", taxon="Felidae", channels=("mail",)),), **options))
        return made[-1]

    yield rig
    for each in made:
        each.store.close()


def ana(**fields):
    return Recipient(**{"name": "ana", "reach": {"mail": "ana@example.org", "sms": ANA}} | fields)


def test_a_step_of_days_waits_for_days_and_is_tried_for_a_day_from_then_on(make):
    steps = [{"after_min": 2 * 24 * 60, "to": ["ana/sms"]}]
    rule = Rule(name="cats", taxon="Felidae", channels=("mail",), escalate=steps)
    rig = make(rule, recipients=[ana()])
    rig.inboxes["sms"].failures = [NotifyError("down")] * 3
    rig.see(animal(JAGUAR))
    rig.live(47 * HOUR, every_s=HOUR)
    before = len(rig.inboxes["sms"].failures)
    rig.live(3 * HOUR, every_s=600)

    assert before == 3, "not tried yet"
    assert [notice.kind for notice in rig.inboxes["sms"].got] == ["alert"]


def test_what_waited_for_a_day_is_not_told_as_if_it_were_new_once_the_channel_works(make):
    rig = make(settings=AlertSettings(gap=timedelta(0)), digest=None)
    rig.inboxes["mail"].failures = [NotifyError("down")] * 99
    for _ in range(5):
        rig.see(animal(JAGUAR))
        rig.clock.step(60)
        rig.send()
    rig.box = rig.outbox(**rig.inboxes)
    rig.inboxes["mail"].failures = []
    rig.clock.step(25 * HOUR)
    rig.send()
    rig.clock.step(60)
    rig.send()

    assert rig.inboxes["mail"].got == []
    assert {state for _who, state, _why in rig.states()} == {"dropped"}
    assert {why for _who, _state, why in rig.states()} == {"late"}


def test_what_waits_behind_a_dead_channel_is_given_up_with_it(make):
    rig = make(settings=AlertSettings(gap=timedelta(0)))
    rig.inboxes["mail"].failures = [NotifyError("no route")] * 1000
    for _ in range(30):
        rig.see(animal(JAGUAR))
        rig.clock.step(1)
    rig.live(26 * HOUR, every_s=900)

    assert {(state, why) for _who, state, why in rig.states()} == {("failed", "expired")}


def test_a_digest_that_no_channel_took_is_in_the_next_one(make):
    rig = make()
    rig.see(animal(JAGUAR), late=timedelta(hours=2))
    rig.inboxes["mail"].failures = [NotifyError("down")] * 60
    rig.live(46 * HOUR, every_s=900)
    assert rig.inboxes["mail"].got == []
    rig.inboxes["mail"].failures = []
    rig.live(48 * HOUR, every_s=900)

    (digest,) = rig.inboxes["mail"].got
    assert (digest.kind, len(digest.words.rows)) == ("digest", 1)


def test_a_digest_that_was_refused_leaves_what_stood_in_it_as_failed(make):
    rig = make()
    rig.see(animal(JAGUAR), late=timedelta(hours=2))
    rig.inboxes["mail"].failures = [NoticeRefused("no such mailbox")]
    rig.live(24 * HOUR, every_s=900)

    assert rig.states() == [("@mail", "failed", "refused")] * 2


def test_a_digest_that_failed_in_the_evening_does_not_ring_at_night(make):
    rig = make(
        Rule(name="cats", taxon="Felidae", to=("ana",)),
        recipients=[ana(quiet={"hours": ["21:00-06:00"]}, digest="20:00")],
    )
    rig.see(animal(JAGUAR), late=timedelta(hours=2))
    rig.live(8 * HOUR - 600, every_s=600)
    rig.inboxes["mail"].failures = [NotifyError("down")] * 9
    rig.live(3 * HOUR, every_s=600)
    rig.inboxes["mail"].failures = []
    rig.live(6 * HOUR, every_s=600)
    assert rig.inboxes["mail"].got == [], "it is 04:50"
    rig.live(2 * HOUR, every_s=600)

    assert [notice.kind for notice in rig.inboxes["mail"].got] == ["digest"]


def test_updates_that_nobody_took_are_made_as_often_as_those_that_were_taken(make):
    rig = make()
    rig.see(animal(FELIDAE, side=0.2))
    rig.send()
    rig.inboxes["mail"].failures = [NoticeRefused("too large")] * 99
    for number in range(20):
        rig.see(animal(JAGUAR, side=0.3 + number / 50))
        rig.live(70)

    assert [row.kind for row in rig.rows()] == ["alert", "update", "update"]


def test_the_state_of_all_channels_can_be_read_at_any_time(make):
    rig = make()
    box = rig.outbox(**rig.inboxes)

    lanes = dict(box._lanes)
    assert set(box.snapshot()) == {"mail", "sms"}
    assert box._lanes == lanes, "reading adds nothing, while the outbox goes through them"


def test_a_clock_that_is_set_forward_gives_no_message_up(make):
    rig = make()
    rig.inboxes["mail"].failures = [NotifyError("no network yet")] * 2
    rig.see(animal(JAGUAR))
    rig.send()
    rig.clock.at += timedelta(days=2000)  # a machine without a battery hears what time it is
    rig.live(120)

    assert [notice.kind for notice in rig.inboxes["mail"].got] == ["alert"]
