"""Once a second a sign of life: status.json for people and programs, systemd's watchdog, and health for the server."""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge import __version__
from edge.messages import MAX_VALUES, Health
from edge.sd_notify import ALIVE, notify

from .agent_clock import AgentClock
from .delivery import Delivery
from .frame_file import DamagedFrameError
from .schedule import Budget
from .spool import Spool
from .uplink import Uplink

log = logging.getLogger(__name__)
BEAT_S = 1.0
HUNG_S = 45.0  # an uplink that has not turned for so long hangs; a name look-up may take half of it
WRITE_AT_LEAST_S = 10.0  # status.json, when nothing in it changed: SD cards wear
SAY_AGAIN_S = 60.0
ERROR_CHARACTERS = 300


class LastError(logging.Handler):
    """Remembers the newest warning or error, for status and health."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""
        self.at = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep this one; what can't be measured is not one, health says so where the value would be."""
        if record.name.startswith("raspberry_pi.health"):
            return
        self.text = record.getMessage()[:ERROR_CHARACTERS]
        self.at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Status:
    """What status.json says. captured = acked + spooled + dropped, over all runs; docs/agent.md explains each."""

    station: str
    captured: int
    acked: int
    spooled: int
    dropped: int
    connected: bool
    seq: int
    updated_at: str
    done: bool
    dropped_by: Mapping[str, int]
    held: int
    spool_bytes: int
    oldest_s: float | None
    link: Mapping[str, Any]
    last_ack_at: str | None
    clock: Mapping[str, Any]
    budget: Mapping[str, Any]
    boot: str
    boot_count: int
    version: str
    pid: int
    uptime_s: int
    last_error: str
    last_error_at: str
    health: Mapping[str, Any] = field(default_factory=dict)


