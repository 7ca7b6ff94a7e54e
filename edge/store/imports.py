"""Rows of frames that another program looked at: they are recorded without having been spooled or claimed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from ..model import Outcome
from .clocks import Clocks, corrected_row, in_force
from .dialects import highest, took_pks
from .rows import frame_values, observation_values
from .schema import frames, observations, quarantine
from .sql import Store

SOURCE = "import"
PEOPLE = ("person", "vehicle")
Result = Literal["new", "known", "located", "other"]


@dataclass(frozen=True, slots=True)
class Finished:
    """A frame with what was found. failure: why it could not be looked at, "" when it was.

    details: what the other program says beside that; its `same_as` tells two imports of one frame apart from another
    frame of the same name.
    """

    outcome: Outcome
    details: Mapping[str, Any]
    failure: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """(station, frame id)."""
        return self.outcome.spooled.station, self.outcome.spooled.id


def add_finished(store: Store, batch: Sequence[Finished], *, now: datetime) -> list[Result]:
    """Record frames in one transaction; for each what it was.

    "new"; "known": it was imported before, or the station has a frame with this content; "located": known, and its
    file was found only now; "other": a frame of this name was imported that shows something else, and it stays.
    """
    with store.transaction() as connection:
        known = _known(connection, [each.key for each in batch])
        contents = _contents(connection, batch)
        clocks = in_force(connection, [each.outcome.spooled.station for each in batch])
        new = _New(now, clocks, highest(connection, frames))
        results: list[Result] = []
        for each in batch:
            spooled = each.outcome.spooled
            if each.key in known:
                results.append(_again(connection, each, *known[each.key], clocks))
            elif spooled.sha256 and (spooled.station, spooled.sha256) in contents:
                results.append("known")
            else:
                known[each.key] = new.add(each), _text_of(spooled.path), dict(each.details)
                contents.add((spooled.station, spooled.sha256))
                results.append("new")
        new.write(connection)
    return results


def _known(
    connection: Connection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], tuple[int, str, dict[str, Any]]]:
    """(station, id) → (pk, path, details) of those that are there."""
    query = select(frames.c.station, frames.c.id, frames.c.pk, frames.c.path, frames.c.details)
    found = {}
    for station in {station for station, _id in keys}:
        ids = [number for where, number in keys if where == station]
        for row in connection.execute(query.where(frames.c.station == station, frames.c.id.in_(ids))):
            found[row[0], row[1]] = (row[2], row[3], row[4] or {})
    return found


def _contents(connection: Connection, batch: Sequence[Finished]) -> set[tuple[str, str]]:
    """(station, hash) of the contents of this batch that the store has, whatever their names."""
    found = set()
    for station in {each.outcome.spooled.station for each in batch}:
        hashes = [each.outcome.spooled.sha256 for each in batch if each.outcome.spooled.station == station]
        query = select(frames.c.sha256).where(
            frames.c.station == station, frames.c.sha256.in_([each for each in hashes if each])
        )
        found |= {(station, each) for each in connection.scalars(query)}
    return found


def _again(
    connection: Connection, each: Finished, pk: int, path: str, details: dict[str, Any], clocks: Clocks
) -> Result:
    if details.get("same_as") != each.details.get("same_as"):
        return "other"
    spooled = each.outcome.spooled
    if path or not spooled.sha256:
        return "known"
    values = corrected_row(frame_values(spooled, spool_bytes=0), clocks)
    names = ("path", "sha256", "size_bytes", "captured_utc", "captured_original", "captured_origin", "said_utc")
    sizes = {"width": each.outcome.width, "height": each.outcome.height}
    connection.execute(
        update(frames).where(frames.c.pk == pk).values(**{name: values[name] for name in names}, **sizes)
    )
    return "located"


@dataclass(slots=True)
class _New:
    """Rows that are written at once, at the end of a batch. last: the largest pk; nobody else writes meanwhile."""

    now: datetime
    clocks: Clocks
    last: int
    frames: list[dict[str, Any]] = field(default_factory=list)
    observations: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, each: Finished) -> int:
        """Take a frame; returns its pk."""
        self.last += 1
        outcome, pk = each.outcome, self.last
        values = corrected_row(frame_values(outcome.spooled, spool_bytes=0), self.clocks) | {
            "pk": pk,
            "path": _text_of(outcome.spooled.path),
            "state": "quarantined" if each.failure else "recorded",
            "reason": each.failure,
            "recorded_at": self.now,
            "attempts": 0,
            "late": False,
            "width": outcome.width,
            "height": outcome.height,
            "frame_rate": outcome.frame_rate,
            "damage": outcome.damage,
            "stage_ms": {},
            "pictures": [[picture.number, picture.time_s, picture.rejected] for picture in outcome.pictures],
            "people": any(found.category in PEOPLE for found in outcome.detections()),
            "details": dict(each.details),
        }
        self.frames.append(values)
        if each.failure:
            said = {"source": SOURCE, "name": outcome.spooled.name, "reason": each.failure, "path": values["path"]}
            self.failures.append({"at": self.now, **said, "frame_pk": pk})
        for picture in outcome.pictures:
            self.observations.extend(observation_values(pk, picture, found) for found in picture.detections)
        return pk

    def write(self, connection: Connection) -> None:
        """Write all of them."""
        for table, rows in ((frames, self.frames), (observations, self.observations), (quarantine, self.failures)):
            if rows:
                connection.execute(insert(table), rows)
        if self.frames:
            took_pks(connection, frames)


def _text_of(path: Path) -> str:
    """The column of a path; "" of Path(), which stands for a file that is nowhere."""
    return "" if path == Path() else str(path)
