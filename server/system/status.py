"""What the daemon last wrote into status.json, and how fast things happen: differences between two looks at it."""

import contextlib
import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.daemon import is_running
from edge.model import VERBS

SILENT_S = 30.0  # a status file that is older was written by nobody who is well
WINDOW_S = 300.0  # rates are of the last five minutes, or of what was seen of them
MOST_LOOKS = 400  # of the window, when several people look
LARGEST_FILE = 4_000_000  # bytes; a site of 200 channels writes 40,000


@dataclass(frozen=True, slots=True)
class Status:
    """One state of the file. running: whether a daemon holds the site. at, started_at: None where it does not tell.

    verbs: the eight, in their order → (done, failed) since the start. channels: name → {state, since, error, …}.
    runs: model → what runs it; models: task → model.
    """

    running: bool
    at: datetime | None = None
    started_at: datetime | None = None
    version: str = ""
    pid: int = 0
    reloading: bool = False
    verbs: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    deferred: int = 0
    deferred_reason: str = ""
    channels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)

    def is_silent(self, now: datetime) -> bool:
        """Whether a daemon runs that has not written for long."""
        return self.running and self.at is not None and (now - self.at).total_seconds() > SILENT_S


def read_status(state_dir: Path) -> Status:
    """What the file says; what it says wrongly counts as not said."""
    running, path = is_running(state_dir), state_dir / "status.json"
    said: Any = None
    with contextlib.suppress(OSError, ValueError):
        if path.stat().st_size <= LARGEST_FILE:
            said = json.loads(path.read_bytes())
    if not isinstance(said, dict):
        return Status(running)
    verbs, deferred = _mapping(said.get("verbs")), _mapping(said.get("deferred"))
    return Status(
        running,
        _time(said.get("at")),
        _time(said.get("started_at")),
        str(said.get("version", "")),
        _number(said.get("pid")),
        bool(said.get("reloading")),
        {
            verb: (_number(_mapping(verbs.get(verb)).get("done")), _number(_mapping(verbs.get(verb)).get("failed")))
            for verb in VERBS
        },
        {str(kind): _number(count) for kind, count in _mapping(said.get("refused")).items()},
        _number(deferred.get("count")),
        str(deferred.get("reason", "")),
        {str(name): _mapping(each) for name, each in _mapping(said.get("channels")).items()},
        {str(task): str(name) for task, name in _mapping(said.get("models")).items()},
        {str(name): str(where) for name, where in _mapping(said.get("runs")).items()},
    )


@dataclass(slots=True)
class History:
    """Looks at the status file, for rates. One a web process; any thread may add."""

    _looks: deque[Status] = field(default_factory=lambda: deque(maxlen=MOST_LOOKS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, status: Status) -> None:
        """Remember a state, once; one of another start makes those before it worthless."""
        if status.at is None:
            return
        with self._lock:
            last = self._looks[-1] if self._looks else None
            if last is not None and (last.pid, last.started_at) != (status.pid, status.started_at):
                self._looks.clear()
            elif last is not None and last.at is not None and status.at <= last.at:
                return
            self._looks.append(status)

    def rates(self) -> dict[str, float | None]:
        """Verb → how often a minute; over the last five minutes, or since the start where that is all that is known."""
        with self._lock:
            looks = list(self._looks)
        if not looks or (newest := looks[-1]).at is None:
            return dict.fromkeys(VERBS)
        first = _first_within(looks, newest.at)
        at, verbs = (first.at, first.verbs) if first is not newest else (newest.started_at, {})
        passed_s = (newest.at - at).total_seconds() if at is not None else 0.0
        if passed_s <= 0:
            return dict.fromkeys(VERBS)
        return {verb: 60 * (newest.verbs[verb][0] - verbs.get(verb, (0, 0))[0]) / passed_s for verb in newest.verbs}


def _first_within(looks: Sequence[Status], end: datetime) -> Status:
    return next(each for each in looks if each.at is not None and (end - each.at).total_seconds() <= WINDOW_S)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and abs(value) < 2**63 else 0


def _time(value: Any) -> datetime | None:
    with contextlib.suppress(TypeError, ValueError):
        found = datetime.fromisoformat(value)
        return found if found.tzinfo is not None else None
    return None