class Beat:
    """Writes, notifies and reports when it is time. measure: what the hardware tells of itself, for health."""

    def __init__(
        self,
        path: Path,
        *,
        station: str,
        spool: Spool,
        uplink: Uplink,
        delivery: Delivery,
        clock: AgentClock,
        budget: Budget,
        errors: LastError,
        health_every_s: float,
        measure: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.spool = spool
        self.uplink = uplink
        self._path = path
        self._station = station
        self._delivery = delivery
        self._clock = clock
        self._budget = budget
        self._errors = errors
        self._health_every_s = health_every_s
        self._measure = measure
        self._measured: Mapping[str, Any] = {}
        self._due_at_s = 0.0
        self._health_due_at_s = 0.0
        self._wrote_at_s = self._said_at_s = float("-inf")
        self._wrote: dict[str, Any] = {}
        self._oldest: tuple[str, datetime] | None = None  # of an earlier start, read once

    def if_due(self) -> None:
        """Do what is due."""
        now_s = time.monotonic()
        if now_s < self._due_at_s:
            return
        self._due_at_s = now_s + BEAT_S
        if now_s >= self._health_due_at_s:
            self._health_due_at_s = now_s + self._health_every_s
            self._report()
        self.write(done=False)
        if now_s - self.uplink.alive_at_s < HUNG_S:
            notify(ALIVE)

    def write(self, *, done: bool) -> None:
        """Write status.json, whole or not at all; not synced, as every number in it can be found again."""
        status = self._status(done=done)
        now_s = time.monotonic()
        compared = asdict(status)
        for moving in ("updated_at", "uptime_s", "oldest_s"):
            del compared[moving]
        if compared == self._wrote and now_s - self._wrote_at_s < WRITE_AT_LEAST_S:
            return
        temporary = self._path.with_name(f".status.{os.getpid()}.part")
        try:
            temporary.write_text(json.dumps(asdict(status)) + "\n", encoding="utf-8")
            temporary.replace(self._path)
        except OSError as exc:
            temporary.unlink(missing_ok=True)
            if now_s - self._said_at_s >= SAY_AGAIN_S:  # a full disk: the frames matter more
                self._said_at_s = now_s
                log.warning("status.not_written reason=%r; tried again each second", exc.strerror)
            return
        self._wrote, self._wrote_at_s = compared, now_s

    def _status(self, *, done: bool) -> Status:
        counts = self.spool.counts()
        link, offset_s = self.uplink.state, self._clock.offset_s
        return Status(
            self._station,
            **asdict(counts),
            connected=self.uplink.connected,
            seq=self.spool.seq,
            updated_at=self._clock.now().isoformat(timespec="milliseconds"),
            done=done,
            dropped_by=self.spool.dropped(),
            held=self.spool.held(),
            spool_bytes=self.spool.used_bytes,
            oldest_s=self._oldest_s(),
            link={"state": link.name, "since": self._moment(link.since_s), "reason": link.reason},
            last_ack_at=self._moment(self._delivery.acked_at_s),
            clock={
                "state": self._clock.state,
                "offset_s": round(offset_s, 1) if offset_s is not None else None,
                "drift_ppm": self._clock.drift_ppm,
            },
            budget={
                "per_day": self._budget.per_day,
                "spent": self._budget.spent,
                "used_up": self._delivery.out_of_budget,
            },
            boot=self.spool.boot,
            boot_count=self.spool.boot_count,
            version=__version__,
            pid=os.getpid(),
            uptime_s=int(time.monotonic() - self.spool.started_s),
            last_error=self._errors.text,
            last_error_at=self._errors.at,
            health=self._measured,
        )

    def _report(self) -> None:
        """Measure, and hand health to the uplink, which keeps the newest."""
        self._measured = dict(self._measure())
        counts, link = self.spool.counts(), self.uplink.state
        oldest_s, offset_s = self._oldest_s(), self._clock.offset_s
        own: dict[str, Any] = {
            "captured": counts.captured,
            "acked": counts.acked,
            "spool": {
                "frames": counts.spooled,
                "bytes": self.spool.used_bytes,
                "held": self.spool.held(),
                "oldest_s": round(oldest_s) if oldest_s is not None else None,
            },
            "dropped": self.spool.dropped(),
            "link": {"reason": link.reason, "connections": self.uplink.connections},
            "budget": {"per_day": self._budget.per_day, "spent": self._budget.spent},
            "boot_count": self.spool.boot_count,
            "clock_offset_s": round(offset_s, 1) if offset_s is not None else None,
            "clock_drift_ppm": self._clock.drift_ppm,
            "last_error": self._errors.text,
            "last_error_at": self._errors.at,
        }
        values = dict(list({**self._measured, **own}.items())[-MAX_VALUES:])
        health = Health(
            at=self._clock.now(),
            boot=self.spool.boot,
            version=__version__,
            clock=self._clock.state,
            uptime_s=round(time.monotonic() - self.spool.started_s, 1),
            values=values,
        )
        try:
            self.uplink.say_health(health.encode())
        except (ValueError, TypeError) as exc:
            log.warning("health.not_sent reason=%r", str(exc))

    def _oldest_s(self) -> float | None:
        """How long the oldest frame waits; None when none does, or nobody can tell."""
        first = self.spool.first()
        if first is None:
            return None
        if first.taken_s != float("-inf"):
            return round(max(0.0, time.monotonic() - first.taken_s), 1)
        now = self._clock.best_now()
        if self._oldest is None or self._oldest[0] != first.id:
            try:
                self._oldest = (first.id, self.spool.open(first.id).header.captured_at)
            except DamagedFrameError:
                return None
        return round(max(0.0, (now - self._oldest[1]).total_seconds()), 1) if now is not None else None

    def _moment(self, monotonic_s: float | None) -> str | None:
        if monotonic_s is None:
            return None
        at = self._clock.now().timestamp() - (time.monotonic() - monotonic_s)
        return datetime.fromtimestamp(round(at), UTC).isoformat()
