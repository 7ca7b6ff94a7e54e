"""What tells that a station's camera worked at a time: its frames, and what its agent said. Read only.

Functions take part in the caller's transaction. Pauses are measured between one sign and the next.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Subquery, exists, func, or_, select

from .dialects import json_number, second_of, seconds_between
from .schema import deployments, frames, station_health

TIMED = ("interval", "schedule")  # triggers of an agent that need no animal


@dataclass(frozen=True, slots=True)
class Taken:
    """The frames of a time. longest_s: the longest pause between the begin or a frame and the next frame; 0 without."""

    count: int
    first: datetime | None
    last: datetime | None
    longest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Said:
    """A row of an agent's health. at: when it came. uptime_s: since its start.

    camera_failed: how many pictures its camera did not give so far.
    """

    at: datetime
    uptime_s: float
    camera_failed: int = 0


def frames_taken(connection: Connection, station: str, start: datetime, end: datetime) -> Taken:
    """The frames of a station between two moments, both included."""
    at = frames.c.captured_utc
    count, first, last = connection.execute(
        select(func.count(), func.min(at), func.max(at)).where(*_within(station, start, end))
    ).one()
    if not count:
        return Taken(0, None, None)
    paused = connection.scalar(select(func.max(_pauses(station, start, end).c.pause_s))) or 0.0
    return Taken(count, first, last, max(float(paused), (first - start).total_seconds()))


def pauses(
    connection: Connection, station: str, start: datetime, end: datetime, *, longer_than_s: float
) -> list[tuple[datetime, datetime]]:
    """(frame, next frame) wherever more time than that lies between two of them, in order."""
    found = _pauses(station, start, end)
    query = select(found.c.at, found.c.next).where(found.c.pause_s > longer_than_s).order_by(found.c.at)
    return [(at, following) for at, following in connection.execute(query)]


def last_frame(connection: Connection, station: str, start: datetime, end: datetime) -> datetime | None:
    """When the last frame between two moments was taken."""
    found: datetime | None = connection.scalar(
        select(func.max(frames.c.captured_utc)).where(*_within(station, start, end))
    )
    return found


def timed_pauses_s(connection: Connection, station: str, start: datetime, end: datetime) -> list[float]:
    """Seconds between one frame that an agent took by the clock and the next, shortest first."""
    found = _pauses(station, start, end, triggers=TIMED)
    query = select(found.c.pause_s).where(found.c.pause_s.is_not(None)).order_by(found.c.pause_s)
    return [float(each) for each in connection.scalars(query)]


def frames_of_no_deployment(connection: Connection) -> list[tuple[str, int]]:
    """(station, how many) of frames of known time that no deployment's time holds, by station."""
    at = frames.c.captured_utc
    stood = exists().where(
        deployments.c.station == frames.c.station,
        deployments.c.started_at <= at,
        # an end is written to the second, as in edge.deployed.Deployment.holds
        or_(deployments.c.ended_at.is_(None), second_of(at) <= second_of(deployments.c.ended_at)),
    )
    query = select(frames.c.station, func.count()).where(at.is_not(None), ~stood)
    return [(station, count) for station, count in connection.execute(query.group_by(frames.c.station))]


def agent_speaks(connection: Connection, station: str) -> bool:
    """Whether there is any health of this station."""
    return bool(connection.scalar(select(exists().where(station_health.c.station == station))))


def health_said(connection: Connection, station: str, start: datetime, end: datetime) -> list[Said]:
    """What a station's agent said between two moments, and the first that it said after them; in order of arrival."""
    at = station_health.c.received_at
    # JSON's own look-up: most of a row is said of things that don't matter here
    uptime = json_number(station_health.c.health, "uptime_s")
    failed = json_number(station_health.c.health, "dropped", "camera")
    query = select(at, uptime, failed).where(station_health.c.station == station, at >= start).order_by(at)
    within = connection.execute(query.where(at <= end)).all()
    after = connection.execute(query.where(at > end).limit(1)).all()
    return [Said(when, _number(up), int(_number(lost))) for when, up, lost in (*within, *after)]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _within(station: str, start: datetime, end: datetime) -> list[ColumnElement[bool]]:
    at = frames.c.captured_utc
    return [frames.c.station == station, at >= start, at <= end]


def _pauses(station: str, start: datetime, end: datetime, *, triggers: Collection[str] = ()) -> Subquery:
    """One row a frame: at, next, pause_s; the last one's are null."""
    at = frames.c.captured_utc
    following = func.lead(at, type_=at.type).over(order_by=at)
    pause_s = seconds_between(at, following)
    query = select(at.label("at"), following.label("next"), pause_s.label("pause_s"))
    query = query.where(*_within(station, start, end))
    if triggers:
        query = query.where(frames.c.triggered_by.in_(triggers))
    return query.subquery()
