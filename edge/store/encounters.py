"""Rows of encounters and matches. All functions take part in the caller's transaction."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from .schema import encounters, frames, matches, observations

# Without I, O, 0, 1 and vowels that make words: it is read from a small screen and typed with cold fingers.
CODE_LETTERS = "23456789BCDFGHJKLMNPQRSTVWXZ"
CODE_LENGTH = 4
CODE_TRIES = 20


@dataclass(frozen=True, slots=True)
class Encounter:
    """An encounter as its row has it. started_at, last_at: as captured; opened_at: when it was recorded first."""

    pk: int
    uid: str
    code: str
    station: str
    category: str
    lineage: tuple[str, ...]
    started_at: datetime
    last_at: datetime
    opened_at: datetime
    frames: int
    best_frame_pk: int
    best_number: int
    best_quality: float
    acked_at: datetime | None
    acked_by: str


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that held for a frame. because: as edge.alerts.judge wrote it."""

    frame_pk: int
    encounter_pk: int
    rule: str
    outcome: str
    number: int
    because: list[Any]


def near(connection: Connection, station: str, category: str, *, at: datetime, gap: timedelta) -> list[Encounter]:
    """Encounters of a category at a station that `at` is within a gap of, the latest first."""
    query = (
        select(encounters)
        .where(
            encounters.c.station == station,
            encounters.c.category == category,
            encounters.c.last_at >= at - gap,
            encounters.c.started_at <= at + gap,
        )
        .order_by(encounters.c.last_at.desc(), encounters.c.pk.desc())
    )
    return [encounter_from(row) for row in connection.execute(query).mappings()]


def open_encounter(
    connection: Connection,
    *,
    station: str,
    category: str,
    lineage: Sequence[str],
    at: datetime,
    now: datetime,
    frame_pk: int,
    number: int,
    quality: float,
) -> Encounter:
    """A new encounter, of one frame."""
    values = {
        "uid": secrets.token_hex(6),
        "code": _free_code(connection, now),
        "station": station,
        "category": category,
        "lineage": list(lineage),
        "started_at": at,
        "last_at": at,
        "opened_at": now,
        "frames": 1,
        "best_frame_pk": frame_pk,
        "best_number": number,
        "best_quality": quality,
    }
    row = connection.execute(insert(encounters).values(values).returning(encounters)).mappings().one()
    return encounter_from(row)


def extend(
    connection: Connection,
    found: Encounter,
    *,
    lineage: Sequence[str],
    at: datetime,
    frame_pk: int,
    number: int,
    quality: float,
    counts: bool,
) -> Encounter:
    """Take one more frame into an encounter. counts: False for the second form of a frame that is in it already."""
    values: dict[str, Any] = {
        "started_at": min(found.started_at, at),
        "last_at": max(found.last_at, at),
        "frames": found.frames + counts,
    }
    if len(lineage) > len(found.lineage):
        values["lineage"] = list(lineage)
    if quality > found.best_quality:
        values |= {"best_frame_pk": frame_pk, "best_number": number, "best_quality": quality}
    changed = update(encounters).where(encounters.c.pk == found.pk).values(values).returning(encounters)
    return encounter_from(connection.execute(changed).mappings().one())


def starts(
    connection: Connection, station: str, *, category: str | None, since: datetime, before: datetime, but: int = 0
) -> list[tuple[datetime, tuple[str, ...]]]:
    """(when it began, lineage) of encounters at a station, oldest first. but: pk of one that is not meant."""
    query = (
        select(encounters.c.started_at, encounters.c.lineage)
        .where(
            encounters.c.station == station,
            encounters.c.started_at >= since,
            encounters.c.started_at < before,
            encounters.c.pk != but,
        )
        .order_by(encounters.c.started_at)
    )
    if category is not None:
        query = query.where(encounters.c.category == category)
    return [(at, tuple(lineage)) for at, lineage in connection.execute(query)]


def by_pk(connection: Connection, pk: int) -> Encounter | None:
    """One encounter."""
    row = connection.execute(select(encounters).where(encounters.c.pk == pk)).mappings().first()
    return encounter_from(row) if row else None


def by_uid(connection: Connection, uid: str) -> Encounter | None:
    """The encounter of this uid, which messages about it have as their thread."""
    row = connection.execute(select(encounters).where(encounters.c.uid == uid)).mappings().first()
    return encounter_from(row) if row else None


def by_code(connection: Connection, code: str) -> Encounter | None:
    """The latest encounter of this code."""
    query = select(encounters).where(encounters.c.code == code).order_by(encounters.c.pk.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return encounter_from(row) if row else None


def acknowledge(connection: Connection, pk: int, *, by: str, now: datetime) -> bool:
    """Somebody has seen to it; False when somebody else had before."""
    first = (
        update(encounters)
        .where(encounters.c.pk == pk, encounters.c.acked_at.is_(None))
        .values(acked_at=now, acked_by=by)
    )
    return connection.execute(first).rowcount == 1


def add_match(connection: Connection, match: Match, *, quality: float) -> None:
    """Note that a rule held."""
    values = {
        "frame_pk": match.frame_pk,
        "encounter_pk": match.encounter_pk,
        "rule": match.rule,
        "outcome": match.outcome,
        "number": match.number,
        "because": match.because,
        "quality": quality,
    }
    connection.execute(insert(matches).values(values))


def matches_of(connection: Connection, frame_pk: int) -> list[Match]:
    """The rules that held for a frame, in their order."""
    rows = connection.execute(select(matches).where(matches.c.frame_pk == frame_pk).order_by(matches.c.pk)).mappings()
    return [
        Match(row["frame_pk"], row["encounter_pk"], row["rule"], row["outcome"], row["number"], row["because"])
        for row in rows
    ]


def best_pictures(connection: Connection, encounter_pk: int, *, limit: int) -> list[RowMapping]:
    """(frame_pk, number, path, kind) of the pictures that show it best, best first."""
    query = (
        select(matches.c.frame_pk, matches.c.number, frames.c.path, frames.c.kind)
        .join(frames, frames.c.pk == matches.c.frame_pk)
        .where(matches.c.encounter_pk == encounter_pk)
        .group_by(matches.c.frame_pk, matches.c.number, frames.c.path, frames.c.kind)
        .order_by(func.max(matches.c.quality).desc(), func.min(matches.c.pk))
        .limit(limit)
    )
    return list(connection.execute(query).mappings())


def detections_in(connection: Connection, frame_pk: int, number: int) -> list[Any]:
    """All detections of one picture, as JSON."""
    query = (
        select(observations.c.detection)
        .where(observations.c.frame_pk == frame_pk, observations.c.number == number)
        .order_by(observations.c.pk)
    )
    return [value if not isinstance(value, str) else json.loads(value) for value in connection.scalars(query)]


def encounter_from(row: RowMapping) -> Encounter:
    """The encounter of a row."""
    return Encounter(**{**row, "lineage": tuple(row["lineage"])})


def _free_code(connection: Connection, now: datetime) -> str:
    """Four letters that no encounter of the last 60 days has; there are 600,000."""
    for _try in range(CODE_TRIES):
        code = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
        taken = select(encounters.c.pk).where(
            encounters.c.code == code, encounters.c.opened_at > now - timedelta(days=60)
        )
        if connection.scalar(taken.limit(1)) is None:
            return code
    return code
