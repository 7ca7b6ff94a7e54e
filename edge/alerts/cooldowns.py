"""Cooldowns: who was told of what not long ago. Charged after a send only, and untouched by clocks that are set."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..clock import Clock

Key = tuple[str, str, str]  # rule, station, addressee


@dataclass(slots=True)
class Cooldowns:
    """Ends of cooldowns, by a clock that nobody sets. lengths: rule → its cooldown; rules without one are not in it.

    Over a restart the wall clock has to do: what was sent "in time to come", because the clock was set back since,
    counts as sent just now, so that no cooldown ever lasts longer than its length.
    """

    lengths: dict[str, timedelta]
    clock: Clock
    _ends_s: dict[Key, float] = field(default_factory=dict)

    def remember(self, sent: Iterable[tuple[str, str, str, datetime]]) -> None:
        """At the start: (rule, station, addressee, when) of what was sent last."""
        now, now_s = self.clock.now(), self.clock.monotonic_s()
        for rule, station, addressee, at in sent:
            length = self.lengths.get(rule)
            if length is None:
                continue
            left = length - max(now - at, timedelta(0))
            if left > timedelta(0):
                self._ends_s[rule, station, addressee] = now_s + left.total_seconds()

    def charge(self, rule: str, station: str, addressee: str) -> None:
        """A message was sent."""
        length = self.lengths.get(rule)
        if length is None:
            return
        now_s = self.clock.monotonic_s()
        self._ends_s = {key: end_s for key, end_s in self._ends_s.items() if end_s > now_s}
        self._ends_s[rule, station, addressee] = now_s + length.total_seconds()

    def holds(self, rule: str, station: str, addressee: str) -> bool:
        """Whether the cooldown is not over yet."""
        return self._ends_s.get((rule, station, addressee), float("-inf")) > self.clock.monotonic_s()

    @property
    def longest(self) -> timedelta:
        """The longest of all; zero when no rule has one."""
        return max(self.lengths.values(), default=timedelta(0))
