"""The watchdog's ping: it goes through every worker, so a stuck one stops the heartbeat."""

import threading
from collections.abc import Iterable


class Pulse:
    """Counts pings and remembers which one each worker answered last.

    A worker answers between two pictures and while it waits for work, so a long clip is no reason for a restart, a
    picture that never ends is.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._ping = 0
        self._answered = dict.fromkeys(names, 0)

    def beat(self, name: str) -> None:
        """This worker is alive."""
        with self._lock:
            self._answered[name] = self._ping

    def ping(self) -> bool:
        """Whether all have answered the last ping; when they have, send the next."""
        with self._lock:
            if any(answer < self._ping for answer in self._answered.values()):
                return False
            self._ping += 1
            return True

    @property
    def pings(self) -> int:
        """How many were sent so far; stands still while somebody does not answer."""
        with self._lock:
            return self._ping

    def silent(self) -> list[str]:
        """Workers that have not answered the last ping."""
        with self._lock:
            return sorted(name for name, answer in self._answered.items() if answer < self._ping)
