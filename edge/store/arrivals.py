"""Queries of hop 3, spool, on an open transaction: which frames are known, new rows, thumbnails and full frames."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, false, or_, select, update

from .dialects import upsert
from .schema import counters, frames

Key = tuple[str, str]  # station, frame id


def known_hashes(connection: Connection, keys: Collection[Key]) -> dict[Key, str]:
    """The content hash of each of these frames that is known."""
    query = select(frames.c.station, frames.c.id, frames.c.sha256).where(
        _is_one_of(frames.c.station, frames.c.id, keys)
    )
    return {(str(station), str(frame_id)): str(sha256) for station, frame_id, sha256 in connection.execute(query)}


def add_frames(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Add rows of frames; for each whether it is new. What is there already is not changed."""
    known = known_hashes(connection, [_key(row) for row in rows])
    new = [row for row in rows if _key(row) not in known]
    if new:
        connection.execute(upsert(connection, frames).on_conflict_do_nothing(index_elements=["station", "id"]), new)
        _link_thumbnails(connection, new)
    return [_key(row) not in known for row in rows]


def waiting_bytes(connection: Connection) -> int:
    """Bytes in our own folder of frames that wait or are in work; one row, however many frames wait."""
    return int(connection.scalar(select(counters.c.value).where(counters.c.name == "waiting_bytes")) or 0)


def _link_thumbnails(connection: Connection, new: Sequence[Mapping[str, Any]]) -> None:
    """Give thumbnails the pk of the full frame they stand for, whichever of the two has just arrived."""
    thumb, full = frames.alias("thumb"), frames.alias("full")
    pairs = select(thumb.c.pk.label("thumb_pk"), full.c.pk.label("its_full")).join(
        full, (full.c.station == thumb.c.station) & (full.c.id == thumb.c.stands_for)
    )
    came_full = pairs.where(_is_one_of(thumb.c.station, thumb.c.stands_for, map(_key, new)))
    found = list(connection.execute(came_full).mappings())
    if thumbs := [_key(row) for row in new if row["stands_for"]]:
        came_small = pairs.where(_is_one_of(thumb.c.station, thumb.c.id, thumbs))
        found += list(connection.execute(came_small).mappings())
    if found:
        link = update(frames).where(frames.c.pk == bindparam("thumb_pk")).values(full_pk=bindparam("its_full"))
        connection.execute(link, [dict(each) for each in found])


def _is_one_of(station: ColumnElement[str], name: ColumnElement[str], keys: Iterable[Key]) -> ColumnElement[bool]:
    """Whether (station, name) is one of `keys`, in a form for which SQLite uses an index; a list of pairs it scans."""
    names: dict[str, list[str]] = {}
    for of_station, each in keys:
        names.setdefault(of_station, []).append(each)
    return or_(false(), *((station == of_station) & name.in_(each) for of_station, each in names.items()))


def _key(row: Mapping[str, Any]) -> Key:
    return row["station"], row["id"]
