"""What /metrics tells: how the site and this process fare. No query here grows with the number of frames.

Frames and verbs are those of the daemon's status file, counters since its start: what is recorded is never counted.
Waiting frames and messages are counted in their index up to MOST_COUNTED; a longer queue reads as that.
"""

import json
import resource
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, literal, select

from edge import __version__
from edge.store.arrivals import waiting_bytes
from edge.store.schema import frames, notices
from edge.store.summaries import count_stale

from ..stations.overview import Overview, overviews
from ..web import Web
from .exposition import Family, Sample
from .meter import BUCKETS_S, Meter

MOST_COUNTED = 100_000
PAGE_BYTES = resource.getpagesize()
WAITING = ("spooled", "claimed")
UNSENT = ("pending", "sending", "digest")


def families(web: Web, meter: Meter) -> Iterator[Family]:
    """All of them, in a fixed order. Raises StoreBusy."""
    yield _one("tigrillo_build_info", "gauge", "Version of the web page.", 1, version=__version__)
    yield from _daemon(_status(web.state_dir / "status.json"), web.clock.now().timestamp())
    with web.readers.read() as connection:
        yield _family(
            "tigrillo_frames_waiting",
            "gauge",
            f"Frames by state, counted up to {MOST_COUNTED}.",
            (({"state": state}, _count(connection, frames, state)) for state in WAITING),
        )
        yield _one("tigrillo_spool_bytes", "gauge", "Bytes of frames that wait.", waiting_bytes(connection))
        yield _family(
            "tigrillo_messages_waiting",
            "gauge",
            f"Messages of the outbox by state, counted up to {MOST_COUNTED}.",
            (({"state": state}, _count(connection, notices, state)) for state in UNSENT),
        )
        yield _one("tigrillo_summaries_stale_days", "gauge", "Station-days to be summed up.", count_stale(connection))
        yield from _stations(overviews(web, connection))
    usage = shutil.disk_usage(web.state_dir)
    yield _one("tigrillo_disk_free_bytes", "gauge", "Free bytes where the site's data lie.", usage.free)
    yield _one("tigrillo_disk_size_bytes", "gauge", "Size of that disk, bytes.", usage.total)
    yield from _requests(meter)
    yield _one("tigrillo_web_viewers", "gauge", "Event streams that are open.", len(web.live))
    yield from _process()


def _daemon(status: Mapping[str, Any], now_s: float) -> Iterator[Family]:
    """The eight verbs, what was refused, and how old the status file is."""
    verbs: Mapping[str, Mapping[str, int]] = status.get("verbs", {})
    yield _family(
        "tigrillo_verbs_total",
        "counter",
        "How often each verb of a frame's way happened since the daemon's start.",
        (({"verb": verb, "outcome": way}, count) for verb, ways in verbs.items() for way, count in ways.items()),
    )
    yield _family(
        "tigrillo_refused_total",
        "counter",
        "What sources refused since the daemon's start, by kind.",
        (({"kind": kind}, count) for kind, count in sorted(status.get("refused", {}).items())),
    )
    if "written_s" in status:
        yield _one(
            "tigrillo_status_age_seconds", "gauge", "Age of the daemon's status file.", now_s - status["written_s"]
        )
        yield _one("tigrillo_daemon_up", "gauge", "1 unless the daemon said it stopped.", not status.get("stopped"))


def _status(path: Path) -> dict[str, Any]:
    """The daemon's status file, and when it was written; {} when there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
        return {**found, "written_s": path.stat().st_mtime} if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _stations(found: Iterable[Overview]) -> Iterator[Family]:
    stations = list(found)
    counts = {
        "all": len(stations),
        "online": sum(each.online is True for each in stations),
        "silent": sum(each.is_silent for each in stations),
        "troubled": sum(bool(each.troubles) for each in stations),
    }
    yield _family(
        "tigrillo_stations",
        "gauge",
        "Stations by state; one may be in several.",
        (({"state": state}, count) for state, count in counts.items()),
    )
    yield _family(
        "tigrillo_station_heard_timestamp_seconds",
        "gauge",
        "When a station was last heard, Unix time.",
        (({"station": each.name}, each.heard_at.timestamp()) for each in stations if each.heard_at),
    )


def _requests(meter: Meter) -> Iterator[Family]:
    series = list(meter.series())
    yield _family(
        "tigrillo_web_requests_total",
        "counter",
        "Answers by route, method and status.",
        (
            ({"route": route, "method": method, "status": str(status)}, count)
            for route, method, each in series
            for status, count in sorted(each.statuses.items())
        ),
    )
    samples: list[Sample] = []
    for route, method, each in series:
        labels = {"route": route, "method": method}
        sums = list(accumulate(each.buckets))
        for most, count in zip((*map(str, BUCKETS_S), "+Inf"), sums, strict=True):
            samples.append(Sample(count, {**labels, "le": most}, "_bucket"))
        samples += [Sample(each.seconds, labels, "_sum"), Sample(sums[-1], labels, "_count")]
    about = "How long answers took, seconds; event streams left out."
    yield Family("tigrillo_web_request_seconds", "histogram", about, tuple(samples))
    yield _one("tigrillo_web_requests_in_work", "gauge", "Requests that are being answered now.", meter.in_work)


def _process() -> Iterator[Family]:
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE_BYTES
    yield _one("process_resident_memory_bytes", "gauge", "Memory of the web page's process.", resident)
    yield _one("process_cpu_seconds_total", "counter", "CPU time of the web page's process.", time.process_time())
    yield _one("process_threads", "gauge", "Threads of the web page's process.", threading.active_count())


def _count(connection: Connection, table: Table, state: str) -> int:
    some = select(literal(1).label("one")).select_from(table).where(table.c.state == state).limit(MOST_COUNTED)
    return int(connection.scalar(select(func.count()).select_from(some.subquery())) or 0)


def _one(name: str, kind: Any, about: str, value: float, **labels: str) -> Family:
    return Family(name, kind, about, (Sample(value, labels),))


def _family(name: str, kind: Any, about: str, rows: Iterable[tuple[Mapping[str, str], float]]) -> Family:
    return Family(name, kind, about, tuple(Sample(value, labels) for labels, value in rows))
