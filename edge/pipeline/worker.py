"""Hops 4 to 6 in one thread: claim the oldest frame, let the stages look at it, record what they say.

A worker holds one frame at a time, so `limits.inbox_frames` workers bound the decoded pictures in memory.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection

from ..alerts.desk import AlertDesk
from ..model import Event, Outcome, SpooledFrame
from ..services import Services
from ..store.sql import Store
from .pulse import Pulse
from .recording import note_outcome
from .runner import Done, Failed, Halted, Runner, attempt

MAX_ATTEMPTS = 3  # a frame that took the process down this often goes to quarantine
IDLE_S = 0.2  # between looks when nothing waits
BUSY_S = 2.0  # before the store is asked again that gave no answer: a full disk must not be filled with log lines
RETRY_S = (2.0, 60.0)  # pause before a frame is claimed again: first, and at most


def _nobody() -> None:
    """There is nobody to tell."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One lane of the pipeline. stop: take no new frame. halt: give back the one in hand. queued: messages wait now."""

    name: str
    store: Store
    services: Services
    runner: Runner
    desk: AlertDesk
    pulse: Pulse
    stop: threading.Event
    halt: threading.Event
    queued: Callable[[], None] = _nobody

    def run(self) -> None:
        """Work until `stop` is set; the frame in hand is finished first."""
        while not self.stop.is_set():
            self.pulse.beat(self.name)
            took = attempt(self.work_once)
            if isinstance(took, Failed):
                self.services.log.error("claim.failed", worker=self.name, reason=took.reason)
                self.stop.wait(BUSY_S)
            elif not took.value:
                self.stop.wait(IDLE_S)

    def work_once(self) -> bool:
        """Deal with one frame; False when none waits. Raises StoreBusy, FatalError."""
        spooled = self.store.claim_next(self.services.clock.now())
        if spooled is None:
            return False
        self._emit("claim", spooled)
        if spooled.attempts > MAX_ATTEMPTS:
            reason = f"given up after {MAX_ATTEMPTS} attempts that ended without an answer"
            self._insist(lambda: self._quarantine(spooled, reason))
            return True
        result = attempt(lambda: self.runner.look_at(spooled, beat=self._beat))
        if isinstance(result, Done):
            outcome = result.value
            self._emit("stage", spooled, ms=round(sum(outcome.stage_ms.values()), 1))
            recorded = self._insist(lambda: self._record(outcome))
            failed = recorded if isinstance(recorded, Failed) else None
        else:
            failed = result
        if failed:
            told = self._insist(partial(self._react, spooled, failed))
            if isinstance(told, Failed):  # it stays in work, and is claimed again after the next start
                self.services.log.error("stage.stuck", frame_id=spooled.id, reason=told.reason)
        return True

    def _insist(self, write: Callable[[], None]) -> Done[None] | Failed:
        """Write to the store until it answers: the work on the frame is done and must not be lost to a busy moment."""
        while True:
            written = attempt(write)
            if isinstance(written, Done) or written.reaction != "wait" or self.halt.is_set():
                return written
            self.services.log.warning("store.busy", worker=self.name, reason=written.reason)
            self.pulse.beat(self.name)
            self.halt.wait(BUSY_S)

    def _beat(self) -> None:
        self.pulse.beat(self.name)
        if self.halt.is_set():
            raise Halted("the program is ending")

    def _record(self, outcome: Outcome) -> None:
        now, queued = self.services.clock.now(), 0

        def alert(connection: Connection) -> None:
            nonlocal queued
            queued = note_outcome(connection, outcome, self.desk, now)

        if self.store.record(outcome, now=now, also=alert):
            self._emit("record", outcome.spooled, detections=len(outcome.detections()), alerts=queued)
            if queued:
                self.queued()

    def _react(self, spooled: SpooledFrame, failed: Failed) -> None:
        if failed.reaction == "quarantine" or (failed.reaction == "bug" and spooled.attempts >= MAX_ATTEMPTS):
            self._quarantine(spooled, failed.reason)
            return
        first_s, most_s = RETRY_S
        pause_s = min(most_s, first_s * 2**spooled.attempts) * random.uniform(0.5, 1.0)  # noqa: S311  # because it is jitter, no secret
        self.store.release(
            spooled.pk,
            not_before=self.services.clock.now() + timedelta(seconds=0 if self.halt.is_set() else pause_s),
            reason=failed.reason,
            count_attempt=failed.reaction == "bug",
        )
        self._emit("stage", spooled, ok=False, reason=failed.reason)

    def _quarantine(self, spooled: SpooledFrame, reason: str) -> None:
        self.store.quarantine_frame(spooled, reason=reason, now=self.services.clock.now())
        self._emit("stage", spooled, ok=False, reason=reason, quarantined=True)

    def _emit(self, verb: str, spooled: SpooledFrame, *, ok: bool = True, **fields: object) -> None:
        now = self.services.clock.now()
        self.services.emit(Event(verb, now, ok=ok, station=spooled.station, frame_id=spooled.id, fields=fields))
