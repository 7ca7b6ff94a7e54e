"""News → everybody who watches. One hub a process: threads publish, event streams wait without a thread of their own.

What was told lately is kept, so that a stream that broke goes on where it ended; one that was away for longer, or was
too slow to take what came, is told to load its part of the page again ("reset").
"""

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio

KEPT = 500  # events that a stream can be given later: some minutes of a busy site, 1 MB at most
QUEUED = 100  # events that wait for one stream; one that has more is too slow, and is told to load again
MOST_STREAMS = 200
MOST_OF_ONE = 60  # streams of one person or their programs, so that nobody takes all


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened. kind: encounter, frame, alert, station, quarantine or summary.

    station: "" when it is about all of them, or none. data: plain values. html: language → what a page puts in its
    place, for those that show it. number: its place in the order of all, from 1.
    """

    kind: str
    station: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    html: Mapping[str, str] = field(default_factory=dict)
    number: int = 0


RESET = News("reset")


class TooManyError(Exception):
    """As many streams as this process serves are open."""


@dataclass(slots=True, eq=False)
class Stream:
    """One who watches. stations: those they see, None for all. language: of the HTML they want, "" for none.

    who: their name, "" where nobody counts. ended: it is to end, and its reader to come again.
    """

    stations: frozenset[str] | None
    language: str
    who: str
    _loop: asyncio.AbstractEventLoop
    _woken: asyncio.Event
    _waiting: deque[News] = field(default_factory=lambda: deque(maxlen=QUEUED + 1))
    ended: bool = False

    def sees(self, news: News) -> bool:
        """Whether this is about a station of theirs. What is about none is for those who see all."""
        return self.stations is None or news.station in self.stations

    async def wait(self, timeout_s: float) -> None:
        """Until something came, or the time is over."""
        with anyio.move_on_after(timeout_s):
            await self._woken.wait()
        self._woken.clear()

    @property
    def first(self) -> News | None:
        """What waits to be taken, the oldest."""
        with suppress(IndexError):
            return self._waiting[0]
        return None

    def take(self) -> list[News]:
        """What came since; only a reset when that was too much."""
        found: list[News] = []
        with suppress(IndexError):
            while True:
                found.append(self._waiting.popleft())
        return [RESET] if len(found) > QUEUED else found

    def put(self, news: News) -> None:
        """From any thread."""
        self._waiting.append(news)
        self.wake()

    def wake(self) -> None:
        """From any thread; a loop that has ended has no reader either."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._woken.set)


class Hub:
    """Who watches, and what was told lately."""

    def __init__(self) -> None:
        self.boot = secrets.token_hex(4)  # numbers of another process mean nothing here
        self._lock = threading.Lock()
        self._kept: deque[News] = deque(maxlen=KEPT)
        self._streams: set[Stream] = set()
        self._last = 0
        self._closed = False

    def publish(self, found: list[News]) -> None:
        """Tell everybody who may see it. From any thread; waits for nobody."""
        with self._lock:
            for each in found:
                self._last += 1
                news = News(each.kind, each.station, each.data, each.html, self._last)
                self._kept.append(news)
                for stream in self._streams:
                    if stream.sees(news):
                        stream.put(news)

    @contextmanager
    def watching(
        self, stations: frozenset[str] | None, *, language: str = "", after: str = "", who: str = ""
    ) -> Iterator[Stream]:
        """A stream, in the event loop that calls. after: id of what it had last, "" to begin now. Raises TooManyError.

        What came since then waits in it already; when that is not known any more, a reset does.
        """
        stream = Stream(stations, language, who, asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            mine = sum(each.who == who for each in self._streams) if who else 0
            if len(self._streams) >= MOST_STREAMS or mine >= MOST_OF_ONE:
                raise TooManyError
            for news in self._since(after):
                if news is RESET or stream.sees(news):
                    stream.put(news)
            self._streams.add(stream)
        try:
            yield stream
        finally:
            with self._lock:
                self._streams.discard(stream)

    def id_of(self, news: News) -> str:
        """What a stream that breaks after this one asks with."""
        return f"{self.boot}-{news.number or self._last}"

    def id_reached(self, stream: Stream, after: str) -> str:
        """The id from which a stream misses nothing: what came later waits in it. after: what it was opened with."""
        with self._lock:
            first = stream.first
            if first is None:
                return f"{self.boot}-{self._last}"
            return after if first is RESET else f"{self.boot}-{first.number - 1}"

    @property
    def languages(self) -> set[str]:
        """Those that HTML is wanted in now."""
        with self._lock:
            return {stream.language for stream in self._streams} - {""}

    def __len__(self) -> int:
        """How many watch."""
        return len(self._streams)

    @property
    def is_closed(self) -> bool:
        """Whether all streams are to end."""
        return self._closed

    def ask_again(self) -> None:
        """End all streams, because somebody's rights changed: who still may comes again, and misses nothing."""
        with self._lock:
            for stream in self._streams:
                stream.ended = True
                stream.wake()

    def close(self) -> None:
        """Let all streams end at once: the process stops."""
        self._closed = True
        with self._lock:
            for stream in self._streams:
                stream.wake()

    def _since(self, after: str) -> list[News]:
        if not after:
            return []
        boot, _dash, number = after.partition("-")
        oldest = self._kept[0].number if self._kept else self._last + 1
        if boot != self.boot or not (number.isascii() and number.isdigit()) or len(number) > 18:
            return [RESET]
        if not oldest - 1 <= int(number) <= self._last:
            return [RESET]
        missed = [news for news in self._kept if news.number > int(number)]
        return [RESET] if len(missed) > QUEUED else missed
