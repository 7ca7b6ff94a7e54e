"""Run a site for good: anew for each change of its YAML, and with the text before when the new one does not come up.

The lock of the site is held throughout, so that no command takes the pause between two runs for the end.
"""

import signal
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

from .clock import Clock
from .config import Plan, check_complete, plan_from
from .configuring.changes import Change, Changes
from .configuring.desk import ConfigurationDesk
from .configuring.proposal import read_site, state_dir_of
from .configuring.trial import Taken, put_back, take_up
from .daemon import only_one
from .errors import FatalError
from .pipeline.control import Control
from .pipeline.runner import Failed, attempt
from .registry import Registry
from .running import run_site
from .sd_notify import ALIVE, notify
from .services import Log
from .store.sql import Store

FEED_S = 5.0  # the watchdog, while no site is open
FEED_MOST_S = 180.0  # as TimeoutStartSec of the unit: what takes longer hangs, and is started again
LONGEST_REASON = 2_000


class _Ended(KeyboardInterrupt):  # the error ladder lets a KeyboardInterrupt pass
    """SIGTERM while a site is being opened."""


def run_for_good(path: Path, registry: Registry, *, log: Log, clock: Clock) -> None:
    """Run the site at `path` until SIGTERM or SIGINT. Raises FatalError when it can't start or go on."""
    text, _base = read_site(path)
    changes = Changes(state_dir_of(path, text))
    if not changes.folder.is_dir():
        load(text, path, registry)  # before the lock: a wrong configuration makes no folder
    done = threading.Event()
    with only_one(changes.state_dir):
        turns = _Turns(path, registry, changes, log, clock)
        feeder = threading.Thread(target=turns.feed_watchdog, args=(done,), name="between-runs", daemon=True)
        feeder.start()
        before = signal.getsignal(signal.SIGTERM)
        try:
            turns.run(text)
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)
            done.set()
            feeder.join()


def load(text: str, path: Path, registry: Registry) -> Plan:
    """A text as a site that a daemon can run. Raises ConfigError."""
    plan = plan_from(text, path, registry)
    check_complete(plan)
    return plan


@dataclass(slots=True)
class _Turns:
    """One run after the other."""

    path: Path
    registry: Registry
    changes: Changes
    log: Log
    clock: Clock
    _control: Control = field(default_factory=Control)
    _runs: int = 0

    def run(self, text: str) -> None:
        """Until nothing is left to run."""
        try:
            self._run_all(text)
        except KeyboardInterrupt as exc:  # while no site ran: what was on trial is tried again at the next start
            if (trial := self.changes.trial()) is not None:
                attempt(partial(self.changes.postpone, trial))
            if not isinstance(exc, _Ended):
                raise

    def _run_all(self, text: str) -> None:
        _catch_sigterm()
        taken: Taken | None = self._take_up(text)
        while taken is not None:
            control = self._control = self._control_of(taken.trial)
            self._runs += 1
            reason = self._one_run(taken, control)
            _catch_sigterm()  # a site that ran has taken the handler away
            taken = self._next(taken, control, reason)

    def feed_watchdog(self, done: threading.Event) -> None:
        """Tell systemd that we live while no heartbeat does: between two runs."""
        fed_s = 0.0
        while not done.wait(FEED_S):
            control = self._control
            between = control.reload.is_set() or (self._runs > 1 and not control.opened.is_set())
            fed_s = fed_s + FEED_S if between else 0.0
            if between and fed_s <= FEED_MOST_S:
                attempt(partial(notify, ALIVE))

    def _take_up(self, text: str) -> Taken:
        taken = take_up(self.changes, self.path, text, self.clock.now())
        self._say(taken.outcome)
        return taken

    def _control_of(self, trial: Change | None) -> Control:
        control = Control(desk=self._desk, trial=trial is not None, excused=self._control.failing)
        if trial is not None:
            control.keep = partial(self._keep, trial)
        return control

    def _desk(self, store: Store) -> ConfigurationDesk:
        return ConfigurationDesk(self.path, self.changes.state_dir, self.registry, store, self.clock, tried=True)

    def _keep(self, trial: Change) -> None:
        self._say(self.changes.close(trial, "kept", "", self.clock.now()))

    def _one_run(self, taken: Taken, control: Control) -> str:
        """Run until the end; why a change that is tried has failed, "" when it has not. Raises FatalError."""

        def work() -> None:
            plan = load(taken.text, self.path, self.registry)
            run_site(plan, self.registry, log=self.log, clock=self.clock, control=control)

        if taken.trial is None:
            work()
            return ""
        try:
            ended = attempt(work)
        except FatalError as exc:
            if self.changes.trial() is None:
                raise  # it was kept long ago, and ends like any other
            return str(exc)
        return ended.reason if isinstance(ended, Failed) else control.failed

    def _next(self, taken: Taken, control: Control, reason: str) -> Taken | None:
        """What to run now; None for nothing."""
        judged = taken.trial is None or self.changes.trial() is None
        if reason and taken.trial is not None and not judged:
            text, closed = put_back(self.changes, taken.trial, self.path, reason[:LONGEST_REASON], self.clock.now())
            self._say(closed)
            return None if control.signalled else Taken(text)
        if control.signalled and taken.trial is not None and not judged:
            attempt(partial(self.changes.postpone, taken.trial))
        if reason and judged:
            raise FatalError(reason)
        if control.signalled or not control.reload.is_set():
            return None
        text, _base = read_site(self.path)
        return self._take_up(text)

    def _say(self, change: Change | None) -> None:
        if change is None:
            return
        say = self.log.info if change.state == "kept" else self.log.error
        say(f"configuration.{change.state}", change=change.id, who=change.who, reason=change.reason)


def _catch_sigterm() -> None:
    """Have a SIGTERM end in good order what is done while no site runs; one that runs has its own way."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _Ended
