"""At times of the day, by clock or by sun."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo

from .base import Now
from .moments import Plan, SunTime

JUMP = timedelta(minutes=5)  # a clock that moves further between two polls was set, it did not pass
AGAIN = timedelta(hours=1)  # when a plan has no moment (polar summer), it is asked again


class Schedule:
    """Fires at each moment of its plans. A clock that is set, forwards or back, makes up for nothing."""

    name = "schedule"

    def __init__(
        self, plans: Sequence[Plan], *, zone: tzinfo | None, sun_time: SunTime, active: str = "always"
    ) -> None:
        self.active = active
        self._plans = tuple(plans)
        self._zone = zone
        self._sun_time = sun_time
        self._seen: datetime | None = None
        self._due: list[tuple[datetime, bool]] = []  # when, and whether it is a moment or only the next look

    def start(self, wake: Callable[[], None]) -> None:
        """Nothing to listen to."""

    def poll(self, now: Now) -> bool:
        """Whether a moment has come; see Trigger."""
        if self._seen is None or not timedelta() <= now.clock - self._seen <= JUMP:
            self._due = [self._next(plan, now.clock) for plan in self._plans]
        self._seen = now.clock
        fires = any(moment and at <= now.clock for at, moment in self._due)
        self._due = [
            self._next(plan, now.clock) if due[0] <= now.clock else due
            for plan, due in zip(self._plans, self._due, strict=True)
        ]
        return fires

    def wait_s(self, now: Now) -> float | None:
        """Until the next moment."""
        return max(0.0, (min(self._due)[0] - now.clock).total_seconds()) if self._due else None

    def captured(self) -> None:
        """The times stay as they are."""

    def close(self) -> None:
        """Nothing to give back."""

    def _next(self, plan: Plan, now: datetime) -> tuple[datetime, bool]:
        found = plan.after(now, self._zone, self._sun_time)
        return (now + AGAIN, False) if found is None else (found, True)
