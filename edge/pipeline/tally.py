"""Observers of the eight verbs: counts for the status file, lines for the log, the plugins' event hook."""

import json
import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from ..model import VERBS, Event
from ..paths import write_atomically
from ..services import Log
from .runner import Failed, attempt


@dataclass(slots=True)
class Tally:
    """How often each verb happened and failed since the start."""

    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, event: Event) -> None:
        """Count one event."""
        with self._lock:
            (self.done if event.ok else self.failed)[event.verb] += 1

    def as_dict(self) -> dict[str, dict[str, int]]:
        """{"receive": {"done": 3, "failed": 0}, …} for all eight verbs, in their order."""
        with self._lock:
            return {verb: {"done": self.done[verb], "failed": self.failed[verb]} for verb in VERBS}


@dataclass(frozen=True, slots=True)
class Observers:
    """Tells everybody who wants to know; never raises."""

    tally: Tally
    log: Log
    manager: pluggy.PluginManager

    def __call__(self, event: Event) -> None:
        """Count it, log it, hand it to the plugins."""
        self.tally.count(event)
        say = self.log.info if event.ok else self.log.warning
        say(f"frame.{event.verb}", ok=event.ok, station=event.station, frame_id=event.frame_id, **event.fields)
        if self.manager.hook.tigrillo_event.get_hookimpls():
            told = attempt(lambda: self.manager.hook.tigrillo_event(event=event))
            if isinstance(told, Failed):
                self.log.error("event.hook_failed", reason=told.reason)


def write_status(path: Path, tally: Tally, **fields: Any) -> None:
    """Write the counts where `tigrillo demo`, `doctor` and people find them; whole or not at all."""
    body = json.dumps({"pid": os.getpid(), "verbs": tally.as_dict(), **fields}, indent=1)
    write_atomically(path, body.encode())
