"""All stations at a glance: the state of each, and what is wrong, as the heartbeat judges it; the worst first.

The heartbeat's own rules (edge/alerts/heartbeat.py) with the site's limits, so that this page never calls a station
well that a message calls silent. Beside them: a battery that falls (trend.py), a station that was taken down.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, select
from starlette.exceptions import HTTPException

from edge.alerts.heartbeat import HeartbeatConfig, Readings, StationReading, findings, silent_after
from edge.clock import SystemClock
from edge.export import known_stations
from edge.i18n import mark
from edge.services import Station
from edge.stations.known import KnownStations
from edge.store.schema import deployments, station_state
from edge.store.watched import frames_heard

from ..rights import Principal
from ..web import Web
from .trend import Falling, falling_batteries

# The order of what is wrong: what loses pictures now, what will soon, what spoils the record.
SORTS = ("never", "silent", "battery", "supply", "card", "backlog", "fading", "clock")
State = Literal["silent", "trouble", "online", "well", "resting"]
BY_DEFAULT = HeartbeatConfig(channels=("page",))  # its limits; nobody is told anything


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something wrong with a station. sort: one of SORTS. facts: what its text names. grave: it works no more."""

    sort: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_grave(self) -> bool:
        """Whether pictures are being lost, as far as anybody knows."""
        return self.sort in ("never", "silent")


@dataclass(frozen=True, slots=True)
class Overview:
    """One station. online: None without an agent. latitude, longitude: exact; places.py says who sees them so.

    heard_at: its agent's last word or its newest frame. silent_after: how long it may say nothing. standing: whether a
    deployment goes on, None when the station never had one. falling: its battery, when that loses charge.
    """

    name: str
    timezone: str
    latitude: float | None
    longitude: float | None
    online: bool | None
    heard_at: datetime | None
    health: Mapping[str, Any] | None
    health_at: datetime | None
    drift_s: float | None
    drifts: bool
    version: str
    silent_after: timedelta
    standing: bool | None
    troubles: tuple[Trouble, ...] = ()
    falling: Falling | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing though it should."""
        return any(each.is_grave for each in self.troubles)

    @property
    def state(self) -> State:
        """In one word: silent, trouble, online or well; resting when it was taken down."""
        if self.standing is False and not self.online:
            return "resting"
        if self.is_silent:
            return "silent"
        if self.troubles:
            return "trouble"
        return "online" if self.online else "well"


def overviews(web: Web, connection: Connection, *, only: frozenset[str] | None = None) -> list[Overview]:
    """The stations of this set (None: all), worst first. A few statements, whatever their number."""
    known = stations_of(web)
    rows = {row["station"]: row for row in connection.execute(select(station_state)).mappings()}
    heard = frames_heard(connection)
    names = sorted(name for name in {*known, *rows, *heard} if only is None or name in only)
    now, config = web.clock.now(), config_of(web)
    readings = [_reading(name, name in known, rows.get(name), heard.get(name)) for name in names]
    judged = Readings(stations=readings)
    found: dict[str, list[Trouble]] = {}
    for each in findings(judged, config, lambda _key, at: now - at, now):
        if each.station and each.bad:
            found.setdefault(each.station, []).append(Trouble(each.sort, each.facts))
    falling = falling_batteries(connection, config, now)
    standing = _standing(connection, now)
    made = [
        _overview(
            reading,
            rows.get(reading.name),
            _station(web, known, reading.name),
            silent_after(reading, config),
            standing.get(reading.name),
            found.get(reading.name, []),
            falling.get(reading.name),
        )
        for reading in readings
    ]
    return sorted(made, key=_urgency)


def one_of(web: Web, connection: Connection, principal: Principal, name: str) -> Overview:
    """The station of this name, if it is there and theirs. Raises HTTPException 404."""
    if principal.sees(name):
        for each in overviews(web, connection, only=frozenset({name})):
            return each
    raise HTTPException(404, mark("no such station"))


def stations_of(web: Web) -> KnownStations:
    """Those that the site names or somebody added, as they are now."""
    return known_stations(web.plan, SystemClock())


def config_of(web: Web) -> HeartbeatConfig:
    """The limits of the site's heartbeat, or the usual ones."""
    return web.plan.file.alerts.heartbeat or BY_DEFAULT


def _reading(name: str, known: bool, row: Mapping[Any, Any] | None, frame: datetime | None) -> StationReading:
    said: datetime | None = row["heard_at"] if row else None
    times = [each for each in (said, frame) if each is not None]
    return StationReading(
        name,
        max(times, default=None),
        known=known,
        has_agent=row is not None,
        health=row["health"] if row else None,
        health_at=row["health_at"] if row else None,
        drifts=bool(row and row["drifts"]),
        drift_s=row["drift_s"] if row else None,
    )


def _station(web: Web, known: KnownStations, name: str) -> Station:
    return known.get(name) or Station(name, web.plan.file.site.timezone)


def _overview(
    reading: StationReading,
    row: Mapping[Any, Any] | None,
    station: Station,
    silent: timedelta,
    standing: bool | None,
    found: Iterable[Trouble],
    falling: Falling | None,
) -> Overview:
    troubles = list(found)
    if falling is not None and not any(each.sort == "battery" for each in troubles):
        troubles.append(Trouble("fading", {"falling": falling}))
    if standing is False:  # nobody waits for one that was taken down
        troubles = [each for each in troubles if not each.is_grave]
    return Overview(
        reading.name,
        station.timezone,
        station.latitude,
        station.longitude,
        row["online"] if row else None,
        reading.heard_at,
        reading.health,
        reading.health_at,
        reading.drift_s,
        reading.drifts,
        row["version"] if row else "",
        silent,
        standing,
        tuple(sorted(troubles, key=lambda each: SORTS.index(each.sort))),
        falling,
    )


def _urgency(each: Overview) -> tuple[bool, int, str]:
    worst = min((SORTS.index(trouble.sort) for trouble in each.troubles), default=len(SORTS))
    return each.state == "resting", worst, each.name


def _standing(connection: Connection, now: datetime) -> dict[str, bool]:
    """Station → whether a deployment goes on; those that never had one are left out."""
    columns = (deployments.c.station, deployments.c.started_at, deployments.c.ended_at)
    found: dict[str, bool] = {}
    for station, started_at, ended_at in connection.execute(select(*columns)):
        goes_on = started_at <= now and (ended_at is None or ended_at > now)
        found[station] = found.get(station, False) or goes_on
    return found
