"""The heartbeat: what is wrong is told once, what is over is told, and silence is not taken for health."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, select

from edge.alerts.heartbeat import HeartbeatConfig, StationHeartbeat
from edge.alerts.people import Quiet, Recipient
from edge.alerts.rules import Rule
from edge.config import plan_from
from edge.errors import ConfigError
from edge.pipeline.pulse import Pulse
from edge.pipeline.watchman import Around, Failures, Watchman
from edge.registry import load_registry
from edge.services import Station
from edge.store import agents
from edge.store.schema import frames, watched
from tests.alert_rig import JAGUAR, Rig, animal

HOUR, DAY = 3600, 86_400
ANA = Recipient(name="ana", reach={"mail": "ana@example.org"})
ROOM = (100_000_000_000, 0, 60_000_000_000)  # bytes: all, used, free


@dataclass
class Trap:
    """A site that is watched: the rig's store, clock and outbox; stations that say how they are."""

    folder: Path
    config: HeartbeatConfig = field(default_factory=lambda: HeartbeatConfig(to=("ana",)))
    recipients: tuple[Recipient, ...] = (ANA,)
    stations: tuple[str, ...] = ()
    channels: tuple[str, ...] = ("mail",)
    gather: timedelta = timedelta(0)
    started: bool = True

    def __post_init__(self) -> None:
        self.rig = Rig(
            self.folder,
            [Rule(name="cats", taxon="Felidae", channels=("mail",))],
            recipients=self.recipients,
            channels=self.channels,
            stations={name: Station(name, "UTC") for name in self.stations},
        )
        self.usage = ROOM
        self.pulse = Pulse(["worker-1"])
        self.failures = Failures()
        self.revoked: set[str] = set()
        self.restart()

    def restart(self) -> None:
        """A new process: nothing is in memory."""
        services = self.rig.services
        object.__setattr__(services, "is_allowed", self.is_allowed)
        around = Around(1000, self.rig.box, self.pulse, self.failures, ("mqtt",), disk=lambda _folder: self.usage)
        self.watchman = Watchman(self.rig.store, services, self.rig.directory, self.config, around, self.gather)
        if self.started:  # the first look is when the agents are back
            self.look()
            self.pass_s(HOUR)

    def is_allowed(self, name: str) -> bool:
        return name not in self.revoked

    def pass_s(self, seconds: float) -> None:
        self.pulse.beat("worker-1")
        self.pulse.ping()
        self.rig.clock.step(seconds)

    def look(self, after_s: float = 0) -> list[str]:
        """The headlines of what is told so much later."""
        self.pass_s(after_s)
        return [str(each.words["headline"]) for each in self.watchman.look(self.rig.clock.now())]

    def heard(self, station: str, *, drifts: bool = False, **health: object) -> None:
        """A station's agent says how it is."""
        now = self.rig.clock.now()
        said = json.loads(json.dumps(health))
        with self.rig.store.transaction() as connection:
            agents.say(connection, station, now=now, health=said, health_at=now, drifts=drifts, drift_s=90.0)

    def rows(self) -> dict[str, datetime | None]:
        """What is kept: name → when it was told."""
        with self.rig.store.transaction() as connection:
            return {name: at for name, at in connection.execute(select(watched.c.name, watched.c.told_at))}  # noqa: C416  # because rows are no pairs to dict()


@pytest.fixture
def trap(tmp_path):
    return Trap(tmp_path)


def test_a_silent_station_is_told_once_and_again_when_it_is_heard(trap):
    trap.heard("cam-03")

    assert trap.look(23 * HOUR) == []
    assert trap.look(2 * HOUR) == ["cam-03: silent, last heard 25 h ago, 2026-01-01 01:00"]
    assert trap.look(HOUR) == []
    assert trap.look(DAY) == []
    trap.heard("cam-03")
    assert trap.look(60) == ["cam-03: heard again; it was silent for 50 h"]
    assert trap.look(60) == []
    assert trap.look(26 * HOUR) == ["cam-03: silent, last heard 26 h ago, 2026-01-03 03:00"]


