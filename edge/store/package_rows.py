"""Rows of an imported Camtrap DP. All functions take part in the caller's transaction."""

import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, bindparam, exists, insert, select, update

from .dialects import json_value, json_with, took_pks
from .encounters import CODE_LENGTH, CODE_LETTERS
from .harvest import IMPORTED
from .schema import deployments, encounters, frames, imported_events, observations, reviews

Values = Mapping[str, Any]
UID_WIDTH = 16  # of the column


def known_deployments(connection: Connection) -> dict[str, str]:
    """Every deployment's id → its station."""
    query = select(deployments.c.id, deployments.c.station)
    return {str(number): str(station) for number, station in connection.execute(query)}


def has_own_frames(connection: Connection, station: str) -> bool:
    """Whether a station has frames that came otherwise than with a data set."""
    query = select(frames.c.pk).where(frames.c.station == station, frames.c.source != IMPORTED).limit(1)
    return connection.scalar(query) is not None


def known_frames(connection: Connection, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(station, id) → its mediaID, of those frames that are there."""
    stated = json_value(frames.c.details, "camtrap", "media", "mediaID")
    query = select(frames.c.station, frames.c.id, stated)
    found: dict[tuple[str, str], str] = {}
    for station in {station for station, _id in keys}:
        ids = [number for where, number in keys if where == station]
        for row in connection.execute(query.where(frames.c.station == station, frames.c.id.in_(ids))):
            found[row[0], row[1]] = row[2] or f"{row[0]}/{row[1]}"
    return found


def add_rows(connection: Connection, kind: str, rows: Sequence[Values]) -> None:
    """Add rows of frames, observations, reviews, encounters or events, which have the same columns."""
    tables = {
        "frames": frames,
        "observations": observations,
        "reviews": reviews,
        "encounters": encounters,
        "events": imported_events,
    }
    if rows:
        connection.execute(insert(tables[kind]), list(rows))
        if "pk" in rows[0]:
            took_pks(connection, tables[kind])


def finish_frames(connection: Connection, rows: Sequence[Values]) -> None:
    """Write what only the observations of frames tell. Of each: pk_ (its pk), pictures, damage, others (rows)."""
    if not rows:
        return
    details = json_with(frames.c.details, ("camtrap", "rows"), bindparam("others_", type_=Text))
    query = update(frames).where(frames.c.pk == bindparam("pk_"))
    query = query.values(pictures=bindparam("pictures_"), damage=bindparam("damage_"), details=details)
    named = [
        {
            "pk_": each["pk"],
            "pictures_": each["pictures"],
            "damage_": each["damage"],
            "others_": json.dumps(each["others"]),
        }
        for each in rows
    ]
    connection.execute(query, named)


def mark_people(connection: Connection, pks: Iterable[int]) -> None:
    """These frames show people."""
    rows = [{"pk_": pk} for pk in pks]
    if rows:
        connection.execute(update(frames).where(frames.c.pk == bindparam("pk_")).values(people=True), rows)


def mark_people_between(connection: Connection, station: str, start: datetime, end: datetime) -> None:
    """Imported frames of a station that were taken in this time show people."""
    here = (frames.c.station == station, frames.c.source == IMPORTED)
    then = (frames.c.captured_utc >= start, frames.c.captured_utc <= end)
    connection.execute(update(frames).where(*here, *then).values(people=True))


def frame_between(connection: Connection, station: str, start: datetime, end: datetime) -> int | None:
    """An imported frame of a station that was taken in this time."""
    here = (frames.c.station == station, frames.c.source == IMPORTED)
    then = (frames.c.captured_utc >= start, frames.c.captured_utc <= end)
    return connection.scalar(select(frames.c.pk).where(*here, *then).order_by(frames.c.captured_utc).limit(1))


def known_events(connection: Connection, numbers: Sequence[str]) -> set[str]:
    """Those of these observationIDs that are there."""
    query = select(imported_events.c.number).where(imported_events.c.number.in_(numbers))
    return set(connection.scalars(query))


def encounter_values(
    connection: Connection,
    *,
    uid: str,
    station: str,
    category: str,
    lineage: Sequence[str],
    start: datetime,
    end: datetime,
    now: datetime,
    frame_pk: int,
    count: int,
) -> dict[str, Any]:
    """The columns of an encounter. uid: taken when it is short and free."""
    taken = select(exists().where(encounters.c.uid == uid))
    fits = 0 < len(uid) <= UID_WIDTH and uid.isascii() and not connection.scalar(taken)
    return {
        "uid": uid if fits else secrets.token_hex(6),
        "code": "".join(secrets.choice(CODE_LETTERS) for _letter in range(CODE_LENGTH)),
        "station": station,
        "category": category,
        "lineage": list(lineage),
        "started_at": start,
        "last_at": end,
        "opened_at": now,
        "frames": count,
        "best_frame_pk": frame_pk,
        "best_number": 0,
        "best_quality": 0.0,
    }
