"""Trap-nights of a time: local midnights of the deployments in it, as the report counts them.

Of a station of which nobody noted a deployment, the days from its first frame to its last; then the sum is only about
right.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, select

from edge.deployed import Deployment
from edge.store.deployments import all_deployments
from edge.store.web_schema import days, tallies

from ..web import Web
from .period import Wanted


@dataclass(frozen=True, slots=True)
class Nights:
    """How many trap-nights. exact: every station has deployments."""

    count: int
    exact: bool

    def rate(self, events: int) -> float | None:
        """Events per 100 trap-nights; None without any."""
        return 100 * events / self.count if self.count else None


def nights(connection: Connection, web: Web, wanted: Wanted, stations: Collection[str], *, now: datetime) -> Nights:
    """The trap-nights of these stations, until now where a camera still stands."""
    noted: dict[str, list[Deployment]] = {}
    for each in all_deployments(connection, stations=sorted(stations)) if stations else ():
        noted.setdefault(each.station, []).append(each)
    span = wanted.days()
    total = sum(_of_deployments(web, each, span, now) for each in noted.values())
    others = [each for each in stations if each not in noted]
    counted, some = _of_days(connection, others, span)
    return Nights(total + counted, exact=not some)


def _of_deployments(web: Web, deployments: Iterable[Deployment], span: tuple[date, date] | None, now: datetime) -> int:
    total = 0
    for each in deployments:
        zone = web.zone_of(each.station)
        end = min(each.ended_at or now, now)
        begin_day, end_day = each.started_at.astimezone(zone).date(), end.astimezone(zone).date()
        total += _midnights(begin_day, end_day, span)
    return total


def _midnights(begin: date, end: date, span: tuple[date, date] | None) -> int:
    """The midnights between two days that lie in a time; that of its first day's begin is not in it."""
    if span is not None:
        begin, end = max(begin, span[0]), min(end, span[1] + timedelta(days=1))
    return max(0, (end - begin).days)


def _of_days(connection: Connection, stations: Collection[str], span: tuple[date, date] | None) -> tuple[int, bool]:
    """(nights between the first and the last day with frames, whether there are any)."""
    if not stations:
        return 0, False
    table = tallies.c
    query = select(
        func.min(table.first_at, type_=table.first_at.type), func.max(table.last_at, type_=table.last_at.type)
    )
    query = query.where(table.period == "", table.station.in_(sorted(stations))).group_by(table.station)
    if span is not None:
        day, (first, last) = days.c.day, (each.isoformat() for each in span)
        query = select(func.min(day), func.max(day)).where(days.c.station.in_(sorted(stations)))
        query = query.where(day >= first, day <= last).group_by(days.c.station)
    rows = connection.execute(query).all()
    return sum((_date(end) - _date(begin)).days for begin, end in rows), bool(rows)


def _date(when: datetime | str) -> date:
    return date.fromisoformat(when) if isinstance(when, str) else when.date()