def test_a_restart_tells_nothing_twice(trap):
    trap.heard("cam-03")
    assert len(trap.look(25 * HOUR)) == 1

    trap.restart()
    assert trap.look() == []
    trap.heard("cam-03")
    trap.restart()
    assert trap.rows().keys() == {"quiet"}


def test_what_is_told_goes_out_by_the_heartbeats_own_channel(tmp_path):
    config = HeartbeatConfig(channels=("satellite",), to=("ana",))
    trap = Trap(tmp_path, config, channels=("mail", "satellite"))
    trap.heard("cam-03")
    trap.look(25 * HOUR)

    trap.rig.send()

    satellite, mail = trap.rig.inboxes["satellite"].got, trap.rig.inboxes["mail"].got
    assert [each.kind for each in satellite] == ["health"]
    assert satellite[0].station == "cam-03"
    assert satellite[0].severity == "warning"
    assert [each.person for each in mail] == ["ana"]


def test_stations_that_fall_silent_together_are_one_message(tmp_path):
    trap = Trap(tmp_path, gather=timedelta(minutes=10))
    for number in range(1, 8):
        trap.heard(f"cam-{number:02}")
        trap.rig.clock.step(60)

    trap.look(23 * HOUR)
    told = [trap.look(60) for _minute in range(90)]

    assert [each for each in told if each] == [["7 stations are silent: cam-01, cam-02, cam-03, cam-04, cam-05, …"]]
    (row,) = trap.rig.rows()
    assert len(row.words["rows"]) == 7
    assert row.station == ""


def test_agents_that_were_cut_off_by_our_own_absence_are_given_time_to_come_back(trap):
    trap.heard("cam-03")
    trap.rig.clock.step(3 * DAY)
    trap.started = False
    trap.restart()

    assert trap.look(60) == []
    trap.heard("cam-03")
    assert trap.look(HOUR) == []


def test_a_station_whose_cards_are_fetched_may_be_silent_for_longer(tmp_path):
    trap = Trap(tmp_path, stations=("ridge",))
    trap.rig.see(animal())

    assert trap.look(30 * DAY) == []
    assert trap.look(6 * DAY) == ["ridge: silent, last heard 36.0 d ago, 2026-01-01 01:00"]
    trap.rig.see(animal())
    assert trap.look(60) == ["ridge: heard again; it was silent for 36.0 d"]


def test_a_station_may_have_its_own_limit(tmp_path):
    own = {"cam-03": StationHeartbeat(silent_h=2)}
    trap = Trap(tmp_path, HeartbeatConfig(to=("ana",), stations=own))
    trap.heard("cam-03")
    trap.heard("cam-04")

    assert trap.look(3 * HOUR) == ["cam-03: silent, last heard 3 h ago, 2026-01-01 01:00"]


def test_a_station_that_was_never_heard_is_told_of_when_the_site_names_it(tmp_path):
    own = {"cam-09": StationHeartbeat(silent_h=24)}
    trap = Trap(tmp_path, HeartbeatConfig(to=("ana",), stations=own), stations=("cam-09",))

    assert trap.look(HOUR) == []
    assert trap.look(24 * HOUR) == ["cam-09: nothing was ever heard of it, for 24 h"]
    trap.heard("cam-09")
    assert trap.look(60) == ["cam-09: heard again; it was silent for 24 h"]


def test_a_revoked_station_is_not_told_of_and_its_row_goes(trap):
    trap.heard("cam-03")
    assert len(trap.look(25 * HOUR)) == 1

    trap.revoked = {"cam-03"}

    assert trap.look(60) == []
    assert trap.rows().keys() == {"quiet"}


