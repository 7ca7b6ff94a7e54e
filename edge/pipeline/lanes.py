"""The lanes of the outbox: one a channel, with what it has in hand, its circuit breaker and its rate limit."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..hookspecs import USUAL_PICTURE, Notifier
from ..notices import PictureLimits
from ..store.notices import NoticeRow
from .runner import Done, Failed

FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 1800.0
OPENS_AFTER = 3  # failures in a row; from then on one message at a time tries the channel, after a pause
LONGEST_ASKED_S = 3600.0  # a channel that asks us to wait is believed so far
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Outlet:
    """A configured channel: its notifier, what pictures it takes (None: none), its messages a minute (None: any)."""

    notifier: Notifier
    picture: PictureLimits | None = USUAL_PICTURE
    per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A channel has accepted a message. no_picture: why there was none, "" when there was one or none was wanted."""

    receipt: str
    no_picture: str = ""


@dataclass(slots=True)
class Sending:
    """A message in the hands of its channel. marked: it is written down as sent."""

    row: NoticeRow
    started_s: float
    result: Done[Taken] | Failed | None = None
    marked: bool = False
    reported_slow: bool = False


@dataclass(slots=True)
class Lane:
    """One channel's state, in memory only: after a restart every channel gets a new chance."""

    name: str
    outlet: Outlet | None
    in_hand: Sending | None = None
    failures: int = 0
    failing_since: datetime | None = None
    last_error: str = ""
    paused_until_s: float = float("-inf")
    receipts_due_s: float = 0.0
    asking: bool = False
    _sent_s: deque[float] = field(default_factory=deque)

    def is_free(self, now_s: float) -> bool:
        """Whether it may be given a message now."""
        if self.in_hand is not None or self.asking or now_s < self.paused_until_s:
            return False
        per_minute = self.outlet.per_minute if self.outlet else None
        while self._sent_s and self._sent_s[0] <= now_s - MINUTE_S:
            self._sent_s.popleft()
        return per_minute is None or len(self._sent_s) < per_minute

    def worked(self, now_s: float) -> bool:
        """It took a message; returns whether it had failed before."""
        had_failed = self.failures > 0
        self.failures, self.failing_since, self.last_error, self.paused_until_s = 0, None, "", float("-inf")
        if self.outlet and self.outlet.per_minute is not None:
            self._sent_s.append(now_s)
        return had_failed

    def failed(self, reason: str, now: datetime, now_s: float, *, again_in_s: float | None, jitter: float) -> None:
        """It did not; after OPENS_AFTER in a row it gets a pause. One that names a time waits, and has not failed."""
        self.last_error = reason
        if again_in_s is not None:
            self.paused_until_s = now_s + min(max(again_in_s, 0.0), LONGEST_ASKED_S)
            return
        self.failures += 1
        self.failing_since = self.failing_since or now
        if self.failures >= OPENS_AFTER:
            self.paused_until_s = now_s + retry_pause_s(self.failures - OPENS_AFTER + 1, jitter=jitter)

    def as_dict(self, now_s: float) -> dict[str, Any]:
        """For the status file: state, since when it fails, the last error, the next try in s.

        state: "works", "waits" (it asked for it), "fails", or "paused" after failures.
        """
        is_paused = now_s < self.paused_until_s
        state = ("paused" if is_paused else "fails") if self.failures else "waits" if is_paused else "works"
        return {
            "state": state,
            "since": self.failing_since.isoformat() if self.failing_since else "",
            "error": self.last_error,
            "next_try_s": round(self.paused_until_s - now_s) if is_paused else 0,
        }


def retry_pause_s(attempts: int, *, jitter: float) -> float:
    """Seconds to wait after the n-th failed attempt: 10, doubled each time up to 1800, less up to half by jitter 0..1.

    Never below 10. Jitter spreads the messages that failed together.
    """
    longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 16))  # 2**16 is past the limit anyway
    return max(FIRST_PAUSE_S, longest_s * (1 - jitter / 2))


Jitter = Callable[[], float]
RANDOM: Jitter = random.random
