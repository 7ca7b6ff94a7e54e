"""Pictures for Twilio to fetch: it takes no bytes, only an address, so a picture waits under a name nobody guesses."""

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

KEPT = 32  # pictures; at 600 kB a picture, 20 MB at most
KEPT_S = 3600.0  # Twilio fetches when it takes the message; an hour covers its queue


@dataclass(slots=True)
class Shelf:
    """name → JPEG, for an hour, the newest 32. May be used from several threads."""

    _pictures: OrderedDict[str, tuple[float, bytes]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, picture: bytes) -> str:
        """Lay a picture there, and give its name."""
        name = f"{secrets.token_urlsafe(24)}.jpg"
        with self._lock:
            self._pictures[name] = (time.monotonic() + KEPT_S, picture)
            while len(self._pictures) > KEPT:
                self._pictures.popitem(last=False)
        return name

    def get(self, name: str) -> bytes | None:
        """The picture of this name, while it lies there."""
        with self._lock:
            until, picture = self._pictures.get(name, (0.0, b""))
            return picture if time.monotonic() < until else None