def test_a_stranger_that_was_heard_long_ago_is_forgotten_and_one_the_site_names_is_not(tmp_path):
    quiet = HeartbeatConfig(to=("ana",), quiet_days=366)
    trap = Trap(tmp_path, quiet, stations=("ours",))
    trap.heard("theirs")
    trap.heard("ours")
    assert trap.look(25 * HOUR) == ["2 stations are silent: ours, theirs"]
    trap.look(29 * DAY)

    assert trap.look(7 * DAY) == ["ours: still: silent, last heard 37.0 d ago, 2026-01-01 01:00"]


def test_a_battery_that_is_low_every_night_is_told_once(trap):
    def at(volts: float) -> list[str]:
        trap.heard("cam-03", battery={"volts": volts})
        return trap.look(HOUR)

    trap.config = HeartbeatConfig(to=("ana",), battery_v=11.5)
    trap.restart()
    told = [at(volts) for _day in range(5) for volts in [12.4] * 12 + [11.4] * 12]

    assert [each for each in told if each] == [["cam-03: battery low, 11.40 V"]]


def test_a_battery_between_its_two_thresholds_stays_what_it_was(trap):
    trap.config = HeartbeatConfig(to=("ana",), battery_v=11.5)
    trap.restart()
    told = []
    for volts in [11.4, 11.4, *[11.6, 11.7] * 40, *[11.9] * 26]:
        trap.heard("cam-03", battery={"volts": volts}, panel={"volts": 0.0})
        told += trap.look(HOUR)

    assert told == ["cam-03: battery low, 11.40 V", "cam-03: battery fine again, 11.90 V"]


def test_a_dip_that_does_not_last_is_not_told(trap):
    for percent in (80, 10, 80):
        trap.heard("cam-03", pijuice={"percent": percent, "volts": 3.7})
        assert trap.look(600) == []
    assert trap.rows().keys() == {"quiet"}


@pytest.mark.parametrize(
    ("health", "headline"),
    [
        ({"pijuice": {"percent": 12.0}}, "cam-03: battery low, 12%"),
        ({"supply_low": True}, "cam-03: its supply voltage is too low"),
        (
            {"disk_free_bytes": 500_000_000, "disk_bytes": 32_000_000_000},
            "cam-03: its disk is nearly full, 0.5 GB free",
        ),
        ({"spool": {"frames": 40, "oldest_s": 90_000}}, "cam-03: 40 frames wait there, the oldest for 25 h"),
        ({"drifts": True}, "cam-03: its clock is off by 2 min"),
    ],
)
def test_what_an_agent_says_of_itself_is_told_when_it_lasts(trap, health, headline):
    told = []
    for _each in range(4):
        trap.heard("cam-03", **health)
        told += trap.look(HOUR)

    assert told == [headline]


@pytest.mark.parametrize(
    "health",
    [
        {"battery": None, "supply_low": None, "disk_free_bytes": None, "disk_bytes": None, "spool": None},
        {
            "battery": {"volts": True, "percent": "low"},
            "supply_low": "yes",
            "disk_bytes": [],
            "spool": {"oldest_s": ""},
        },
        {"battery": 3, "spool": ["x"], "disk_free_bytes": 1},
    ],
)
def test_what_makes_no_sense_is_taken_for_nothing(trap, health):
    for _each in range(4):
        trap.heard("cam-03", **health)
        assert trap.look(HOUR) == []


def test_a_full_disk_is_told_at_once_and_when_there_is_room_again(tmp_path):
    trap = Trap(tmp_path, gather=timedelta(hours=2))
    trap.usage = (100_000_000_000, 0, 4_000_000_000)
    assert trap.look(60) == []
    trap.usage = (100_000_000_000, 0, 900_000_000)
    told = trap.look(600)
    assert told == ["Server: the disk is full, 0.9 GB free: soon no more frames are taken"]
    assert trap.rig.rows()[0].severity == "critical"
    trap.usage = ROOM
    trap.look(60)
    trap.look(HOUR)
    assert trap.look(3 * HOUR) == ["Server: the disk is not full any more"]


