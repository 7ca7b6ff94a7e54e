"""Lists of sequences: keyset paging along one index, a bounded number of rows looked at, never a scan of everything.

The index is that of the rarest filter (`streams`); the rows it gives are looked at one after the other and those that
the other filters refuse are left out (`matches`). After LOOK rows a request stops and says until when it has looked.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal_column, select, true, tuple_

from edge.models.taxa import all_taxa
from edge.store import summaries
from edge.store.thumbnails import full_frames_of
from edge.store.web_schema import days, sequences, tallies

from .filters import UNNAMED, Filters

Key = tuple[datetime, int]  # started_at, pk
LOOK = 2_000  # rows of one request
LEAST = 100  # of each of several streams
MOST_STREAMS = 40
COARSE = ("kingdom", "class", "order")
FEWEST = 8  # rows that are read at once
CHUNKS = (60, 240, 600)  # rows that one stream reads at once: the first ones are most often enough; then the rest
# As the partial indices have them: SQLite takes one only for the same words, and without parameters.
UNREVIEWED: ColumnElement[bool] = literal_column("sequences.unreviewed > 0")
DISAGREES: ColumnElement[bool] = literal_column("sequences.disagrees")
FAVOURITE: ColumnElement[bool] = literal_column("sequences.favourite")
LOOKED_AT = (
    *("pk", "started_at", "station", "shown_kind", "shown_taxon", "score", "night"),
    *("unreviewed", "disagrees", "favourite", "people"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a list. rows: whole rows of `sequences`. more: the key to go on after, None at the end.

    searched: until when was looked, where a request stopped before the page was full; None else.
    """

    rows: tuple[Mapping[str, Any], ...]
    more: Key | None = None
    searched: datetime | None = None


