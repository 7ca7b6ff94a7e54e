"""Reads of `tallies`: sums of months and of all time, by station; the frames themselves are never counted here."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from edge.models.taxa import all_taxa
from edge.store.web_schema import sequences, tallies

from .period import Wanted

HOURS = 24
NEWEST = 8  # sequences on the page of a species
ANIMAL = tallies.c.kind == "animal"
FIRST = func.min(tallies.c.first_at, type_=tallies.c.first_at.type)
LAST = func.max(tallies.c.last_at, type_=tallies.c.last_at.type)
SUMS = tuple(func.sum(tallies.c[name]) for name in ("events", "frames", "individuals"))


@dataclass(frozen=True, slots=True)
class Row:
    """A species in a time. taxon: scientific name. individuals: the most seen at once of each event, added up."""

    taxon: str
    events: int
    frames: int
    individuals: int
    stations: int
    first_at: datetime
    last_at: datetime

    @property
    def rank(self) -> str:
        """Its rank; of a name that our table has not, as its form tells."""
        known = all_taxa().get(self.taxon)
        return known.rank if known else "species" if " " in self.taxon else ""


@dataclass(frozen=True, slots=True)
class Found:
    """What was there in a time. rows: with a name, the most events first. unnamed: events of animals without one."""

    rows: tuple[Row, ...]
    unnamed: int = 0

    @property
    def species(self) -> int:
        """How many of the rows are species."""
        return sum(row.rank == "species" for row in self.rows)


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a species: of a station, or of a month."""

    name: str
    events: int
    frames: int
    individuals: int


@dataclass(slots=True)
class One:
    """A species in a time. hours: events by local hour. stations: the most events first; months: in order."""

    row: Row
    hours: list[int] = field(default_factory=lambda: [0] * HOURS)
    stations: list[Part] = field(default_factory=list)
    months: list[Part] = field(default_factory=list)


def stations_meant(wanted: Wanted, scope: Collection[str] | None) -> tuple[str, ...] | None:
    """The stations that are meant and may be seen; None for all of the site."""
    if wanted.station:
        return (wanted.station,) if scope is None or wanted.station in scope else ()
    return None if scope is None else tuple(sorted(scope))


def species(connection: Connection, wanted: Wanted, scope: Collection[str] | None) -> Found:
    """What was there. scope: stations that may be seen, None for all."""
    stations = stations_meant(wanted, scope)
    query = select(tallies.c.taxon, *SUMS, FIRST, LAST).where(*_here(stations, wanted), ANIMAL)
    sums = {row[0]: row for row in connection.execute(query.group_by(tallies.c.taxon))}
    met = _stations_met(connection, wanted, stations)
    rows = [_row(taxon, met.get(taxon, 0), row[1:]) for taxon, row in sums.items() if taxon]
    unnamed = sums[""][1] if "" in sums else 0
    return Found(tuple(sorted(rows, key=lambda row: (-row.events, -row.frames, row.taxon))), int(unnamed))


def one_species(connection: Connection, taxon: str, wanted: Wanted, scope: Collection[str] | None) -> One | None:
    """All that is told of a species; None when it was not there in that time."""
    stations = stations_meant(wanted, scope)
    mine = (ANIMAL, tallies.c.taxon == taxon)
    query = select(*SUMS, FIRST, LAST).where(*_here(stations, wanted), *mine)
    sums = connection.execute(query).one()
    if sums[0] is None:
        return None
    by_station = _parts(connection, tallies.c.station, (*_of_stations(stations), *_periods(wanted.periods), *mine))
    found = One(_row(taxon, len(by_station), sums))
    for hours in connection.scalars(select(tallies.c.hours).where(*_here(stations, wanted), *mine)):
        found.hours = [each + more for each, more in zip(found.hours, hours, strict=True)]
    found.stations = sorted(by_station, key=lambda part: (-part.events, part.name))
    found.months = _parts(connection, tallies.c.period, (*_of(stations), *_months(wanted), *mine))
    return found


def finer(connection: Connection, taxon: str, wanted: Wanted, scope: Collection[str] | None) -> list[str]:
    """Names of what was there and belongs to this one, a genus or a family."""
    known = all_taxa()
    query = select(tallies.c.taxon).where(*_here(stations_meant(wanted, scope), wanted), ANIMAL).distinct()
    found = [each for each in connection.scalars(query) if each in known and taxon in known[each].lineage[:-1]]
    return sorted(found)


def newest(
    connection: Connection, taxon: str, wanted: Wanted, scope: Collection[str] | None, *, size: int = NEWEST
) -> list[Mapping[str, Any]]:
    """The last sequences that show it."""
    stations = stations_meant(wanted, scope)
    query = select(sequences).where(sequences.c.shown_taxon == taxon)
    query = query.order_by(sequences.c.started_at.desc(), sequences.c.pk.desc())
    if stations is None:
        return [dict(row) for row in connection.execute(query.limit(size)).mappings()]
    # of few stations: along the index of the species, as far as a fixed number of rows
    near = query.limit(LOOK).subquery()
    mine = select(near).where(near.c.station.in_(stations)).order_by(near.c.started_at.desc(), near.c.pk.desc())
    return [dict(row) for row in connection.execute(mine.limit(size)).mappings()]


LOOK = 1_000


def _row(taxon: str, stations: int, sums: Sequence[Any]) -> Row:
    events, frames, individuals, first_at, last_at = sums
    return Row(taxon, int(events), int(frames), int(individuals), stations, first_at, last_at)


def _stations_met(connection: Connection, wanted: Wanted, stations: Sequence[str] | None) -> dict[str, int]:
    """Taxon → how many stations it was at."""
    count = func.count(tallies.c.station.distinct())
    query = select(tallies.c.taxon, count).where(*_periods(wanted.periods), ANIMAL, *_of_stations(stations))
    return {taxon: int(number) for taxon, number in connection.execute(query.group_by(tallies.c.taxon))}


def _parts(connection: Connection, by: Any, where: Iterable[Any]) -> list[Part]:
    query = select(by, *SUMS).where(*where).group_by(by).order_by(by)
    return [Part(name, int(events), int(frames), int(many)) for name, events, frames, many in connection.execute(query)]


def _here(stations: Sequence[str] | None, wanted: Wanted) -> tuple[Any, ...]:
    return *_of(stations), *_periods(wanted.periods)


def _of(stations: Sequence[str] | None) -> tuple[Any, ...]:
    """The rows of the whole site, or of some stations."""
    return (tallies.c.station == "",) if stations is None else (tallies.c.station.in_(stations),)


def _of_stations(stations: Sequence[str] | None) -> tuple[Any, ...]:
    """The rows of single stations."""
    return (tallies.c.station != "",) if stations is None else (tallies.c.station.in_(stations),)


def _periods(periods: Sequence[str]) -> tuple[Any, ...]:
    return (tallies.c.period == periods[0],) if len(periods) == 1 else (tallies.c.period.in_(periods),)


def _months(wanted: Wanted) -> tuple[Any, ...]:
    """The rows of single months."""
    return (func.length(tallies.c.period) == len("2026-11"),) if wanted.is_all else _periods(wanted.periods)
