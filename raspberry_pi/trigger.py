"""When a picture is taken."""

import threading
import time
from dataclasses import dataclass, field
from typing import Protocol

from .config import TriggerSettings


class Trigger(Protocol):
    """Says when."""

    def wait(self, stop: threading.Event, *, timeout_s: float) -> bool:
        """Wait at most `timeout_s`; True when a picture is to be taken now, False when not or when `stop` is set."""


@dataclass(slots=True)
class Interval:
    """Every `every_s` seconds, the first at once. What could not be taken in time is left out, not made up for."""

    every_s: float
    _next_at: float = field(default_factory=time.monotonic)

    def wait(self, stop: threading.Event, *, timeout_s: float) -> bool:
        """Wait for the next moment; see Trigger."""
        wait_s = self._next_at - time.monotonic()
        if wait_s > 0 and (stop.wait(min(wait_s, timeout_s)) or wait_s > timeout_s):
            return False
        self._next_at = max(self._next_at + self.every_s, time.monotonic())
        return True


def open_trigger(settings: TriggerSettings) -> Trigger:
    """The trigger that the settings ask for."""
    return Interval(settings.every_s)
