"""What agents say of themselves → rows and events; and the commands that are due for them.

A command comes in as a file in `<state_dir>/commands`, from whatever process wants it sent; the daemon, the only one
that writes the database, takes it in within a second.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from ..clock import Clock
from ..errors import RefusedError
from ..messages import Command, Hello, Result, Status, Value
from ..model import Event
from ..paths import write_atomically
from ..services import Emit, Log, Said
from ..stations.folders import give_to_owner
from ..store.agents import Agents, AgentState, answered, keep_health, say, send_again
from ..store.sql import Store
from ..wire import checked_station

DRIFT_S = 30.0  # a clock that is further off than this is flagged: bursts and sequences are told apart by less
MOST_FILES = 256  # commands taken in at once


def queue_command(
    state_dir: Path, station: str, name: str, args: Mapping[str, Value], *, now: datetime, expires_at: datetime
) -> str:
    """Have a command sent to a station as soon as it is connected; returns the command's id.

    Callable from any process; sent within two seconds when the daemon runs and the station is connected. Raises
    RefusedError when there is no such command or station name, OSError when state_dir can't be written.
    """
    # the first part orders the files
    command = Command(f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}", name, expires_at, args)
    try:
        body = command.encode()
        Command.decode(body)
        checked_station(station)
    except ValueError as exc:  # WireError, or a number that JSON has not
        raise RefusedError(str(exc)) from exc
    folder = state_dir / "commands"
    folder.mkdir(parents=True, exist_ok=True)
    give_to_owner(folder)
    path = folder / f"{command.id}.json"
    write_atomically(path, json.dumps({"station": station, "command": body.decode()}).encode())
    give_to_owner(path)
    return command.id


class StoreRoster:
    """The Roster of a site: see edge.services."""

    def __init__(self, store: Store, *, state_dir: Path, clock: Clock, emit: Emit, log: Log) -> None:
        self._store = store
        self._agents = Agents(store)
        self._folder = state_dir / "commands"
        self._clock = clock
        self._emit = emit
        self._log = log
        self._folder.mkdir(parents=True, exist_ok=True)

    def heard(self, said: Sequence[tuple[str, Said]], *, live: bool) -> None:
        """Keep what agents said; see edge.services.Roster."""
        now = self._clock.now()
        events: list[Event] = []
        with self._store.transaction() as connection:
            for station, message in said:
                events += self._hear(connection, station, message, live=live, now=now)
        for event in events:  # only now: what a rolled-back transaction said did not happen
            self._emit(event)

    def due_commands(self) -> list[tuple[str, Command]]:
        """Take in new files; then some commands that are due. See edge.services.Roster."""
        self._take_in()
        return self._agents.due_commands(now=self._clock.now())

    def command_sent(self, command_id: str) -> None:
        """The broker gets this command now."""
        self._agents.command_sent(command_id, now=self._clock.now())

    def _hear(self, connection: Connection, station: str, message: Said, *, live: bool, now: datetime) -> list[Event]:
        if isinstance(message, Status):
            before = say(connection, station, now=now, boot=message.boot)
            return self._came_or_went(connection, station, before, online=message.online, now=now)
        if isinstance(message, Result):
            name = answered(connection, station, message, now=now)
            if not name:
                return []
            fields = {"command": name, "id": message.id, "text": message.text}
            return [Event("station.result", now, ok=message.ok, station=station, fields=fields)]
        clock = message.clock if isinstance(message, Hello) else message.at
        drift_s = round((now - clock).total_seconds(), 3) if live else None
        values: dict[str, object] = {"boot": message.boot, "version": message.version}
        if drift_s is not None:
            values |= {"drift_s": drift_s, "drifts": abs(drift_s) > DRIFT_S}
        if isinstance(message, Hello):
            before = say(connection, station, now=now, clock_ok=message.clock_ok, **values)
            events = self._came_or_went(connection, station, before, online=True, now=now)
            send_again(connection, station)
        else:
            health = json.loads(message.encode())
            before = say(connection, station, now=now, health=health, health_at=now, **values)
            drifts = drift_s is not None and abs(drift_s) > DRIFT_S
            keep_health(connection, station, message, drift_s=drift_s, drifts=drifts, now=now)
            told = {"health": health, "drifts": drifts if live else None}
            events = [Event("station.health", now, station=station, fields=told)]
        if drift_s is not None and abs(drift_s) > DRIFT_S and not (before and before.drifts):
            drifts_by = {"drift_s": drift_s, "clock": clock.isoformat()}
            events.append(Event("station.drift", now, ok=False, station=station, fields=drifts_by))
        return events

    def _came_or_went(
        self, connection: Connection, station: str, before: AgentState | None, *, online: bool, now: datetime
    ) -> list[Event]:
        if before is not None and before.online is online:
            return []
        say(connection, station, now=now, online=online, online_since=now)
        verb = "station.online" if online else "station.offline"
        return [Event(verb, now, ok=online, station=station)]

    def _take_in(self) -> None:
        """Files of commands → rows; a file that is none is put away with a word in the log."""
        paths = sorted(self._folder.glob("*.json"))[:MOST_FILES]
        found = [(path, each) for path in paths if (each := self._read(path)) is not None]
        if found:
            self._agents.add_commands([each for _path, each in found], now=self._clock.now())
        for path, _each in found:
            path.unlink(missing_ok=True)

    def _read(self, path: Path) -> tuple[str, Command] | None:
        try:
            content = json.loads(path.read_bytes())
            return checked_station(content["station"]), Command.decode(content["command"].encode())
        except OSError as exc:
            self._log.warning("command.unreadable", path=str(path), reason=exc.strerror or str(exc))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            self._log.warning("command.refused", path=str(path), reason=str(exc))
            path.rename(path.with_suffix(".refused"))
        return None