def test_a_worker_that_stands_still_is_told_and_a_busy_one_is_not(trap):
    for _minute in range(10):
        trap.pulse.ping()
        assert trap.look(60) == []
    trap.pulse.ping()
    told = []
    for _minute in range(10):
        trap.rig.clock.step(60)
        told += [each.words["headline"] for each in trap.watchman.look(trap.rig.clock.now())]

    assert told == ["Server: nothing is looked at: worker-1 stand still"]


def test_frames_that_nobody_looks_at_are_told(trap):
    trap.rig.see(animal())
    with trap.rig.store.transaction() as connection:
        connection.execute(frames.update().values(state="spooled"))

    assert trap.look(30 * 60) == []
    assert trap.look(40 * 60) == []
    assert trap.look(15 * 60) == ["Server: frames wait to be looked at, the oldest for 1 h"]


def test_a_channel_that_takes_nothing_is_told_through_another(tmp_path):
    trap = Trap(tmp_path, HeartbeatConfig(channels=("satellite",)), channels=("mail", "satellite"))
    trap.rig.inboxes["mail"].failures = [OSError("no\nnetwork")] * 100
    trap.rig.see(animal(JAGUAR))
    told = []
    for _minute in range(90):
        trap.rig.send()
        told += trap.look(60)

    assert len(told) == 1
    assert told[0].startswith("Server: channel mail takes nothing, for 1 h: ")
    assert "no network" in told[0]
    trap.rig.inboxes["mail"].failures = []
    trap.rig.live(HOUR)
    assert trap.look(0) == []
    assert trap.look(HOUR) == ["Server: channel mail works again"]


def test_a_source_that_fails_again_and_again_is_told(trap):
    for _each in range(3):
        trap.failures.note("mqtt", "connection refused", trap.rig.clock.monotonic_s())

    assert trap.look(60) == ["Server: source mqtt fails again and again: connection refused"]
    assert trap.look(HOUR) == []
    assert trap.look(HOUR) == ["Server: source mqtt runs again"]


def test_frames_in_quarantine_are_told_by_the_dozen(trap):
    for _each in range(49):
        trap.rig.store.quarantine_other(source="watch", name="x", reason="r", path="", now=trap.rig.clock.now())
    assert trap.look(60) == []
    trap.rig.store.quarantine_other(source="watch", name="x", reason="r", path="", now=trap.rig.clock.now())

    assert trap.look(60)[0].startswith("Server: 50 or more frames went into quarantine within a day")
    assert trap.look(12 * HOUR) == []
    assert trap.look(13 * HOUR) == ["Server: few frames go into quarantine again"]


