"""Counts requests by route and status, and how long they took: for /metrics. Plain ASGI, around everything else.

A route is its template (`/stations/{name}`), so that names in addresses make no new series; what no route answers is
counted under "none", other methods than the usual under "other": their number stays small whatever strangers ask for.
"""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Seconds: around what issue 7 asks for, 0.05 for a review action and 0.15 for a page.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
API = "/api/v1"


@dataclass(slots=True)
class Series:
    """One route and method. buckets: how many took at most so long, one more for what took longer."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class Meter:
    """What was answered since the start."""

    in_work: int = 0
    _series: dict[tuple[str, str], Series] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, route: str, method: str, status: int, seconds: float) -> None:
        """One answer."""
        with self._lock:
            series = self._series.setdefault((route, method), Series())
            series.buckets[bisect_left(BUCKETS_S, seconds)] += 1
            series.seconds += seconds
            series.statuses[status] += 1

    def series(self) -> Iterator[tuple[str, str, Series]]:
        """(route, method, a copy of its series), by route."""
        with self._lock:
            found = [
                (route, method, Series(list(each.buckets), each.seconds, Counter(each.statuses)))
                for (route, method), each in sorted(self._series.items())
            ]
        yield from found


class Metered:
    """Notes every answer in the meter; an event stream counts when it ends."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self.app = app
        self.meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, streams, started = 500, False, time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = any(
                    name == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message["headers"]
                )
            await send(message)

        self.meter.in_work += 1
        try:
            await self.app(scope, receive, noted)
        finally:
            self.meter.in_work -= 1
            if not streams:
                method = scope["method"] if scope["method"] in METHODS else "other"
                self.meter.note(_route_of(scope), method, status, time.perf_counter() - started)


def _route_of(scope: Scope) -> str:
    template = getattr(scope.get("route"), "path", None)
    if not isinstance(template, str):
        return "none"
    # a router's routes know no prefix that they were put below
    inside = scope["path"].startswith(f"{API}/") and not template.startswith(f"{API}/")
    return API + template if inside else template


def install(app: FastAPI) -> Meter:
    """After guard.install, so that it is the outermost; `app.state.meter` from then on."""
    meter = app.state.meter = Meter()
    app.add_middleware(Metered, meter=meter)
    return meter
