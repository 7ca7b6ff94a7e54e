"""Trap-nights of a time: local midnights of the deployments in it, as the report counts them.

Of a station of which nobody noted a deployment, the days from its first frame to its last; then the sum is only about
right.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, select

from edge.deployed import Deployment
from edge.store.deployments import all_deployments
from edge.store.web_schema import days, tallies

from ..web import Web
from .period import Wanted

Stay = tuple[date, date]  # the days on which a camera was put up and taken down: so many midnights lie between


@dataclass(frozen=True, slots=True)
class Nights:
    """Trap-nights. count: all of them. exact: every station has deployments. begins, ends: of all stays, in order."""

    count: int
    exact: bool
    begins: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    def rate(self, events: int) -> float | None:
        """Events per 100 trap-nights; None without any."""
        return 100 * events / self.count if self.count else None

    def until(self, day: date) -> int:
        """Those up to the midnight that a day begins with."""
        return self._until(day.toordinal())

    def when(self, count: int) -> date | None:
        """The first day with so many of them behind it; None without any."""
        if not self.begins:
            return None
        first, last = self.begins[0], max(self.begins[-1], self.ends[-1])
        return date.fromordinal(first + bisect_left(range(first, last), count, key=self._until))

    def _until(self, day: int) -> int:
        return _passed(self.begins, day) - _passed(self.ends, day)


def nights(connection: Connection, web: Web, wanted: Wanted, stations: Collection[str], *, now: datetime) -> Nights:
    """The trap-nights of these stations, until now where a camera still stands."""
    noted = all_deployments(connection, stations=sorted(stations)) if stations else []
    others = set(stations) - {each.station for each in noted}
    span = wanted.days()
    about = list(_between_frames(connection, web, others, span))
    stays = [*(_stay(web, each, now) for each in noted), *about]
    mine = [each for each in (_within(stay, span) for stay in stays) if each[0] < each[1]]
    begins, ends = (tuple(sorted(each[place].toordinal() for each in mine)) for place in (0, 1))
    return Nights(sum(ends) - sum(begins), not about, begins, ends)


def _stay(web: Web, deployment: Deployment, now: datetime) -> Stay:
    zone = web.zone_of(deployment.station)
    end = min(deployment.ended_at or now, now)
    return deployment.started_at.astimezone(zone).date(), end.astimezone(zone).date()


def _within(stay: Stay, span: tuple[date, date] | None) -> Stay:
    """What of a stay lies in a time; the midnight with which that begins is not in it."""
    if span is None:
        return stay
    return max(stay[0], span[0]), min(stay[1], span[1] + timedelta(days=1))


def _between_frames(
    connection: Connection, web: Web, stations: Collection[str], span: tuple[date, date] | None
) -> Iterator[Stay]:
    """From the first to the last day with frames, of each of these stations that has any."""
    if not stations:
        return
    if span is not None:
        first, last = (each.isoformat() for each in span)
        query = select(func.min(days.c.day), func.max(days.c.day)).where(days.c.station.in_(sorted(stations)))
        query = query.where(days.c.day >= first, days.c.day <= last).group_by(days.c.station)
        for begin, end in connection.execute(query):
            yield date.fromisoformat(begin), date.fromisoformat(end)
        return
    at = tallies.c.first_at.type
    times = (func.min(tallies.c.first_at, type_=at), func.max(tallies.c.last_at, type_=at))
    ever = select(tallies.c.station, *times).where(tallies.c.period == "", tallies.c.station.in_(sorted(stations)))
    for station, begin, end in connection.execute(ever.group_by(tallies.c.station)):
        zone = web.zone_of(station)
        yield begin.astimezone(zone).date(), end.astimezone(zone).date()


def _passed(days: tuple[int, ...], day: int) -> int:
    """How many days have passed since each of these, added up."""
    before = bisect_left(days, day)
    return before * day - sum(days[:before])
