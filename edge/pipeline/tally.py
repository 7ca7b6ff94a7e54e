"""Observers of what happens: counts for the status file, lines for the log, the plugins' event hook."""

import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pluggy

from ..hookspecs import Observes
from ..model import VERBS, Event
from ..paths import write_atomically
from ..redaction import redacted_value
from ..services import Log
from .runner import Failed, attempt

SAY_AGAIN_S = 60.0  # a refusal of one kind by one station is said so often; all are counted
MOST_SAID = 1_000  # (station, kind) pairs kept in mind: whoever makes up station names must not fill the memory


@dataclass(slots=True)
class Tally:
    """How often each verb happened and failed since the start, and how often what was refused, by kind."""

    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    deferred: int = 0  # how often a sender was left without an answer for want of room; it sends again
    _deferred_last: Event | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, event: Event) -> None:
        """Count one event."""
        with self._lock:
            if "deferred" in event.fields:
                self.deferred += 1
                self._deferred_last = event
                return
            (self.done if event.ok else self.failed)[event.verb] += 1
            if kind := event.fields.get("refusal"):
                self.refused[str(kind)] += 1

    def as_dict(self) -> dict[str, dict[str, int]]:
        """{"receive": {"done": 3, "failed": 0}, …} for all eight verbs, in their order."""
        with self._lock:
            return {verb: {"done": self.done[verb], "failed": self.failed[verb]} for verb in VERBS}

    def deferrals(self) -> dict[str, object]:
        """{"count", "at", "reason"}, the last two of the newest; "at" and "reason" are "" when nothing had to wait."""
        with self._lock:
            last = self._deferred_last
            at, reason = (last.at.isoformat(), str(last.fields["deferred"])) if last else ("", "")
            return {"count": self.deferred, "at": at, "reason": reason}

    def refusals(self) -> dict[str, int]:
        """What sources refused since the start: {"topic": 3, "station": 120}."""
        with self._lock:
            return dict(self.refused)


@dataclass(frozen=True, slots=True)
class Observers:
    """Tells everybody who wants to know; never raises. watchers: channels that show what happens."""

    tally: Tally
    log: Log
    manager: pluggy.PluginManager
    watchers: list[Observes] = field(default_factory=list)
    _said_at_s: dict[tuple[str, str], float] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Count it, log it, hand it to the plugins; without the secrets that may stand in an error's text."""
        event = replace(event, fields=redacted_value(event.fields))
        self.tally.count(event)
        if self._is_news(event):
            say = self.log.info if event.ok else self.log.warning
            name = f"frame.{event.verb}" if event.verb in VERBS else event.verb
            say(name, ok=event.ok, station=event.station, frame_id=event.frame_id, **event.fields)
        if self.manager.hook.tigrillo_event.get_hookimpls():
            told = attempt(lambda: self.manager.hook.tigrillo_event(event=event))
            if isinstance(told, Failed):
                self.log.error("event.hook_failed", reason=told.reason)
        for watcher in self.watchers:
            seen = attempt(partial(watcher.observe, event))
            if isinstance(seen, Failed):
                self.log.error("event.watcher_failed", reason=seen.reason)

    def _is_news(self, event: Event) -> bool:
        """Whether the log is to say it: no health, and of refusals one a minute, station and kind."""
        if "deferred" in event.fields:
            return False  # the source says it, once for all that wait
        if event.verb == "station.health":
            return False  # every few minutes from every station, and the store keeps it
        kind = event.fields.get("refusal")
        if kind is None:
            return True
        key, now_s = (event.station, str(kind)), time.monotonic()
        if len(self._said_at_s) >= MOST_SAID and key not in self._said_at_s:
            key = ("", str(kind))
        if now_s - self._said_at_s.get(key, float("-inf")) < SAY_AGAIN_S:
            return False
        self._said_at_s[key] = now_s
        return True


def write_status(path: Path, tally: Tally, **fields: Any) -> None:
    """Write the counts where `tigrillo demo`, `doctor` and people find them; whole or not at all."""
    counts = {"verbs": tally.as_dict(), "refused": tally.refusals(), "deferred": tally.deferrals()}
    body = redacted_value({"pid": os.getpid(), **counts, **fields})
    write_atomically(path, json.dumps(body, indent=1).encode())
