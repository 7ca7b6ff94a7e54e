"""Time comes in by argument: what needs the time takes a Clock, and a test hands it one that it steps."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for durations."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""

    def monotonic_s(self) -> float:
        """Seconds that never jump, for durations and time-outs."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds that never jump, for durations and time-outs."""
        return time.monotonic()


@dataclass(slots=True)
class SteppedClock:
    """A clock that moves only when it is told to; for tests."""

    at: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    elapsed_s: float = 0.0

    def now(self) -> datetime:
        """The time it was last stepped to."""
        return self.at

    def monotonic_s(self) -> float:
        """The seconds it has been stepped so far."""
        return self.elapsed_s

    def step(self, seconds: float) -> None:
        """Move both clocks forward by `seconds`."""
        self.at += timedelta(seconds=seconds)
        self.elapsed_s += seconds