def test_what_stays_bad_is_said_again_once_a_week(tmp_path):
    trap = Trap(tmp_path, HeartbeatConfig(to=("ana",), quiet_days=366))
    trap.heard("cam-03")
    told = [trap.look(6 * HOUR) for _each in range(4 * 23)]

    days = [number // 4 for number, each in enumerate(told) if each]
    assert days == [0, 7, 14, 21]
    assert [each[0].startswith("cam-03: still: silent") for each in told if each] == [False, True, True, True]


def test_a_slow_trickle_into_quarantine_is_not_told(trap):
    for _day in range(60):
        trap.rig.store.quarantine_other(source="watch", name="x", reason="r", path="", now=trap.rig.clock.now())
        told = trap.look(20 * HOUR)
        assert not [each for each in told if "quarantine" in each]


def test_a_backlog_that_moves_on_slowly_is_told(trap):
    for _each in range(8):
        trap.rig.see(animal())
        trap.rig.clock.step(30 * 60)
    with trap.rig.store.transaction() as connection:
        connection.execute(frames.update().values(state="spooled"))
    told = []
    for number in range(1, 5):
        told += trap.look(30 * 60)
        with trap.rig.store.transaction() as connection:
            connection.execute(frames.update().where(frames.c.pk == number).values(state="recorded"))

    assert told == ["Server: frames wait to be looked at, the oldest for 4 h"]


def test_a_week_without_alerts_is_told_by_day_with_what_was_seen(tmp_path):
    trap = Trap(tmp_path, stations=("ridge",))
    trap.rig.see(animal(JAGUAR))
    trap.rig.see()
    trap.rig.see()
    trap.rig.send()
    told = []
    for _each in range(6 * 16):
        trap.heard("cam-03")
        told.append(trap.look(4 * HOUR))

    when = [5 + number * 4 for number, each in enumerate(told) if each]
    assert [each for each in told if each] == [
        ["All is well: no alert for 7 days, 2 of 2 stations heard"],
        ["All is well: no alert for 14 days, 2 of 2 stations heard"],
    ]
    assert all(8 <= hour % 24 < 20 for hour in when)
    words = dict(trap.rig.rows()[-1].words["rows"])
    assert words["Last alert"] == "2026-01-01 01:00"
    first = next(row for row in trap.rig.rows() if row.kind == "health")
    assert dict(first.words["rows"]) == {
        "Stations heard": "2 / 2",
        "Frames received": "3",
        "Without animals": "67%",
        "Longest silent": "ridge, 7.3 d",
        "Free on the disk": "60.0 GB",
        "Last alert": "2026-01-01 01:00",
    }


def test_no_report_while_alerts_are_sent(tmp_path):
    trap = Trap(tmp_path)
    told = []
    for _day in range(10):
        trap.rig.see(animal(JAGUAR))
        trap.rig.send()
        for _part in range(6):
            trap.heard("ridge")
            told += trap.look(4 * HOUR)

    assert told == []


def test_the_report_says_what_is_not_well(trap):
    trap.heard("cam-03")
    told = [each for _hour in range(24 * 10) for each in trap.look(HOUR)]

    assert told == [
        "cam-03: silent, last heard 24 h ago, 2026-01-01 01:00",
        "No alert for 7 days, and not all is well: cam-03: silent, last heard 7.3 d ago, 2026-01-01 01:00",
    ]
    assert trap.rig.rows()[-1].words["rows"][0][0] == "cam-03"
    assert dict(trap.rig.rows()[-1].words["rows"])["Last alert"] == "never"


def test_each_is_told_in_their_own_language(tmp_path):
    ben = Recipient(name="ben", reach={"mail": "ben@example.org"}, language="es", timezone="America/Bogota")
    trap = Trap(tmp_path, HeartbeatConfig(to=("ana", "ben")), recipients=(ANA, ben))
    trap.heard("cam-03")

    assert trap.look(25 * HOUR) == [
        "cam-03: silent, last heard 25 h ago, 2026-01-01 01:00",
        "cam-03: sin señales, la última hace 25 h, 2025-12-31 20:00",
    ]


def test_quiet_hours_and_stop_hold_but_a_budget_does_not(tmp_path):
    quiet = Quiet(hours=("00:00-12:00",))
    ana = Recipient(name="ana", reach={"mail": "ana@example.org"}, quiet=quiet, per_day=1)
    ben = Recipient(name="ben", reach={"mail": "ben@example.org"}, per_day=1)
    trap = Trap(tmp_path, HeartbeatConfig(to=("ana", "ben")), recipients=(ana, ben))
    for station in ("cam-01", "cam-02", "cam-03"):
        trap.heard(station)
        trap.rig.clock.step(600)
    trap.look(23 * HOUR)
    for _each in range(20):
        trap.look(300)
        trap.rig.send()

    assert [row.state for row in trap.rig.rows() if row.who == "ana"] == ["digest"] * 3
    assert [row.state for row in trap.rig.rows() if row.who == "ben"] == ["sent"] * 3


def test_the_number_of_statements_does_not_depend_on_the_number_of_stations(tmp_path):
    counts = []
    for number in (3, 2_000):
        folder = tmp_path / str(number)
        folder.mkdir()
        trap = Trap(folder, started=False)
        _many(trap, number)
        trap.pass_s(HOUR)
        statements: list[str] = []
        event.listen(
            trap.rig.store._engine,
            "before_cursor_execute",
            lambda _c, _cursor, statement, *_rest, said=statements: said.append(statement),
        )
        trap.look(25 * HOUR)
        counts.append(len(statements))
        assert len(trap.rig.rows()) == 1

    assert counts[0] == counts[1] <= 12


def test_the_newest_frame_of_a_station_is_found_without_a_scan(trap):
    _many(trap, 3)
    said: list[tuple[str, object]] = []
    listener = lambda _c, _cursor, statement, parameters, *_rest: said.append((statement, parameters))  # noqa: E731  # because it is removed below
    event.listen(trap.rig.store._engine, "before_cursor_execute", listener)
    trap.look()
    event.remove(trap.rig.store._engine, "before_cursor_execute", listener)

    with trap.rig.store.transaction() as connection:
        plans = [
            row[3]
            for statement, parameters in said
            if statement.lstrip().startswith(("SELECT", "WITH")) and "frames" in statement
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    assert any("frames USING" in plan for plan in plans)
    assert not [plan for plan in plans if plan.startswith("SCAN frames") or "TEMP B-TREE" in plan]


def _many(trap: Trap, number: int) -> None:
    """So many stations, each with an agent, two frames and much to say."""
    now = trap.rig.clock.now()
    common = {"kind": "still", "path": "/x", "name": "x", "sha256": "0", "size_bytes": 1, "source": "mqtt"}
    with trap.rig.store.transaction() as connection:
        for index in range(number):
            agents.say(
                connection,
                f"cam-{index}",
                now=now,
                health={"battery": {"percent": 50}, "supply_low": False},
                health_at=now,
            )
        rows = [
            {
                **common,
                "station": f"cam-{index}",
                "id": f"{index}-{seq}",
                "received_at": now,
                "boot_count": 1,
                "seq": seq,
            }
            for index in range(number)
            for seq in (1, 2)
        ]
        connection.execute(insert(frames), rows)


def test_a_station_is_heard_by_its_newest_frame_whoever_sent_it(trap):
    at = trap.rig.clock.now()
    common = {"kind": "still", "path": "/x", "name": "x", "sha256": "0", "size_bytes": 1, "source": "mqtt"}
    with trap.rig.store.transaction() as connection:
        for frame_id, boot, seq, hours in (("a", 3, 1, 0), ("b", 3, 2, 5), ("c", 2, 9, 1), ("card", 0, 0, 7)):
            values = {"station": "s", "id": frame_id, "boot_count": boot, "seq": seq}
            connection.execute(insert(frames), {**common, **values, "received_at": at + timedelta(hours=hours)})
        from edge.store import watched as queries  # noqa: PLC0415  # because the name is the table's above

        assert queries.frames_heard(connection) == {"s": at + timedelta(hours=7)}
        assert queries.frames_since(connection, at + timedelta(hours=6)) == 1


def test_without_frames_and_stations_a_look_says_nothing(trap):
    assert trap.look(60) == []
    assert trap.rows().keys() == {"quiet"}


def test_a_look_that_fails_is_said_and_the_next_one_goes_on(trap, monkeypatch):
    import threading  # noqa: PLC0415  # because this test alone needs it

    stop, looked = threading.Event(), []

    def look(_now: datetime) -> list[str]:
        looked.append(1)
        if len(looked) == 2:
            stop.set()
        raise ValueError("a bug")

    monkeypatch.setattr("edge.pipeline.watchman.EVERY_S", 0.001)
    monkeypatch.setattr(Watchman, "look", lambda _self, now: look(now))
    trap.watchman.run(stop)

    assert [event for _level, event, _fields in trap.rig.services.log.entries] == ["heartbeat.failed"] * 2


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["heard", "heard and looked", "restart", "crash"]),
        st.sampled_from([365, -365, 1, -1]).map(lambda days: ("jump", days)),
        st.sampled_from([60, 12 * HOUR, 26 * HOUR]).map(lambda seconds: ("pass", seconds)),
    ),
    max_size=25,
)


