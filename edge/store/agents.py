"""What stations' agents say of themselves, and commands for them: rows of station_state, station_health, commands.

Written by the daemon only: another process that wants a command sent leaves a file (edge/pipeline/roster.py), because
the frames' database may have one writing process only (docs/guarantees.md).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from ..messages import Command, Health, Result
from .dialects import upsert
from .schema import commands, station_health, station_state
from .sql import Store

HISTORY_EVERY = timedelta(seconds=55)  # rows of history of one station are so far apart at least
HISTORY_FOR = timedelta(days=90)  # about 13,000 rows for a station that says it every ten minutes, 140,000 at most
SENT_AT_ONCE = 8
OPEN = ("queued", "sent")


@dataclass(frozen=True, slots=True)
class AgentState:
    """What is known of a station's agent. drift_s: the server's clock less the agent's, None while unknown.

    online: None until the agent has said so. health: as the agent said it last.
    """

    station: str
    online: bool | None
    online_since: datetime | None
    heard_at: datetime
    boot: str
    version: str
    clock_ok: bool | None
    drift_s: float | None
    drifts: bool
    health: dict[str, Any] | None
    health_at: datetime | None


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command and what became of it. state: queued, sent, done, failed or expired. text: the agent's answer."""

    id: str
    station: str
    name: str
    args: dict[str, Any]
    created_at: datetime
    expires_at: datetime
    state: str
    sent_at: datetime | None
    ended_at: datetime | None
    text: str


class Agents:
    """Reads and writes what agents say. Methods with a connection take part in the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def states(self) -> list[AgentState]:
        """All stations that were ever heard, by name."""
        with self._store.reading() as connection:
            rows = connection.execute(select(station_state).order_by(station_state.c.station)).mappings()
            return [AgentState(**row) for row in rows]

    def state(self, station: str) -> AgentState | None:
        """One station; None when it was never heard."""
        with self._store.reading() as connection:
            return _state(connection, station)

    def health_history(self, station: str, *, since: datetime) -> list[tuple[datetime, dict[str, Any]]]:
        """(when we got it, what it said), oldest first."""
        query = (
            select(station_health.c.received_at, station_health.c.health)
            .where(station_health.c.station == station, station_health.c.received_at >= since)
            .order_by(station_health.c.received_at)
        )
        with self._store.reading() as connection:
            return [(row.received_at, dict(row.health)) for row in connection.execute(query)]

    def commands(self, station: str, *, limit: int = 50) -> list[CommandRow]:
        """The newest commands for a station, newest first."""
        query = select(commands).where(commands.c.station == station).order_by(commands.c.pk.desc()).limit(limit)
        with self._store.reading() as connection:
            return [_command_row(row) for row in connection.execute(query).mappings()]

    def command(self, command_id: str) -> CommandRow | None:
        """One command; None when there is none of this id."""
        with self._store.reading() as connection:
            row = connection.execute(select(commands).where(commands.c.id == command_id)).mappings().first()
            return _command_row(row) if row else None

    def add_commands(self, wanted: Sequence[tuple[str, Command]], *, now: datetime) -> None:
        """Queue commands, (station, command); one whose id is there already changes nothing."""
        rows = [
            {
                "id": each.id,
                "station": station,
                "name": each.name,
                "args": dict(each.args),
                "created_at": now,
                "expires_at": each.expires_at,
            }
            for station, each in wanted
        ]
        with self._store.transaction() as connection:
            connection.execute(upsert(connection, commands).on_conflict_do_nothing(), rows)

    def due_commands(self, *, now: datetime) -> list[tuple[str, Command]]:
        """Some queued commands of stations that are online, oldest first; what is past its time is marked expired."""
        with self._store.transaction() as connection:
            waiting = connection.scalar(select(commands.c.pk).where(commands.c.state.in_(OPEN)).limit(1))
            if waiting is None:
                return []
            late = update(commands).where(commands.c.state.in_(OPEN), commands.c.expires_at <= now)
            connection.execute(late.values(state="expired", ended_at=now, text="expired before it was answered"))
            query = (
                select(commands)
                .join(station_state, station_state.c.station == commands.c.station)
                .where(commands.c.state == "queued", station_state.c.online.is_(True))
                .order_by(commands.c.pk)
                .limit(SENT_AT_ONCE)
            )
            rows = connection.execute(query).mappings()
            return [(row["station"], Command(row["id"], row["name"], row["expires_at"], row["args"])) for row in rows]

    def command_sent(self, command_id: str, *, now: datetime) -> None:
        """The broker gets it now; it is sent again when its station connects anew and has not answered."""
        with self._store.transaction() as connection:
            connection.execute(
                update(commands)
                .where(commands.c.id == command_id, commands.c.state == "queued")
                .values(state="sent", sent_at=now)
            )


def say(connection: Connection, station: str, *, now: datetime, **values: Any) -> AgentState | None:
    """Keep `values` of station_state; returns what was known before, None when this is the first word of a station."""
    before = _state(connection, station)
    row = {"station": station, "heard_at": now, **values}
    changed = {key: value for key, value in row.items() if key != "station"}
    statement = upsert(connection, station_state).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=["station"], set_=changed))
    return before


def keep_health(
    connection: Connection, station: str, health: Health, *, drift_s: float | None, drifts: bool, now: datetime
) -> None:
    """Add to the history, unless there is a row of the last minute, and forget what is too old."""
    mine = station_health.c.station == station
    newest = connection.scalar(select(func.max(station_health.c.received_at)).where(mine))
    if newest is not None and timedelta() <= now - newest < HISTORY_EVERY:
        return
    said = json.loads(health.encode())
    row = {"station": station, "at": health.at, "received_at": now, "drift_s": drift_s, "drifts": drifts}
    connection.execute(insert(station_health).values(health=said, **row))
    connection.execute(delete(station_health).where(mine, station_health.c.received_at < now - HISTORY_FOR))


def send_again(connection: Connection, station: str) -> None:
    """The station has connected anew: what it was sent and has not answered may never have arrived."""
    connection.execute(
        update(commands).where(commands.c.station == station, commands.c.state == "sent").values(state="queued")
    )


def answered(connection: Connection, station: str, result: Result, *, now: datetime) -> str:
    """Keep the answer to a command of this station; returns the command's name, "" when it is none of its open ones."""
    mine = (commands.c.id == result.id) & (commands.c.station == station)
    name = connection.scalar(select(commands.c.name).where(mine, commands.c.state.in_((*OPEN, "expired"))))
    if name is None:
        return ""
    state = "done" if result.ok else "failed"
    connection.execute(update(commands).where(mine).values(state=state, ended_at=now, text=result.text))
    return str(name)


def _state(connection: Connection, station: str) -> AgentState | None:
    row = connection.execute(select(station_state).where(station_state.c.station == station)).mappings().first()
    return AgentState(**row) if row else None


def _command_row(row: Any) -> CommandRow:
    return CommandRow(**{key: value for key, value in row.items() if key != "pk"})
