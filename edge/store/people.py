"""Rows of frames that show people or vehicles: which they are, and what became of their originals.

What takes a connection takes part in the caller's transaction. Every change leaves a row of `audit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, func, insert, literal_column, or_, select, true, update

from .schema import audit, frames
from .sql import Store

# As the partial indices have it: SQLite takes one only for the same words, and without parameters.
OPEN = (frames.c.people == true()) & (frames.c.original == literal_column("'kept'"))
# PostgreSQL would look along all frames for what is not there: it does not know that those with people were withheld.
IN_ORDER = frames.c.pk + literal_column("0")
WITHHELD = frames.c.original == literal_column("'withheld'")
COLUMNS = tuple(
    frames.c[name] for name in ("pk", "station", "id", "name", "path", "original", "captured_utc", "recorded_at")
)
STATES = ("kept", "released", "withheld", "deleted")


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame that shows people. original: one of STATES. path: where its file lies, or lay."""

    pk: int
    station: str
    id: str
    name: str
    path: Path
    original: str
    captured_at: datetime | None
    recorded_at: datetime | None


def mark_people(connection: Connection, frame_pk: int) -> None:
    """A frame shows people, and with it its thumbnail, or the full frame that it stands for."""
    full = select(frames.c.full_pk).where(frames.c.pk == frame_pk).scalar_subquery()
    same = or_(frames.c.pk == frame_pk, frames.c.full_pk == frame_pk, frames.c.pk == full)
    connection.execute(update(frames).where(same).values(people=True))


def thumbnail_shows_people(connection: Connection, frame_pk: int) -> bool:
    """Whether the thumbnail that came before a full frame shows people, as the machine or somebody has said."""
    query = select(frames.c.pk).where(frames.c.full_pk == frame_pk, frames.c.people == true()).limit(1)
    return connection.scalar(query) is not None


def to_withhold(store: Store, *, recorded_before: datetime, after: int, limit: int) -> list[Shown]:
    """Frames with people whose originals lie open, by pk; after: the last pk that was dealt with."""
    query = select(*COLUMNS).where(OPEN, frames.c.state == "recorded", frames.c.recorded_at < recorded_before)
    query = query.where(frames.c.path != "")  # an imported frame whose file nobody found
    return _read(store, query.where(frames.c.pk > after).order_by(IN_ORDER).limit(limit))


def to_delete(store: Store, *, recorded_before: datetime, after: int, limit: int) -> list[Shown]:
    """Frames whose originals are withheld and old enough, by pk."""
    query = select(*COLUMNS).where(WITHHELD, frames.c.recorded_at < recorded_before, frames.c.pk > after)
    return _read(store, query.order_by(IN_ORDER).limit(limit))


def with_people(store: Store, *, state: str = "", limit: int = 100) -> list[Shown]:
    """Frames with people, newest first; state: "" for all."""
    query = select(*COLUMNS).where(frames.c.people.is_(True), frames.c.state == "recorded")
    if state:
        query = query.where(frames.c.original == state)
    return _read(store, query.order_by(frames.c.pk.desc()).limit(limit))


def counts(store: Store) -> dict[str, int]:
    """How many frames with people there are, by what became of their originals."""
    query = select(frames.c.original, func.count()).where(frames.c.people.is_(True), frames.c.state == "recorded")
    with store.reading() as connection:
        found = {str(state): int(count) for state, count in connection.execute(query.group_by(frames.c.original))}
    return {state: found.get(state, 0) for state in STATES}


def find(store: Store, frame_id: str) -> list[Shown]:
    """The recorded frames of this id, with people or without."""
    return _read(store, select(*COLUMNS).where(frames.c.id == frame_id, frames.c.state == "recorded"))


def change(
    connection: Connection,
    shown: Shown,
    *,
    original: str,
    path: Path | None = None,
    who: str,
    now: datetime,
    details: Mapping[str, Any],
) -> None:
    """What became of an original, and where it lies now (None: as before)."""
    values: dict[str, Any] = {"original": original}
    if path is not None:
        values["path"] = str(path)
    connection.execute(update(frames).where(frames.c.pk == shown.pk).values(**values))
    action = {"withheld": "people.withhold", "deleted": "people.delete", "released": "people.release"}[original]
    row = {"at": now, "who": who, "action": action, "subject": f"frame {shown.station}/{shown.id}"}
    connection.execute(insert(audit).values(**row, details=dict(details)))


def came_from(connection: Connection, shown: Shown) -> Path | None:
    """Where the original lay before it was withheld; None when it never was."""
    query = select(audit.c.details).where(
        audit.c.action == "people.withhold", audit.c.subject == f"frame {shown.station}/{shown.id}"
    )
    details = connection.scalar(query.order_by(audit.c.pk.desc()).limit(1))
    return Path(details["from"]) if details and "from" in details else None


def _read(store: Store, query: Select[Any]) -> list[Shown]:
    with store.reading() as connection:
        found = connection.execute(query).all()
    return [
        Shown(row.pk, row.station, row.id, row.name, Path(row.path), row.original, row.captured_utc, row.recorded_at)
        for row in found
    ]
