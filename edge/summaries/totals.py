"""Tallies of days → those of months, of all time and of all stations: changed by what is new, never counted again.

A day's rows stand for all that it adds to the sums above it: what they were is taken away and what they are is added,
in one transaction, in whole numbers. So the sums are always those of the days' rows. The first and last times above
are looked up anew only when the one that made them has gone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ..store.summaries import parts_of, tally_rows, write_rows
from ..store.web_schema import tallies
from .sums import HOURS, Key, Tally

DayKey = tuple[str, str]  # station, local day "2026-11-22"
RowKey = tuple[str, str, str, str]  # station, period, kind, taxon


@dataclass(slots=True)
class _Change:
    events: int = 0
    frames: int = 0
    individuals: int = 0
    hours: list[int] = field(default_factory=lambda: [0] * HOURS)
    firsts: list[datetime] = field(default_factory=list)
    lasts: list[datetime] = field(default_factory=list)
    gone: list[tuple[datetime, datetime]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any], sign: int) -> None:
        self.events += sign * row["events"]
        self.frames += sign * row["frames"]
        self.individuals += sign * row["individuals"]
        self.hours = [each + sign * more for each, more in zip(self.hours, row["hours"], strict=True)]
        if sign > 0:
            self.firsts.append(row["first_at"])
            self.lasts.append(row["last_at"])
        else:
            self.gone.append((row["first_at"], row["last_at"]))


def add_up(connection: Connection, fresh: Mapping[DayKey, Mapping[Key, Tally]]) -> None:
    """Put these days' tallies in the place of theirs, and change all sums above; the rows of `days` come first."""
    before = tally_rows(connection, list(fresh))
    after = {
        (station, day, *key): tally.row(station, day, key)
        for (station, day), found in fresh.items()
        for key, tally in found.items()
    }
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    if not changed:
        return
    gone = [key for key in changed if key not in after]
    write_rows(connection, tallies, gone=gone, new=[after[key] for key in changed if key in after])
    above: dict[RowKey, _Change] = {}
    for station, day, kind, taxon in changed:
        old, new = before.get((station, day, kind, taxon)), after.get((station, day, kind, taxon))
        for parent in _above(station, day):
            change = above.setdefault((*parent, kind, taxon), _Change())
            if old is not None:
                change.add(old, -1)
            if new is not None:
                change.add(new, 1)
    for length in (len("2026-11-22"), len("2026-11"), 0):  # from the parts to the sums: times are looked up in these
        _change(connection, {key: each for key, each in above.items() if len(key[1]) == length})


def _above(station: str, day: str) -> Iterator[tuple[str, str]]:
    month = day[: len("2026-11")]
    yield from ((station, month), (station, ""), ("", day), ("", month), ("", ""))


def _change(connection: Connection, changes: Mapping[RowKey, _Change]) -> None:
    known = tally_rows(connection, {key[:2] for key in changes})
    gone: list[RowKey] = []
    new: list[dict[str, Any]] = []
    for key, change in changes.items():
        row = _changed(connection, key, known.get(key), change)
        if row is None:
            gone.append(key)
        else:
            new.append(row)
    write_rows(connection, tallies, gone=gone, new=new)


def _changed(
    connection: Connection, key: RowKey, row: Mapping[str, Any] | None, change: _Change
) -> dict[str, Any] | None:
    station, period, kind, taxon = key
    tally = Tally(change.firsts[0], change.lasts[0]) if row is None else _tally(row)
    tally.events += change.events
    tally.frames += change.frames
    tally.individuals += change.individuals
    tally.hours = [each + more for each, more in zip(tally.hours, change.hours, strict=True)]
    if not tally.events and not tally.frames:
        return None
    if any(first <= tally.first_at or last >= tally.last_at for first, last in change.gone):
        first_at, last_at = parts_of(connection, *key)
        tally.first_at, tally.last_at = first_at or tally.first_at, last_at or tally.last_at
    tally.first_at = min(tally.first_at, *change.firsts) if change.firsts else tally.first_at
    tally.last_at = max(tally.last_at, *change.lasts) if change.lasts else tally.last_at
    return tally.row(station, period, (kind, taxon))


def _tally(row: Mapping[str, Any]) -> Tally:
    names = ("first_at", "last_at", "events", "frames", "individuals", "hours")
    return Tally(*(row[name] for name in names))