@settings(max_examples=30, deadline=None)
@given(STEPS)
@example([("pass", 26 * HOUR), ("jump", -365), "restart"])
@example(["heard and looked", "heard", ("jump", 365), ("pass", 60)])
def test_a_station_is_told_of_once_an_episode_whatever_happens_to_clock_and_process(steps):
    """Between two messages that it is silent it was heard; none that it is back without it having been."""
    with TemporaryDirectory() as folder:
        config = HeartbeatConfig(to=("ana",), quiet_days=366, remind_days=366)
        trap = Trap(Path(folder), config)
        trap.heard("cam-03")
        heard_since, told, read, silent_s, restarted = True, False, 0, 0.0, False
        for step in steps:
            match step:
                case "heard" | "heard and looked":
                    trap.rig.clock.step(1)
                    trap.heard("cam-03")
                    heard_since, silent_s, restarted = True, trap.rig.clock.monotonic_s(), False
                case "restart" | "crash":
                    restarted = True
                    trap.started = step == "restart"
                    trap.restart()
                case ("jump", days):
                    trap.rig.clock.at += timedelta(days=days)
                case ("pass", seconds):
                    trap.pass_s(seconds)
            if step not in {"heard", "crash"}:
                trap.look(1)
            rows = trap.rig.rows()
            lines = [row.words["headline"] for row in rows[read:]]
            read = len(rows)
            for line in lines:
                if "still" in line or "ll is well" in line:
                    continue  # over a restart and a jump of a year a reminder or a report is due
                if "heard again" in line:
                    assert (told, heard_since) == (True, True)
                    told = False
                else:
                    assert (told, heard_since) == (False, True)
                    # over a restart the wall clock has to do
                    assert restarted or trap.rig.clock.monotonic_s() - silent_s >= DAY
                    told, heard_since = True, False
        trap.rig.store.close()


