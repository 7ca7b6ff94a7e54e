"""What agents say of themselves, and what they are asked to do."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from edge.clock import SteppedClock
from edge.errors import RefusedError
from edge.messages import Health, Hello, Result, Status
from edge.pipeline.roster import StoreRoster, queue_command
from edge.store.agents import Agents
from edge.store.sql import Store
from edge.testing import MemoryLog

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
SOON = timedelta(minutes=10)


@pytest.fixture
def site(tmp_path):
    events, clock = [], SteppedClock(NOW)
    with Store(f"sqlite:///{tmp_path / 'site.sqlite'}") as store:
        roster = StoreRoster(store, state_dir=tmp_path, clock=clock, emit=events.append, log=MemoryLog())
        yield roster, Agents(store), clock, events


def hello(clock=NOW, boot="b1"):
    return Hello("1.4", boot, clock, clock_ok=True)


def health(at=NOW, **values):
    return Health(at, "b1", "1.4", "ok", 12.0, values)


def test_an_agent_comes_and_goes_with_one_event_each(site):
    roster, agents, clock, events = site

    roster.heard([("cam-1", hello()), ("cam-1", Status(online=True, boot="b1"))], live=True)
    clock.step(60)
    roster.heard([("cam-1", Status(online=False, boot="b1")), ("cam-1", Status(online=False, boot="b1"))], live=True)

    assert [(event.verb, event.station) for event in events] == [
        ("station.online", "cam-1"), ("station.offline", "cam-1"),
    ]  # fmt: skip
    state = agents.state("cam-1")
    assert (state.online, state.online_since, state.version, state.boot) == (False, clock.now(), "1.4", "b1")


@pytest.mark.parametrize(("off_s", "flagged"), [(29, False), (-29, False), (31, True), (-365 * 86400, True)])
def test_a_clock_that_is_off_by_more_than_30_s_is_flagged_and_said_once(site, off_s, flagged):
    roster, agents, clock, events = site

    for _ in range(3):
        clock.step(600)
        roster.heard([("cam-1", health(clock.now() + timedelta(seconds=off_s)))], live=True)

    state = agents.state("cam-1")
    assert (state.drift_s, state.drifts) == (-off_s, flagged)
    assert [event.verb for event in events if event.verb != "station.health"] == ["station.drift"] * flagged


def test_what_waited_in_the_broker_says_nothing_of_a_clock(site):
    roster, agents, _clock, events = site

    roster.heard([("cam-1", health(NOW - timedelta(hours=1)))], live=False)

    assert agents.state("cam-1").drift_s is None
    assert [(event.verb, event.fields["drifts"]) for event in events] == [("station.health", None)]


def test_observers_are_told_the_health_of_a_station_as_it_said_it(site):
    roster, _agents, _clock, events = site

    roster.heard([("cam-1", health(temperature_c=41.5, battery={"volts": 12.1}, supply_low=None))], live=True)

    [event] = events
    assert (event.verb, event.ok, event.station) == ("station.health", True, "cam-1")
    assert event.fields["drifts"] is False
    assert event.fields["health"] == {
        "at": NOW.isoformat(), "boot": "b1", "version": "1.4", "clock": "ok", "uptime_s": 12.0,
        "temperature_c": 41.5, "battery": {"volts": 12.1}, "supply_low": None,
    }  # fmt: skip


def test_the_last_health_is_kept_and_its_history_is_bounded(site):
    roster, agents, clock, _events = site

    for number in range(120):
        roster.heard([("cam-1", health(clock.now(), number=number))], live=True)
        clock.step(1)
    rows = agents.health_history("cam-1", since=NOW)
    clock.step(91 * 86400)
    roster.heard([("cam-1", health(clock.now(), number=1000))], live=True)

    assert agents.state("cam-1").health["number"] == 1000
    assert [row["number"] for _at, row in rows] == [0, 55, 110]
    assert [row["number"] for _at, row in agents.health_history("cam-1", since=NOW)] == [1000]


def queue(tmp_path, station="cam-1", name="capture", expires_at=NOW + SOON, **args):
    return queue_command(tmp_path, station, name, args, now=NOW, expires_at=expires_at)


def test_a_command_is_due_only_while_its_station_is_connected(site, tmp_path):
    roster, agents, _clock, _events = site
    wanted = queue(tmp_path, name="want", frame="b-7")

    before = roster.due_commands()
    roster.heard([("cam-1", hello())], live=True)
    ((station, command),) = roster.due_commands()
    roster.command_sent(command.id)

    assert before == []
    assert (station, command.id, command.name, command.args) == ("cam-1", wanted, "want", {"frame": "b-7"})
    assert roster.due_commands() == []
    assert list((tmp_path / "commands").iterdir()) == []
    assert agents.command(wanted).state == "sent"


def test_a_command_without_an_answer_is_sent_again_when_its_station_connects_anew(site, tmp_path):
    roster, _agents, _clock, _events = site
    roster.heard([("cam-1", hello())], live=True)
    wanted = queue(tmp_path)
    roster.due_commands()
    roster.command_sent(wanted)

    roster.heard([("cam-1", hello(boot="b2"))], live=True)
    again = [command.id for _station, command in roster.due_commands()]
    roster.command_sent(wanted)
    roster.heard([("cam-1", Result(wanted, ok=True, text="taken")), ("cam-1", hello(boot="b3"))], live=True)

    assert again == [wanted]
    assert roster.due_commands() == []


def test_an_answer_is_kept_when_it_comes_from_the_station_that_was_asked(site, tmp_path):
    roster, agents, _clock, events = site
    roster.heard([("cam-1", hello()), ("cam-2", hello())], live=True)
    wanted = queue(tmp_path)
    roster.due_commands()
    roster.command_sent(wanted)

    roster.heard([("cam-2", Result(wanted, ok=True, text="forged"))], live=True)
    forged = agents.command(wanted).state
    roster.heard([("cam-1", Result(wanted, ok=False, text="the camera is away"))] * 2, live=True)

    row = agents.command(wanted)
    assert (forged, row.state, row.text) == ("sent", "failed", "the camera is away")
    assert [(event.verb, event.ok) for event in events if event.verb == "station.result"] == [("station.result", False)]


def test_a_command_past_its_time_is_not_sent(site, tmp_path):
    roster, agents, clock, _events = site
    roster.heard([("cam-1", hello())], live=True)
    wanted = queue(tmp_path)

    clock.step(SOON.total_seconds() + 1)

    assert roster.due_commands() == []
    assert agents.command(wanted).state == "expired"


def test_commands_are_sent_in_the_order_in_which_they_were_given(site, tmp_path):
    roster, _agents, _clock, _events = site
    roster.heard([("cam-1", hello())], live=True)
    given = [
        queue_command(tmp_path, "cam-1", "capture", {}, now=NOW + timedelta(seconds=n), expires_at=NOW + SOON)
        for n in range(12)
    ]

    sent = []
    while due := roster.due_commands():
        for _station, command in due:
            roster.command_sent(command.id)
            sent.append(command.id)

    assert sent == given


@pytest.mark.parametrize(
    ("station", "name", "args"),
    [
        ("cam-1", "explode", {}),
        ("../x", "capture", {}),
        ("cam-1", "want", {"a": [[1]]}),
        ("c", "want", {"n": float("nan")}),
    ],
)
def test_a_command_that_could_not_be_sent_is_not_queued(site, tmp_path, station, name, args):
    with pytest.raises(RefusedError):
        queue_command(tmp_path, station, name, args, now=NOW, expires_at=NOW)

    assert list((tmp_path / "commands").iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{}", json.dumps({"station": "a/b", "command": "{}"}).encode(), b'{"station": 1}']
)
def test_a_file_that_is_no_command_is_put_away_and_holds_up_no_other(site, tmp_path, content):
    roster, _agents, _clock, _events = site
    roster.heard([("cam-1", hello())], live=True)
    (tmp_path / "commands" / "0.json").write_bytes(content)
    wanted = queue(tmp_path)

    assert [command.id for _station, command in roster.due_commands()] == [wanted]
    assert [path.name for path in (tmp_path / "commands").iterdir()] == ["0.refused"]
