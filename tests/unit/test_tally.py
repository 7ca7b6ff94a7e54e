"""What observers are told: all is counted, a flood of refusals fills no log."""

from datetime import UTC, datetime

import pluggy
import pytest

from edge import hookspecs
from edge.model import Event
from edge.pipeline import tally as tally_module
from edge.pipeline.tally import Observers, Tally
from edge.testing import MemoryLog

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)


def refusal(station="cam-1", kind="header"):
    return Event("receive", NOW, ok=False, station=station, fields={"refusal": kind, "reason": "x"})


@pytest.fixture
def observers():
    manager = pluggy.PluginManager("tigrillo")
    manager.add_hookspecs(hookspecs)
    return Observers(Tally(), MemoryLog(), manager)


def test_refusals_are_counted_by_kind_and_said_once_a_minute_station_and_kind(observers, monkeypatch):
    now_s = 100.0
    monkeypatch.setattr(tally_module.time, "monotonic", lambda: now_s)
    for _ in range(50):
        for event in (refusal(), refusal("cam-2"), refusal(kind="station")):
            observers(event)
    first = len(observers.log.entries)
    now_s = 161.0
    observers(refusal())

    assert (first, len(observers.log.entries)) == (3, 4)
    assert observers.tally.refusals() == {"header": 101, "station": 50}
    assert observers.tally.as_dict()["receive"]["failed"] == 151


def test_made_up_station_names_fill_neither_memory_nor_log(observers, monkeypatch):
    monkeypatch.setattr(tally_module, "MOST_SAID", 10)

    for number in range(1000):
        observers(refusal(f"cam-{number}"))

    assert len(observers.log.entries) == 11
    assert observers.tally.refusals() == {"header": 1000}


def test_every_other_event_is_said_each_time(observers):
    for _ in range(3):
        observers(Event("receive", NOW, station="cam-1"))
        observers(Event("station.offline", NOW, ok=False, station="cam-1"))

    assert [name for _level, name, _fields in observers.log.entries] == ["frame.receive", "station.offline"] * 3


def test_health_is_told_to_plugins_and_fills_no_log(observers):
    told = []

    class Plugin:
        @hookspecs.hookimpl
        def tigrillo_event(self, event):
            told.append(event.verb)

    observers.manager.register(Plugin())
    for _ in range(3):
        observers(Event("station.health", NOW, station="cam-1"))

    assert told == ["station.health"] * 3
    assert observers.log.entries == []
