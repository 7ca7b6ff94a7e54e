"""Stale days of a station → what is to change in its summaries. Reads one state of the database and writes nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy import Connection

from ..models.taxa import all_taxa
from ..store import summaries as rows
from ..store.summaries import FrameRow
from ..store.web_schema import days
from .grouping import GAP_S, MOST, REACH, SLOT, in_sequences
from .rows import Material, Where, row_of
from .sums import DAY, INTERVAL, DaySums, days_between, lookback, span_of, sums_of
from .totals import add_up
from .verdicts import Lineages

NEAR = 3 * DAY  # days so near are looked at together with what lies between: fewer questions, the same answer
Run = tuple[date, date]  # UTC days, the second not included


@dataclass(frozen=True, slots=True)
class Rules:
    """What summaries are made by. gap_s: within a sequence. interval: between events. where: of a station."""

    where: Callable[[Connection, str], Where]
    gap_s: float = GAP_S
    interval: timedelta = INTERVAL


@dataclass(slots=True)
class Names:
    """Scientific name → lineage; what our table has not is looked up in the record once."""

    foreign: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, connection: Connection) -> Lineages:
        """As `verdicts` wants it."""

        def lineage_of(name: str) -> tuple[str, ...]:
            if not name:
                return ()
            if known := all_taxa().get(name):
                return known.lineage
            if name not in self.foreign:
                self.foreign[name] = rows.lineage_on_record(connection, name)
            return self.foreign[name]

        return lineage_of


@dataclass(slots=True)
class Change:
    """What is to change for some stale days of one station. marks: (station, UTC day, marks) that were read."""

    station: str
    marks: Sequence[tuple[str, str, int]]
    frames: int = 0
    gone: set[int] = field(default_factory=set)
    new: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    left: set[int] = field(default_factory=set)
    joined: list[tuple[int, int, int]] = field(default_factory=list)
    sums: dict[tuple[str, str], DaySums] = field(default_factory=dict)


def make(connection: Connection, marks: Sequence[tuple[str, str, int]], rules: Rules, names: Names) -> Change:
    """What is to change for stale days of one station. marks: see Change."""
    station = marks[0][0]
    done = Change(station, marks)
    runs = _runs((date.fromisoformat(day) for _station, day, _marks in marks), apart=NEAR)
    found = [each for run in runs for each in _sequences(connection, station, run, rules)]
    frames = [frame for each in found for frame in each]
    done.frames = len(frames)
    pks = [each.pk for each in frames]
    lineage_of = names.of(connection)
    material = Material(
        rows.boxes_of(connection, pks),
        rows.reviews_of(connection, pks),
        rows.favourites_in(connection, pks),
        lineage_of,
    )
    where = rules.where(connection, station)
    fresh = {each[0].pk: row_of(each, material, where) for each in found}
    old = _compare(connection, done, found, fresh)
    touched = {day for run in runs for day in _local_days(run, where, rules)}
    for row in old.values():
        touched.update(days_between(row["started_at"], row["ended_at"] + lookback(rules.interval), where.zone))
    _sum(connection, done, touched, (fresh, set(old)), (where, rules, lineage_of))
    return done


def write(connection: Connection, changes: Iterable[Change]) -> None:
    """Make it so, within the caller's transaction, and take away the marks that were read."""
    changes = list(changes)
    for each in changes:
        rows.write_sequences(
            connection, gone=each.gone, new=each.new, changed=each.changed, left=each.left, joined=each.joined
        )
    sums = {key: found for each in changes for key, found in each.sums.items()}
    before = rows.day_rows(connection, list(sums))
    new = [found.row for key, found in sums.items() if found.row is not None and found.row != before.get(key)]
    rows.write_rows(connection, days, gone=[key for key in before if sums[key].row is None], new=new)
    add_up(connection, {key: found.tallies for key, found in sums.items()})
    rows.take_marks(connection, [mark for each in changes for mark in each.marks])


def _sequences(connection: Connection, station: str, run: Run, rules: Rules) -> Iterable[tuple[FrameRow, ...]]:
    """The sequences that a change within these days may change, whole."""
    begin, end = (datetime.combine(each, time(), UTC) for each in run)
    frames = rows.frames_taken(connection, station, begin - REACH, end + REACH + SLOT)
    for each in in_sequences(frames, since=begin - REACH, gap_s=rules.gap_s):
        if begin <= each[-1].at and each[0].at < end + REACH:
            yield each
    untimed = rows.frames_untimed(connection, station, begin, end)
    for _day, theirs in groupby(untimed, lambda each: each.at.date()):
        yield from in_sequences(theirs, since=begin, gap_s=rules.gap_s)


def _compare(
    connection: Connection, done: Change, found: Sequence[tuple[FrameRow, ...]], fresh: Mapping[int, dict[str, Any]]
) -> dict[int, dict[str, Any]]:
    """Note what differs from the rows that are there; these, as far as they are looked at."""
    mine = {frame.pk: (each[0].pk, place) for each in found for place, frame in enumerate(each)}
    owners = rows.owners_of(connection, mine)
    looked = {sequence for sequence, _place in owners.values()}
    looked |= rows.sequences_begun(connection, done.station, [day for _station, day, _marks in done.marks])
    looked |= fresh.keys()
    old = rows.sequences_in(connection, looked)
    done.gone = old.keys() - fresh.keys()
    done.new = [row for pk, row in fresh.items() if pk not in old]
    done.changed = [row for pk, row in fresh.items() if pk in old and old[pk] != row]
    members = rows.members_of(connection, old)
    done.left = {frame for sequence in old.keys() & fresh.keys() for frame in members.get(sequence, ())} - mine.keys()
    for frame, place in mine.items():
        if owners.get(frame) != place:
            done.joined.append((frame, *place))
            if frame in owners:
                done.left.add(frame)
    return old


def _sum(
    connection: Connection,
    done: Change,
    touched: set[date],
    changed: tuple[Mapping[int, dict[str, Any]], set[int]],
    by: tuple[Where, Rules, Lineages],
) -> None:
    """Sum up these local days: rows that stay, and `changed`: fresh rows in the place of the old ones."""
    (fresh, old), (where, rules, lineage_of) = changed, by
    for first, after in _runs(touched):
        begin, end = span_of(first, where.zone)[0] - lookback(rules.interval), span_of(after - DAY, where.zone)[1]
        stored = rows.sequences_between(connection, done.station, begin, end)
        here = [each for each in stored if each["pk"] not in old and each["pk"] not in fresh]
        here += fresh.values()
        day = first
        while day < after:
            done.sums[done.station, day.isoformat()] = sums_of(
                here,
                station=done.station,
                day=day,
                zone=where.zone,
                lineage_of=lineage_of,
                interval=rules.interval,
            )
            day += DAY


def _local_days(run: Run, where: Where, rules: Rules) -> list[date]:
    begin, end = (datetime.combine(each, time(), UTC) for each in run)
    return days_between(begin - SLOT, end + REACH + MOST + rules.interval, where.zone)


def _runs(found: Iterable[date], *, apart: timedelta = DAY) -> list[Run]:
    """Days that follow each other no further apart as one, in order."""
    ordered = sorted(set(found))
    if not ordered:
        return []
    ends = [place for place, (one, after) in enumerate(pairwise(ordered), 1) if after - one > apart]
    return [
        (ordered[start], ordered[stop - 1] + DAY) for start, stop in zip([0, *ends], [*ends, len(ordered)], strict=True)
    ]
