"""What a station's page and the API read of it; each a bounded number of steps along an index."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, String, cast, func, select

from edge.deployed import Deployment
from edge.store import clocks
from edge.store.agents import HISTORY_FOR
from edge.store.deployments import all_deployments
from edge.store.schema import commands, station_health
from edge.store.web_schema import days, sequences, tallies

from .trend import charge_of

SPAN = timedelta(days=30)  # of the strips
YEAR_DAYS = 366
LAST = 8  # pictures
MOST_SPECIES = 50
MOST_COMMANDS = 20
HOUR = len("2026-11-22 05")  # how a time begins as text, in both databases


@dataclass(frozen=True, slots=True)
class Reading:
    """What an agent said of itself once an hour; None where it said nothing of it. at: when we got it.

    disk: free bytes. waiting: frames in its spool. drift_s: the server's clock less the agent's.
    """

    at: datetime
    volts: float | None
    percent: float | None
    temperature_c: float | None
    disk: float | None
    waiting: float | None
    drift_s: float | None


def readings(connection: Connection, station: str, *, since: datetime) -> list[Reading]:
    """The first of each hour since then, oldest first."""
    table = station_health.c
    mine = (table.station == station) & (table.received_at >= since)
    hour = func.substr(cast(table.received_at, String), 1, HOUR)
    first = select(func.min(table.pk)).where(mine).group_by(hour)
    columns = (table.received_at, table.drift_s, table.health)
    query = select(*columns).where(table.pk.in_(first)).order_by(table.received_at)
    return [_reading(at, drift_s, health) for at, drift_s, health in connection.execute(query)]


def days_heard(connection: Connection, station: str, *, now: datetime, zone: ZoneInfo) -> set[date]:
    """The local days of the last 90 on which its agent was heard; older ones are not kept."""
    table = station_health.c
    hour = func.substr(cast(table.received_at, String), 1, HOUR)
    mine = (table.station == station) & (table.received_at >= now - HISTORY_FOR)
    hours = connection.scalars(select(hour).where(mine).distinct())
    return {datetime.fromisoformat(f"{text}:00:00+00:00").astimezone(zone).date() for text in hours}


def days_of(connection: Connection, station: str, *, since: date, until: date) -> dict[date, Mapping[str, Any]]:
    """Local day → its row of `days`; days without frames have none."""
    mine = (days.c.station == station) & days.c.day.between(since.isoformat(), until.isoformat())
    rows = connection.execute(select(days).where(mine).order_by(days.c.day)).mappings()
    return {date.fromisoformat(row["day"]): dict(row) for row in rows}


def frames_lately(connection: Connection, *, since: date) -> dict[str, int]:
    """Station → frames taken since this day."""
    query = select(days.c.station, func.sum(days.c.frames)).where(days.c.day >= since.isoformat())
    return {name: int(count) for name, count in connection.execute(query.group_by(days.c.station))}


def last_sequences(connection: Connection, station: str) -> list[Mapping[str, Any]]:
    """The newest sequences, rows of `sequences`."""
    query = select(sequences).where(sequences.c.station == station)
    newest = query.order_by(sequences.c.started_at.desc(), sequences.c.pk.desc()).limit(LAST)
    return [dict(row) for row in connection.execute(newest).mappings()]


def species_there(connection: Connection, station: str) -> list[Mapping[str, Any]]:
    """Rows of `tallies` for all time, of animals with a name, most events first."""
    mine = (tallies.c.station == station) & (tallies.c.period == "") & (tallies.c.kind == "animal")
    query = select(tallies).where(mine, tallies.c.taxon != "").order_by(tallies.c.events.desc(), tallies.c.taxon)
    return [dict(row) for row in connection.execute(query.limit(MOST_SPECIES)).mappings()]


def commands_of(connection: Connection, station: str) -> list[Mapping[str, Any]]:
    """The newest commands, newest first."""
    query = select(commands).where(commands.c.station == station).order_by(commands.c.pk.desc())
    return [dict(row) for row in connection.execute(query.limit(MOST_COMMANDS)).mappings()]


def deployments_of(connection: Connection, stations: Sequence[str]) -> list[Deployment]:
    """The deployments of these stations, newest first."""
    found = all_deployments(connection, stations=stations) if stations else []
    return sorted(found, key=lambda each: each.started_at, reverse=True)


def corrections_of(connection: Connection, station: str) -> list[clocks.Recorded]:
    """What was found wrong with its camera's clock, newest first."""
    return list(reversed(clocks.history(connection, [station])))


def _reading(at: datetime, drift_s: float | None, said: Mapping[str, Any]) -> Reading:
    spool = said.get("spool")
    return Reading(
        at,
        charge_of(said, "volts"),
        charge_of(said, "percent"),
        number(said.get("temperature_c")),
        number(said.get("disk_free_bytes")),
        number(spool.get("frames")) if isinstance(spool, Mapping) else None,
        drift_s,
    )


def number(value: object) -> float | None:
    """What an agent said, if it is a number that can be drawn."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(float(value)) < 1e18 else None  # type: ignore[arg-type]  # because of is_number


def first_of(values: Iterable[float | None]) -> float | None:
    """The first that is known."""
    return next((each for each in values if each is not None), None)
