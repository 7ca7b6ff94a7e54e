"""A year of days of a station: pictures, signs of life, silence.

Only what was recorded is told: a day of a deployment without a sign is "nothing", not "broken", for an animal may just
not have come by; edge/fieldwork/effort.py, on the deployment's own page, knows more. Days on which people wrote down
that it did not work are "problem". Before any deployment was noted, the time from the first frame on counts as one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from edge.deployed import Deployment
from edge.i18n import mark

DAY = timedelta(days=1)
LEVELS = (1, 10, 50, 200)  # frames a day: from these on another shade
# state → what it means, in words
STATES = {
    "frames": mark("pictures"),
    "heard": mark("heard, no picture"),
    "nothing": mark("no sign"),
    "problem": mark("did not work"),
    "away": mark("not set up"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A day. level: 1 to 4 by how many frames, 0 for none. column: week, from 0; row: 0 for Monday."""

    day: date
    state: str
    frames: int
    level: int
    column: int
    row: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """The cells, oldest first; months: (column, first day) of each that begins. counts: state → days."""

    cells: tuple[Cell, ...]
    months: tuple[tuple[int, date], ...]
    weeks: int
    counts: Mapping[str, int]


def calendar_of(
    rows: Mapping[date, Mapping[str, Any]],
    heard: Collection[date],
    stood: Sequence[Deployment],
    *,
    until: date,
    zone: ZoneInfo,
    days: int = 365,
) -> Calendar:
    """The days up to `until`. rows: of `days`. heard: days on which its agent was. stood: its deployments."""
    first = until - (days - 1) * DAY
    monday = first - first.weekday() * DAY
    covered = [_local(each.started_at, each.ended_at, zone, until) for each in stood]
    if not covered and rows:
        covered = [(min(rows), until)]
    troubled = [_local(*span, zone, until) for each in stood for span in _problems(each)]
    cells, months, counts = [], [], dict.fromkeys(STATES, 0)
    for number in range(days):
        day = first + number * DAY
        frames = int(rows[day]["frames"]) if day in rows else 0
        column = (day - monday).days // 7
        state = "frames" if frames else "heard" if day in heard else _silent(day, covered, troubled)
        counts[state] += 1
        cells.append(Cell(day, state, frames, sum(frames >= least for least in LEVELS), column, day.weekday()))
        if day.day == 1:
            months.append((column, day))
    return Calendar(tuple(cells), tuple(months), cells[-1].column + 1, counts)


def _silent(day: date, covered: Iterable[tuple[date, date]], troubled: Iterable[tuple[date, date]]) -> str:
    if any(start <= day <= end for start, end in troubled):
        return "problem"
    return "nothing" if any(start <= day <= end for start, end in covered) else "away"


def _local(start: datetime, end: datetime | None, zone: ZoneInfo, until: date) -> tuple[date, date]:
    return start.astimezone(zone).date(), end.astimezone(zone).date() if end else until


def _problems(each: Deployment) -> Iterable[tuple[datetime, datetime]]:
    found = each.details.get("problems")
    for since, until, _why in found if isinstance(found, list) else ():
        yield datetime.fromisoformat(since), datetime.fromisoformat(until)