def test_a_clock_that_jumps_a_year_makes_no_station_silent(trap):
    trap.heard("cam-03")
    trap.look(60)
    trap.rig.clock.at += timedelta(days=365)
    trap.look(60)
    trap.heard("cam-03")
    trap.rig.clock.at -= timedelta(days=365)

    assert [trap.look(HOUR) for _each in range(20)] == [[]] * 20
    assert len(trap.look(6 * HOUR)) == 1


SITE = """
sources: [{{use: watch, folder: inbox}}]
channels: [{{name: screen, use: console}}]
recipients: [{{name: ana, reach: {{screen: x}}}}]
alerts:
  heartbeat: {heartbeat}
"""


@pytest.mark.parametrize(
    ("heartbeat", "fault"),
    [
        ("{channels: [scren]}", "alerts.heartbeat.channels[0]: no channel is called 'scren'; did you mean 'screen'?"),
        ("{to: [anna]}", "alerts.heartbeat.to[0]: no recipient is called 'anna'; did you mean 'ana'?"),
        ("{to: [ana/sms]}", "alerts.heartbeat.to[0]: no recipient is called 'ana/sms'"),
        ("{silent_h: 3}", "alerts.heartbeat: the heartbeat needs `to:` (recipients) or `channels:`"),
        ("{to: [ana], silent_h: 0}", "alerts.heartbeat.silent_h: "),
        ("{to: [ana], stations: {'../x': {}}}", "alerts.heartbeat.stations"),
        ("{to: [ana], silent: 3}", "alerts.heartbeat.silent: nothing is called 'silent' here"),
    ],
)
def test_a_wrong_heartbeat_is_refused_with_its_place(heartbeat, fault, tmp_path):
    with pytest.raises(ConfigError) as caught:
        plan_from(SITE.format(heartbeat=heartbeat), tmp_path / "site.yaml", load_registry())

    assert fault in str(caught.value)
