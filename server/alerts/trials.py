"""Simulations of rules, each a child process: one at a time, bounded in time, with what it says on its way."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.foreign import foreign
from edge.i18n import mark

MOST_S = 180.0
MOST_WAITING = 3
MODULE = "server.alerts.simulating"
TOO_LONG = mark("It took too long: choose fewer days.")
ENDED = mark("The simulation ended without a result: it is in the log, or the machine has too little memory.")

_turn = threading.Lock()  # two cores: the daemon needs one of them
_waiting = threading.BoundedSemaphore(MOST_WAITING)


class BusyError(Exception):
    """As many simulations as may wait do."""


@dataclass(slots=True)
class Trial:
    """One simulation. state: waits, runs, done or failed. result: as simulating.py gives it. error: for people."""

    days: int
    state: str = "waits"
    done: int = 0
    total: int = 0
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    _process: subprocess.Popen[str] | None = None
    _stopped: bool = False

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.state in {"done", "failed"}

    @property
    def percent(self) -> int:
        """How far it is, 0..100."""
        return round(100 * self.done / self.total) if self.total else 0

    def stop(self) -> None:
        """Nobody wants it any more."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()


def begin(site: Path, text: str, rule: str, days: int) -> Trial:
    """Start one in a thread. Raises BusyError."""
    trial = Trial(days)
    if not _waiting.acquire(blocking=False):
        raise BusyError
    threading.Thread(target=_run, args=(trial, site, text, rule), name="simulation", daemon=True).start()
    return trial


def run_now(site: Path, text: str, rule: str, days: int) -> Trial:
    """Run one, and come back when it is over. Raises BusyError."""
    trial = Trial(days)
    if not _waiting.acquire(blocking=False):
        raise BusyError
    _run(trial, site, text, rule)
    return trial


def _run(trial: Trial, site: Path, text: str, rule: str) -> None:
    try:
        with _turn:
            _follow(trial, site, text, rule)
    finally:
        _waiting.release()
        if not trial.is_over:
            trial.error, trial.state = trial.error or ENDED, "failed"


def _follow(trial: Trial, site: Path, text: str, rule: str) -> None:
    if trial._stopped:  # noqa: SLF001  # because this is its own machinery
        return
    command = (sys.executable, "-P", "-m", MODULE, str(site.absolute()), str(trial.days))
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0)
    except OSError as exc:
        trial.error = foreign(exc.strerror or exc)
        return
    trial._process, trial.state = process, "runs"  # noqa: SLF001
    watchdog = threading.Timer(MOST_S, _too_long, (trial, process))
    watchdog.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdout:  # around the other, whose end may find nobody there any more
            with process.stdin:
                process.stdin.write(json.dumps({"text": text, "rule": rule}))
            for line in process.stdout:
                _take(trial, json.loads(line))
        process.wait()
    except (OSError, ValueError):
        process.kill()
        process.wait()
    finally:
        watchdog.cancel()


def _take(trial: Trial, said: Mapping[str, Any]) -> None:
    if "result" in said:
        trial.result, trial.state = said["result"], "done"
    elif "error" in said:
        trial.error, trial.state = str(said["error"]), "failed"
    else:
        trial.done, trial.total = int(said["done"]), int(said["total"])


def _too_long(trial: Trial, process: "subprocess.Popen[str]") -> None:
    trial.error = TOO_LONG
    process.kill()
