"""Every so many seconds."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .base import Now


@dataclass(slots=True)
class Interval:
    """Every `every_s` seconds, the first at once. What could not be taken in time is left out, not made up for."""

    every_s: float
    active: str = "always"
    name: str = "interval"
    _next_at: float | None = field(default=None)

    def start(self, wake: Callable[[], None]) -> None:
        """Nothing to listen to."""

    def poll(self, now: Now) -> bool:
        """Whether it is time; see Trigger."""
        if self._next_at is not None and now.steady_s < self._next_at:
            return False
        due = now.steady_s if self._next_at is None else self._next_at
        self._next_at = due + self.every_s * ((now.steady_s - due) // self.every_s + 1)
        return True

    def wait_s(self, now: Now) -> float | None:
        """Until the next one."""
        return 0.0 if self._next_at is None else max(0.0, self._next_at - now.steady_s)

    def captured(self) -> None:
        """The rhythm stays as it is."""

    def close(self) -> None:
        """Nothing to give back."""