def find(
    connection: Connection,
    filters: Filters,
    *,
    zone: ZoneInfo,
    scope: Collection[str] | None,
    after: Key | None = None,
    size: int = 40,
) -> Found:
    """The next sequences after a key. scope: stations that may be seen, None for all."""
    stations = filters.stations_for(scope)
    taxa = taxa_below(connection, filters.taxon) if filters.taxon not in ("", UNNAMED) else ()
    drivers = streams(filters, stations, taxa)
    each = max(LEAST, LOOK // max(len(drivers), 1))
    found = [_stream(connection, driver, filters, zone, after=after, most=each) for driver in drivers]
    merged = heapq.merge(*found, key=lambda one: one[0], reverse=not filters.oldest)
    keys: list[Key] = []
    for key, row in merged:
        if row is None:
            return Found(_whole(connection, keys), key, key[0])
        if matches(row, filters, stations, taxa):
            if len(keys) == size:
                return Found(_whole(connection, keys), keys[-1])
            keys.append(key)
    return Found(_whole(connection, keys))


def neighbour(
    connection: Connection, filters: Filters, at: Key, *, zone: ZoneInfo, scope: Collection[str] | None, back: bool
) -> Mapping[str, Any] | None:
    """The sequence after this one in the list, or with `back` before it; None when there is none near."""
    turned = replace(filters, oldest=not filters.oldest) if back else filters
    rows = find(connection, turned, zone=zone, scope=scope, after=at, size=1).rows
    return rows[0] if rows else None


def sequence_of(connection: Connection, pk: int, scope: Collection[str] | None) -> Mapping[str, Any] | None:
    """One sequence; None when there is none, or it may not be seen."""
    row = connection.execute(select(sequences).where(sequences.c.pk == pk)).mappings().first()
    return dict(row) if row is not None and (scope is None or row["station"] in scope) else None


def sequences_now(connection: Connection, pks: Collection[int]) -> dict[int, int]:
    """Sequence → the one that has its first frame now, or the full frame of that; only of those that are anywhere.

    A sequence has its first frame's pk, and while somebody looks at a page an earlier frame may come, or the full one.
    """
    full_of = full_frames_of(connection, pks)
    owners = summaries.owners_of(connection, {*pks, *full_of.values()})
    found = {pk: owners.get(pk) or owners.get(full_of.get(pk, 0)) for pk in pks}
    return {pk: owner[0] for pk, owner in found.items() if owner}


def streams(filters: Filters, stations: Sequence[str] | None, taxa: Sequence[str]) -> list[ColumnElement[bool]]:
    """What is looked for along which index, each with an order by (started_at, pk)."""
    if filters.favourite:
        return [FAVOURITE]
    if filters.disagrees:
        return [DISAGREES]
    if taxa:
        return [sequences.c.shown_taxon == each for each in taxa]
    if filters.taxon == UNNAMED:
        filters = replace(filters, kind="animal")
    if stations is not None and len(stations) <= MOST_STREAMS:
        open_too = UNREVIEWED if filters.unreviewed else true()
        return [(sequences.c.station == each) & open_too for each in stations]
    if filters.kind in {"human", "vehicle"} or (filters.kind and not filters.unreviewed):
        return [sequences.c.shown_kind == filters.kind]
    return [UNREVIEWED if filters.unreviewed else true()]


def matches(row: Any, filters: Filters, stations: Collection[str] | None, taxa: Collection[str]) -> bool:
    """Whether a row is meant; dates are seen to by the stream."""
    return (
        (stations is None or row.station in stations)
        and (not filters.kind or row.shown_kind == filters.kind)
        and (filters.low is None or row.score >= filters.low)
        and (filters.high is None or row.score <= filters.high)
        and (not filters.light or row.night == (filters.light == "night"))
        and (not filters.unreviewed or row.unreviewed > 0)
        and (not filters.disagrees or row.disagrees)
        and (not filters.favourite or row.favourite)
        and (not filters.people or row.people)
        and _is_of(row, filters, taxa)
    )


def _is_of(row: Any, filters: Filters, taxa: Collection[str]) -> bool:
    if filters.taxon == UNNAMED:
        return bool(row.shown_kind == "animal" and not row.shown_taxon)
    return not filters.taxon or row.shown_taxon in taxa


def statement(
    driver: ColumnElement[bool], filters: Filters, zone: ZoneInfo, *, after: Key | None, limit: int
) -> Select[Any]:
    """The SELECT of the next rows of a stream."""
    at, pk = sequences.c.started_at, sequences.c.pk
    since, until = filters.span(zone)
    query = select(*(sequences.c[name] for name in LOOKED_AT)).where(driver)
    if since is not None:
        query = query.where(at >= since)
    if until is not None:
        query = query.where(at < until)
    if after is not None:
        key, there = tuple_(at, pk), tuple_(*after, types=[at.type, pk.type])
        query = query.where(key > there if filters.oldest else key < there)
    ordered = (at, pk) if filters.oldest else (at.desc(), pk.desc())
    return query.order_by(*ordered).limit(limit)


def _stream(
    connection: Connection,
    driver: ColumnElement[bool],
    filters: Filters,
    zone: ZoneInfo,
    *,
    after: Key | None,
    most: int,
) -> Iterator[tuple[Key, Any]]:
    """Rows in order, each with its key; (key, None) where `most` were looked at and there may be more."""
    looked = 0
    for wanted in (*(max(FEWEST, each * most // LOOK) for each in CHUNKS), most):
        chunk = min(wanted, most - looked)
        if chunk <= 0:
            break
        rows = connection.execute(statement(driver, filters, zone, after=after, limit=chunk)).all()
        for row in rows:
            after = (row.started_at, row.pk)
            yield after, row
        looked += chunk
        if len(rows) < chunk:
            return
    if after is not None:
        yield after, None


def _whole(connection: Connection, keys: Sequence[Key]) -> tuple[Mapping[str, Any], ...]:
    if not keys:
        return ()
    query = select(sequences).where(sequences.c.pk.in_(bindparam("pks", expanding=True)))
    rows = {row["pk"]: dict(row) for row in connection.execute(query, {"pks": [pk for _at, pk in keys]}).mappings()}
    return tuple(rows[pk] for _at, pk in keys if pk in rows)


def site_taxa(connection: Connection, stations: Iterable[str] = ("",)) -> dict[str, int]:
    """Scientific name → frames, of all time, most frames first. stations: "" for the whole site."""
    query = select(tallies.c.taxon, tallies.c.frames).where(
        tallies.c.station.in_(list(stations)),
        tallies.c.period == "",
        tallies.c.kind == "animal",
        tallies.c.taxon != "",
    )
    found: dict[str, int] = {}
    for taxon, count in connection.execute(query):
        found[taxon] = found.get(taxon, 0) + count
    return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def with_numbers(taxa: Iterable[str], most: int) -> list[str]:
    """The names that get keys: not those which only say that it is an animal, a mammal, a bird."""
    known = all_taxa()
    return [each for each in taxa if each not in known or known[each].rank not in COARSE][:most]


def taxa_below(connection: Connection, taxon: str) -> tuple[str, ...]:
    """The name itself and the finer ones that the site has, those with most frames first."""
    known = all_taxa()
    below = [each for each in site_taxa(connection) if each in known and taxon in known[each].lineage[:-1]]
    return (taxon, *[each for each in below if each != taxon][: MOST_STREAMS - 1])


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a station is. frames, unreviewed: of all its days."""

    station: str
    frames: int
    unreviewed: int


def progress(connection: Connection) -> list[Progress]:
    """By station, those with most left to do first; from the sums of days, one row a station and day."""
    query = select(days.c.station, func.sum(days.c.frames), func.sum(days.c.unreviewed)).group_by(days.c.station)
    found = [Progress(*row) for row in connection.execute(query)]
    return sorted(found, key=lambda each: (-each.unreviewed, each.station))
