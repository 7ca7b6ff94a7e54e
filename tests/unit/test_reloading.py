"""One run after the other: what is told to systemd meanwhile, and what a start with a wrong site leaves."""

import threading

import pytest

from edge import reloading
from edge.clock import SteppedClock
from edge.configuring.changes import Changes
from edge.errors import ConfigError
from edge.fakes import MemoryLog
from edge.pipeline.control import Control
from edge.registry import load_registry
from edge.reloading import _Turns, run_for_good
from edge.sd_notify import ALIVE
from tests.e2e.waiting import wait_until


@pytest.fixture
def turns(tmp_path):
    return _Turns(tmp_path / "site.yaml", load_registry(), Changes(tmp_path / "state"), MemoryLog(), SteppedClock())


def test_a_wrong_site_makes_no_folder(tmp_path):
    (tmp_path / "site.yaml").write_text("sources: []\nstages: [{use: motion}]\n")

    with pytest.raises(ConfigError, match="nothing is named"):
        run_for_good(tmp_path / "site.yaml", load_registry(), log=MemoryLog(), clock=SteppedClock())

    assert [each.name for each in tmp_path.iterdir()] == ["site.yaml"]


@pytest.mark.parametrize("between", [True, False])
def test_the_watchdog_is_fed_between_two_runs_and_not_for_a_site_that_runs(turns, monkeypatch, between):
    told, looks, done = [], [], threading.Event()
    monkeypatch.setattr(reloading, "FEED_S", 0.001)
    monkeypatch.setattr(reloading, "FEED_MOST_S", 0.005)
    monkeypatch.setattr(reloading, "notify", told.append)
    control = turns._control = Control()
    control.opened.set()
    if between:
        control.reload.set()
    reload = control.reload.is_set
    control.reload.is_set = lambda: (looks.append(1), reload())[1]
    feeder = threading.Thread(target=turns.feed_watchdog, args=(done,))
    feeder.start()

    wait_until(lambda: len(looks) > 20)
    done.set()
    feeder.join()

    assert told == ([ALIVE] * 5 if between else [])  # what takes longer hangs: systemd is to start us again
