"""What the heartbeat reads and keeps: rows of `watched`, and what a look at everything asks the database.

Each function is one statement, whatever the number of stations, except where its docstring says otherwise; they take
part in the caller's transaction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, exists, func, select, text

from .dialects import upsert
from .schema import frames, notices, observations, quarantine, station_state, watched

NEWEST_LOOKED_AT = 5_000  # frames of which the share without animals is told

# Every name of a station is found by one step in an index, and so is its newest frame: by the order of its starts and
# frames for an agent, by the order of arrival for others, whose numbers are all 0.
_HEARD = text("""
    WITH RECURSIVE heard(who) AS (
        SELECT min(station) FROM frames
        UNION ALL
        SELECT (SELECT min(station) FROM frames WHERE station > who) FROM heard WHERE who IS NOT NULL
    )
    SELECT who,
        (SELECT received_at FROM frames WHERE station = who ORDER BY boot_count DESC, seq DESC, pk DESC LIMIT 1)
            AS newest,
        (SELECT received_at FROM frames WHERE station = who AND boot_count = 0 AND seq = 0 ORDER BY pk DESC LIMIT 1)
            AS other
    FROM heard WHERE who IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class Said:
    """What a station's agent said last."""

    heard_at: datetime
    health: dict[str, Any] | None
    health_at: datetime | None
    drifts: bool
    drift_s: float | None


def rows(connection: Connection) -> dict[str, tuple[datetime, datetime | None]]:
    """All that is watched and bad: name → (since, told_at)."""
    found = connection.execute(select(watched.c.name, watched.c.since, watched.c.told_at))
    return {name: (since, told_at) for name, since, told_at in found}


def keep(connection: Connection, changed: Iterable[tuple[str, datetime, datetime | None]]) -> None:
    """Add or change rows: (name, since, told_at)."""
    values = [{"name": name, "since": since, "told_at": told_at} for name, since, told_at in changed]
    if not values:
        return
    statement = upsert(connection, watched)
    told = {"since": statement.excluded.since, "told_at": statement.excluded.told_at}
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=told), values)


def drop(connection: Connection, names: Iterable[str]) -> None:
    """Remove rows; a statement for every 500."""
    wanted = list(names)
    for first in range(0, len(wanted), 500):
        connection.execute(delete(watched).where(watched.c.name.in_(wanted[first : first + 500])))


def frames_heard(connection: Connection) -> dict[str, datetime]:
    """When each station's newest frame came."""
    columns = _HEARD.columns(newest=frames.c.received_at.type, other=frames.c.received_at.type)
    return {
        row.who: max(each for each in (row.newest, row.other) if each is not None)
        for row in connection.execute(columns)
    }


def agents_said(connection: Connection) -> dict[str, Said]:
    """What each station's agent said last."""
    columns = ("heard_at", "health", "health_at", "drifts", "drift_s")
    query = select(station_state.c.station, *(station_state.c[name] for name in columns))
    return {row[0]: Said(*row[1:]) for row in connection.execute(query)}


def oldest_waiting(connection: Connection) -> datetime | None:
    """When the first of the fresh frames that nobody has looked at yet came."""
    query = select(frames.c.received_at).where(frames.c.state == "spooled", frames.c.late.is_(False))
    found: datetime | None = connection.scalar(query.order_by(frames.c.pk).limit(1))
    return found


def quarantined_at(connection: Connection, number: int) -> datetime | None:
    """When the n-th newest thing was put into quarantine; None when there are fewer."""
    query = select(quarantine.c.at).order_by(quarantine.c.pk.desc()).offset(number - 1).limit(1)
    found: datetime | None = connection.scalar(query)
    return found


def last_alert_at(connection: Connection) -> datetime | None:
    """When the newest alert that was sent was sent."""
    query = select(notices.c.sent_at).where(notices.c.kind == "alert", notices.c.sent_at.is_not(None))
    found: datetime | None = connection.scalar(query.order_by(notices.c.pk.desc()).limit(1))
    return found


def frames_since(connection: Connection, since: datetime) -> int:
    """How many frames came since then, by the order of arrival: some 25 statements, not one over all rows."""
    last = int(connection.scalar(select(func.max(frames.c.pk))) or 0)
    low, high = 0, last  # frames up to `low` are older, those after `high` are not
    while low < high:
        middle = (low + high + 1) // 2
        query = select(frames.c.pk, frames.c.received_at).where(frames.c.pk >= middle).order_by(frames.c.pk).limit(1)
        pk, received_at = connection.execute(query).one()
        if pk <= high and received_at < since:
            low = pk
        else:
            high = middle - 1
    return last - low


def blank_share(connection: Connection, most: int) -> float | None:
    """Share of frames without any detection, of the newest `most` (5,000 at most); None when none was looked at."""
    last = int(connection.scalar(select(func.max(frames.c.pk))) or 0)
    newest = (frames.c.pk > last - min(most, NEWEST_LOOKED_AT)) & (frames.c.state == "recorded")
    seen = exists().where(observations.c.frame_pk == frames.c.pk)
    total = int(connection.scalar(select(func.count()).select_from(frames).where(newest)) or 0)
    blank = int(connection.scalar(select(func.count()).select_from(frames).where(newest, ~seen)) or 0)
    return blank / total if total else None
