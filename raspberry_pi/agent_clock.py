"""What time it is, how far that can be trusted, and what earlier times were in truth once the server has told.

A Pi has no clock battery: after a power cut it may be at 1970, or where it was switched off. What a camera's time was
is never rewritten; what it should have been is worked out when a frame is sent.
"""

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

FIRST_YEAR = 2025  # this program is not older; a clock before that was never set
AGREE_S = 5.0  # server and Pi are at one when they differ by no more
AGEING = 1e-4  # of the time since the server told: crystals of a Pi are off by up to 100 ppm
JUMP_S = 60.0  # a clock this far behind the newest frame has lost its time; less, NTP may have pulled it back
DRIFT_AFTER_S = 600.0  # over a shorter time the network's delay would be taken for drift
ASK_NTP_EVERY_S = 10.0
TIMESYNCD = Path("/run/systemd/timesync/synchronized")  # systemd-timesyncd makes it when it has set the clock
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def is_synchronised() -> bool:
    """Whether the system says that its clock was set from the network, as `timedatectl` would."""
    if TIMESYNCD.exists():
        return True
    # struct timex is 208 bytes with 64-bit longs; modes = 0 only reads
    buffer = ctypes.create_string_buffer(512)
    try:
        state = int(ctypes.CDLL(None).adjtimex(buffer))
    except (OSError, AttributeError):
        return False
    return 0 <= state < TIME_ERROR  # -1: not allowed here, so not known


@dataclass(frozen=True, slots=True)
class _Told:
    """The server's time, and where our monotonic clock stood then."""

    at: datetime
    monotonic_s: float


class AgentClock:
    """The Pi's clock and what is known of it. Used by two threads: one asks, one tells it the server's time.

    newest: see `not_before`.
    """

    def __init__(
        self,
        *,
        newest: datetime | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic_s: Callable[[], float] = time.monotonic,
        synchronised: Callable[[], bool] = is_synchronised,
    ) -> None:
        self.now = now
        self.monotonic_s = monotonic_s
        self.drift_ppm: float | None = None
        self._newest = newest
        self._synchronised = synchronised
        self._first_told: _Told | None = None
        self._told: _Told | None = None
        self._ntp = (float("-inf"), False)

    def not_before(self, newest: datetime | None) -> None:
        """A time that has been already; no clock before it is right."""
        self._newest = newest

    @property
    def state(self) -> str:
        """How far `now` can be trusted: "ok" | "guessed" | "unknown".

        unknown: before 2025, or behind the newest frame. ok: within 5 s of the server's time; while the server has not
        told, set from the network. guessed: anything else.
        """
        now = self.now()
        told = self._told
        if told is not None:
            since_s = self.monotonic_s() - told.monotonic_s
            off_s = abs((now - told.at).total_seconds() - since_s)
            if off_s <= AGREE_S + AGEING * since_s:
                return "ok"
        if now.year < FIRST_YEAR or (self._newest and now < self._newest - timedelta(seconds=JUMP_S)):
            return "unknown"
        return "ok" if told is None and self._ask_ntp() else "guessed"

    @property
    def offset_s(self) -> float | None:
        """How far the server's clock is ahead of ours; None before it told."""
        server = self.server_now()
        return (server - self.now()).total_seconds() if server is not None else None

    def server_now(self) -> datetime | None:
        """The server's time now; None before it told."""
        told = self._told
        return told.at + timedelta(seconds=self.monotonic_s() - told.monotonic_s) if told is not None else None

    def best_now(self) -> datetime | None:
        """The time now as far as it is known: the server's, else ours unless it is unknown; None: nobody knows."""
        server = self.server_now()
        if server is not None:
            return server
        return self.now() if self.state != "unknown" else None

    def tell(self, server: datetime, *, asked_at_s: float) -> None:
        """The server answered with its time to a question of `asked_at_s` on our monotonic clock."""
        now_s = self.monotonic_s()
        # It was read about half-way between question and answer.
        told = _Told(server + timedelta(seconds=(now_s - asked_at_s) / 2), now_s)
        first = self._first_told = self._first_told or told
        elapsed_s = told.monotonic_s - first.monotonic_s
        if elapsed_s >= DRIFT_AFTER_S:
            server_s = (told.at - first.at).total_seconds()
            self.drift_ppm = round((elapsed_s - server_s) / elapsed_s * 1e6, 1)
        self._told = told
        self._newest = None  # what we took for the newest time may itself have been wrong

    def corrected(self, *, clock: str, monotonic_s: float) -> datetime | None:
        """What time it was at this monotonic time, where `clock` could not be trusted; None: no need, or not known."""
        told = self._told
        if clock == "ok" or told is None:
            return None
        return told.at + timedelta(seconds=monotonic_s - told.monotonic_s)

    def _ask_ntp(self) -> bool:
        asked_s, answer = self._ntp
        now_s = self.monotonic_s()
        if now_s - asked_s >= ASK_NTP_EVERY_S:
            answer = self._synchronised()
            self._ntp = (now_s, answer)
        return answer
