"""Which event at Gundi a thread of notices became, in a small file: after a restart it is changed, not made anew.

{thread: what Gundi has of it}, newest last, at most KEPT. One process and one thread write it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from edge.api import Services, write_atomically

KEPT = 500  # threads; an encounter is over within hours, and Gundi takes 1,440 requests a day
PICTURES_KEPT = 16  # of each thread


@dataclass(frozen=True, slots=True)
class Known:
    """What Gundi has of a thread. at: of the notice that the event's text is from. body: its hash.

    pictures: hashes of those attached, or refused for good.
    """

    object_id: str
    at: datetime
    body: str
    pictures: tuple[str, ...] = ()


class Events:
    """The threads that have an event. Reads and writes `state_dir/gundi/CHANNEL.json`.

    A file that can't be read is started anew, one that can't be written is kept in memory; both are logged. At worst
    an event is made twice, which is better than an alert that nobody sees.
    """

    def __init__(self, services: Services, channel: str) -> None:
        self._services = services
        self._path = services.state_dir / "gundi" / f"{quote(channel, safe='')}.json"
        self._known = self._read()

    def get(self, thread: str) -> Known | None:
        """What Gundi has of it."""
        return self._known.get(thread)

    def put(self, thread: str, known: Known | None) -> None:
        """Remember it, or forget it."""
        self._known.pop(thread, None)
        if known is not None:
            self._known[thread] = known
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, json.dumps({k: _plain(v) for k, v in self._known.items()}).encode())
        except OSError as exc:
            self._services.log.warning("notify.state_lost", path=str(self._path), reason=str(exc))

    def _read(self) -> dict[str, Known]:
        try:
            return {str(thread): _known(each) for thread, each in json.loads(self._path.read_bytes()).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            self._services.log.warning("notify.state_lost", path=str(self._path), reason=str(exc))
            return {}


def _plain(known: Known) -> dict[str, Any]:
    return {"id": known.object_id, "at": known.at.isoformat(), "body": known.body, "pictures": list(known.pictures)}


def _known(plain: Mapping[str, Any]) -> Known:
    at = datetime.fromisoformat(plain["at"])
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    return Known(str(plain["id"]), at, str(plain["body"]), tuple(map(str, plain["pictures"])))
