"""Sums of sequences: what a station took on one of its days, and how often each kind was there. Pure.

An event is an independent capture (edge.fieldwork.independence): a kind that no sequence of the interval before it
shows. It counts on the local day on which it begins, under the finest name that it gets on that day. Several sequences
of one event are one; how many were there is the most that one picture of it shows. Of frames of unknown time nobody
can tell events: they count as frames only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ..alerts.encounters import akin
from .grouping import MOST
from .rows import received_of
from .verdicts import Lineages

HOURS = 24
INTERVAL = timedelta(minutes=30)  # as the report's default; O'Brien et al. 2003
DAY = timedelta(days=1)
Key = tuple[str, str]  # kind, taxon


@dataclass(slots=True)
class Tally:
    """How often a kind was there. hours: events by local hour."""

    first_at: datetime
    last_at: datetime
    events: int = 0
    frames: int = 0
    individuals: int = 0
    hours: list[int] = field(default_factory=lambda: [0] * HOURS)

    def row(self, station: str, period: str, key: Key) -> dict[str, Any]:
        """A row of `tallies`."""
        return {
            "station": station,
            "period": period,
            "kind": key[0],
            "taxon": key[1],
            "events": self.events,
            "frames": self.frames,
            "individuals": self.individuals,
            "hours": list(self.hours),
            "first_at": self.first_at,
            "last_at": self.last_at,
        }


@dataclass(frozen=True, slots=True)
class DaySums:
    """A local day of a station. row: of `days`, None when nothing was taken. tallies: by kind and taxon."""

    row: dict[str, Any] | None
    tallies: dict[Key, Tally]


@dataclass(slots=True)
class _Event:
    kind: str
    taxon: str
    lineage: tuple[str, ...]
    began: datetime
    last: datetime
    count: int
    counts: bool


def span_of(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When a local day begins and the next one does, UTC."""
    begin, end = (datetime.combine(each, time(), zone).astimezone(UTC) for each in (day, day + DAY))
    return begin, end


def days_between(since: datetime, until: datetime, zone: ZoneInfo) -> list[date]:
    """The local days that since … until touches."""
    day, last = since.astimezone(zone).date(), until.astimezone(zone).date()
    found = [day]
    while day < last:
        day += DAY
        found.append(day)
    return found


def lookback(interval: timedelta) -> timedelta:
    """How long before a day begins sequences may have begun that tell its events."""
    return interval + MOST


def sums_of(
    sequences: Iterable[Mapping[str, Any]],
    *,
    station: str,
    day: date,
    zone: ZoneInfo,
    lineage_of: Lineages,
    interval: timedelta = INTERVAL,
) -> DaySums:
    """The sums of a local day. sequences: rows that began between `lookback` before the day and its end, or more."""
    begin, end = span_of(day, zone)
    known = [each for each in sequences if begin - lookback(interval) <= each["started_at"] < end]
    known.sort(key=lambda each: (each["started_at"], each["pk"]))
    mine = [each for each in known if each["started_at"] >= begin]
    if not mine:
        return DaySums(None, {})
    tallies: dict[Key, Tally] = {}
    for each in mine:
        _add_frames(tallies, each)
    for event in _events(known, begin, lineage_of, interval):
        _add_event(tallies, event, zone)
    return DaySums(_day_row(mine, station, day), tallies)


def _tally(tallies: dict[Key, Tally], key: Key, first: datetime, last: datetime) -> Tally:
    found = tallies.setdefault(key, Tally(first, last))
    found.first_at, found.last_at = min(found.first_at, first), max(found.last_at, last)
    return found


def _add_frames(tallies: dict[Key, Tally], sequence: Mapping[str, Any]) -> None:
    began, ended, shows = sequence["started_at"], sequence["ended_at"], sequence["shows"]
    for kind, taxon, frames, _count in shows["groups"]:
        _tally(tallies, (kind, taxon), began, ended).frames += frames
    if blank := shows["frames"][0]:
        found = _tally(tallies, ("blank", ""), began, ended)
        found.frames += blank
        found.events += not shows["groups"]  # a sequence that shows nothing


def _events(
    known: Iterable[Mapping[str, Any]], begin: datetime, lineage_of: Lineages, interval: timedelta
) -> list[_Event]:
    """The events that began from `begin` on."""
    found: list[_Event] = []
    under_way: list[_Event] = []
    for each in known:
        if not each["timed"]:
            continue
        at, ended = each["started_at"], each["ended_at"]
        under_way = [event for event in under_way if at - event.last < interval]
        for kind, taxon, _frames, count in each["shows"]["groups"]:
            lineage = lineage_of(taxon)
            event = next((one for one in under_way if one.kind == kind and akin(one.lineage, lineage)), None)
            if event is None:
                event = _Event(kind, taxon, lineage, at, ended, count, at >= begin)
                under_way.append(event)
                if event.counts:
                    found.append(event)
                continue
            event.last, event.count = max(event.last, ended), max(event.count, count)
            if len(lineage) > len(event.lineage):
                event.taxon, event.lineage = taxon, lineage
    return found


def _add_event(tallies: dict[Key, Tally], event: _Event, zone: ZoneInfo) -> None:
    found = _tally(tallies, (event.kind, event.taxon), event.began, event.last)
    found.events += 1
    found.individuals += event.count
    found.hours[event.began.astimezone(zone).hour] += 1


def _day_row(mine: list[Mapping[str, Any]], station: str, day: date) -> dict[str, Any]:
    by_kind = [sum(each["shows"]["frames"][place] for each in mine) for place in range(4)]
    return {
        "station": station,
        "day": day.isoformat(),
        "frames": sum(each["frames"] for each in mine),
        **dict(zip(("blanks", "animals", "humans", "vehicles"), by_kind, strict=True)),
        "sequences": len(mine),
        "unreviewed": sum(each["unreviewed"] for each in mine),
        "first_at": mine[0]["started_at"],
        "last_at": max(each["ended_at"] for each in mine),
        "received": max(received_of(each["shows"]) for each in mine),
    }
