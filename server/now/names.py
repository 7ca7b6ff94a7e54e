"""The names of a site's stations, to choose from: those it names or somebody added, and those pictures came from."""

import threading
import time

from sqlalchemy import Connection

from edge.export import known_stations
from edge.store.summaries import stations_with_frames

from ..rights import Principal
from ..web import Web

PLAIN = r"^[^\x00]*$"  # of a filter: PostgreSQL takes no text with a NUL
GOOD_FOR_S = 60.0  # looking costs a step along an index for each station

_lock = threading.Lock()
_known: dict[str, tuple[float, frozenset[str]]] = {}  # address of a database → when it was looked, what was found


def station_names(web: Web, connection: Connection, principal: Principal) -> list[str]:
    """Those that this person sees, sorted."""
    url, now_s = web.plan.database_url, time.monotonic()
    with _lock:
        at_s, seen = _known.get(url, (float("-inf"), frozenset[str]()))
        if now_s - at_s > GOOD_FOR_S:
            seen = frozenset((*known_stations(web.plan, web.clock), *stations_with_frames(connection)))
            _known.clear()  # one site a process; tests have many
            _known[url] = now_s, seen
    return sorted(name for name in seen if principal.sees(name))
