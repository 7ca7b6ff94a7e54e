"""The stations as the running daemon sees them: rows that any process may change, read again twice a second at most."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..clock import Clock
from ..services import Station
from .book import Book, StationRow

FRESH_S = 0.5  # how old an answer may be; a revoked station is refused after 1 s at the latest


@dataclass(slots=True)
class KnownStations(Mapping[str, Station]):
    """Name → station: those of the site's YAML, then those that were added. May be used from any thread.

    named: those of the YAML; what it leaves out (timezone "", a place None) is taken from the row of the same name.
    enforce: stations that nobody added or named are not allowed. Raises StoreBusy when the rows can't be read.
    """

    book: Book
    named: Mapping[str, Station]
    site_timezone: str
    clock: Clock
    enforce: bool = False
    _rows: dict[str, StationRow] = field(default_factory=dict, init=False)
    _read_at_s: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def is_allowed(self, name: str) -> bool:
        """Whether frames of this station are taken."""
        row = self._current().get(name)
        if row is not None:
            return row.revoked_at is None
        return not self.enforce or name in self.named

    def __getitem__(self, name: str) -> Station:
        row, named = self._current().get(name), self.named.get(name)
        if row is None and named is None:
            raise KeyError(name)
        found = row.station(self.site_timezone) if row else Station(name, self.site_timezone)
        if named is None:
            return found
        return Station(
            name,
            named.timezone or found.timezone,
            found.latitude if named.latitude is None else named.latitude,
            found.longitude if named.longitude is None else named.longitude,
            named.species_list or found.species_list,
        )

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.named, *self._current())))

    def __len__(self) -> int:
        return len(self.named.keys() | self._current().keys())

    def _current(self) -> dict[str, StationRow]:
        with self._lock:
            now_s = self.clock.monotonic_s()
            if now_s - self._read_at_s > FRESH_S:
                self._rows = {row.name: row for row in self.book.all()}
                self._read_at_s = now_s
            return self._rows
