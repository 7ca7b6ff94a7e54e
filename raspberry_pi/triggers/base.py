"""What a trigger promises."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Now:
    """One look at both clocks. steady_s: seconds since the Pi was switched on. clock: aware; it may jump."""

    steady_s: float
    clock: datetime


class Trigger(Protocol):
    """Says when. `poll` is called by one thread, again and again."""

    name: str
    active: str

    def start(self, wake: Callable[[], None]) -> None:
        """Open what it listens to; `wake` may be called from any thread, to be polled at once."""

    def poll(self, now: Now) -> bool:
        """Whether a picture is to be taken now."""

    def wait_s(self, now: Now) -> float | None:
        """Seconds after which it wants to be polled again; None: only when it wakes."""

    def captured(self) -> None:
        """Pictures were taken, whoever asked for them."""

    def close(self) -> None:
        """Give back what it listened to."""
