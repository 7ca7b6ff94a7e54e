"""Rows of `suspects`, and the boxes they are made of. What takes a connection takes part in the caller's transaction.

An observation belongs to a suspect by its suspect_pk; only while that is `suppressed` does it count for nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from ..model import Box, Category
from .dialects import clock_hour_of, day_of, hour_of, larger
from .schema import audit, deployments, frames, observations, suspects
from .sql import Store

State = Literal["suspect", "suppressed", "kept"]
PAGE = 5_000  # boxes that are read at once
MARKED = 2_000  # observations whose row is changed in one transaction, so that no worker waits long
SURE = 0.8  # of an answer that names a genus or species
FINE_RANKS = ("genus", "species")
PEOPLE = ("person", "vehicle")
BOX_COLUMNS = tuple(observations.c[name] for name in ("x", "y", "w", "h"))


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row. deployment: "" for the station's whole time. box: xywh_norm. frames: boxes. decided_by: "" for nobody."""

    pk: int
    station: str
    deployment: str
    category: Category
    box: Box
    frames: int
    days: int
    first_at: datetime
    last_at: datetime
    example_pk: int | None
    state: State
    found_at: datetime
    decided_by: str
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stay:
    """When a camera stood at a place, as far as repeats care. id: "" outside any deployment; end: None when open."""

    id: str
    start: datetime | None
    end: datetime | None


def boxes_of(store: Store, station: str, stay: Stay) -> Iterator[Any]:
    """(pk, frame_pk, captured_utc, category, score, x, y, w, h, taxon when that is sure, else "") in the order of time.

    Of recorded frames whose time is known, without pictures that a stage rejected; of a clip each box once a picture.
    A transaction of its own for each page.
    """
    fine = (observations.c.taxon_rank.in_(FINE_RANKS)) & (observations.c.taxon_score >= SURE)
    key = (frames.c.captured_utc, observations.c.pk)
    query = (
        select(
            observations.c.pk,
            observations.c.frame_pk,
            frames.c.captured_utc,
            observations.c.category,
            observations.c.score,
            *BOX_COLUMNS,
            observations.c.taxon,
            fine.label("fine"),
        )
        .join(frames, frames.c.pk == observations.c.frame_pk)
        .where(*_within(station, stay), frames.c.state == "recorded")
        .order_by(*key)
    )
    after: tuple[Any, ...] | None = None
    while True:
        page = query if after is None else query.where(tuple_(*key) > tuple_(*after, types=[each.type for each in key]))
        with store.reading() as connection:
            rows = connection.execute(page.limit(PAGE)).all()
        yield from rows
        if len(rows) < PAGE:
            return
        after = (rows[-1].captured_utc, rows[-1].pk)


def times_of(store: Store, station: str, stay: Stay) -> list[datetime]:
    """One moment of every hour in which this place gave pictures, with animals or without, in order."""
    hour = hour_of(frames.c.captured_utc)
    at = func.min(frames.c.captured_utc, type_=frames.c.captured_utc.type)
    query = select(at).where(*_within(station, stay), frames.c.state == "recorded").group_by(hour).order_by(hour)
    with store.reading() as connection:
        return list(connection.scalars(query))


def stays_of(store: Store, station: str) -> list[Stay]:
    """The station's deployments in order, and what lies before, between and after them as one stay each."""
    query = select(deployments.c.id, deployments.c.started_at, deployments.c.ended_at)
    query = query.where(deployments.c.station == station).order_by(deployments.c.started_at, deployments.c.id)
    with store.reading() as connection:
        rows = connection.execute(query).all()
    stays, free_from = [], None
    for number, (name, start, end) in enumerate(rows):
        until = rows[number + 1].started_at if number + 1 < len(rows) else None
        ends = min(filter(None, (end, until)), default=None)
        stays.append(Stay("", free_from, start))
        stays.append(Stay(str(name), start, ends))
        free_from = ends
    if not rows or free_from is not None:
        stays.append(Stay("", free_from, None))
    return stays


def find(connection: Connection, pks: Collection[int]) -> list[Suspect]:
    """Those of these numbers that there are."""
    return _read(connection, select(suspects).where(suspects.c.pk.in_(pks)))


def listed(connection: Connection, *, station: str = "", states: Sequence[State] = ()) -> list[Suspect]:
    """By station and number of boxes, most first; "" and () mean all."""
    query = select(suspects).order_by(suspects.c.station, suspects.c.frames.desc(), suspects.c.pk)
    if station:
        query = query.where(suspects.c.station == station)
    if states:
        query = query.where(suspects.c.state.in_(states))
    return _read(connection, query)


def hours_of(connection: Connection, pk: int) -> list[int]:
    """Of each UTC hour of the day, how many boxes."""
    hour = clock_hour_of(frames.c.captured_utc)
    query = select(hour, func.count()).join(observations, observations.c.frame_pk == frames.c.pk)
    found = connection.execute(query.where(observations.c.suspect_pk == pk).group_by(hour)).all()
    counts = {int(each): int(count) for each, count in found if each is not None}
    return [counts.get(each, 0) for each in range(24)]


def add(connection: Connection, values: Mapping[str, Any]) -> int:
    """Add a suspect; returns its pk."""
    key = connection.execute(insert(suspects).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def refresh(connection: Connection, pk: int, values: Mapping[str, Any]) -> None:
    """Change what was found of it; what was decided stays."""
    connection.execute(update(suspects).where(suspects.c.pk == pk).values(**values))


def forget(connection: Connection, pk: int) -> None:
    """Take out a suspect that was not found again."""
    connection.execute(update(observations).where(observations.c.suspect_pk == pk).values(suspect_pk=None))
    connection.execute(delete(suspects).where(suspects.c.pk == pk))


def mark(store: Store, pk: int, members: Sequence[int]) -> None:
    """These observations belong to a suspect, and no others. Transactions of its own, some thousand rows each."""
    with store.transaction() as connection:
        connection.execute(update(observations).where(observations.c.suspect_pk == pk).values(suspect_pk=None))
    for start in range(0, len(members), MARKED):
        few = list(members[start : start + MARKED])
        with store.transaction() as connection:
            connection.execute(update(observations).where(observations.c.pk.in_(few)).values(suspect_pk=pk))


def decide(
    connection: Connection, suspect: Suspect, state: State, *, who: str, now: datetime, details: Mapping[str, Any]
) -> None:
    """Put a suspect into a state, with a row of audit; frames that show people for no other reason follow."""
    by, at = ("", None) if state == "suspect" else (who, now)
    changed = update(suspects).where(suspects.c.pk == suspect.pk)
    connection.execute(changed.values(state=state, decided_by=by, decided_at=at))
    action = {"suspect": "repeats.undo", "suppressed": "repeats.suppress", "kept": "repeats.keep"}[state]
    row = {"station": suspect.station, "before": suspect.state, "frames": suspect.frames, **details}
    values = {"at": now, "who": who, "action": action, "subject": f"suspect {suspect.pk}", "details": row}
    connection.execute(insert(audit).values(**values))
    if suspect.category in PEOPLE:
        _count_people_again(connection, suspect.pk)


def counts() -> ColumnElement[bool]:
    """Whether an observation counts: it is part of no repeat that was suppressed."""
    return or_(observations.c.suspect_pk.is_(None), observations.c.suspect_pk.not_in(suppressed_pks()))


def suppressed_pks() -> ScalarSelect[Any]:
    """A subquery: those that count for nothing."""
    return select(suspects.c.pk).where(suspects.c.state == "suppressed").scalar_subquery()


def suppressed_in(connection: Connection, frame_pk: int) -> list[tuple[int, int, Suspect]]:
    """(number of the picture, which of its detections, the suppressed repeat it is part of) of a recorded frame."""
    query = (
        select(observations.c.number, observations.c.suspect_pk)
        .where(observations.c.frame_pk == frame_pk)
        .order_by(observations.c.pk)
    )
    found, counts = [], dict[int, int]()
    for number, suspect_pk in connection.execute(query):
        index = counts[number] = counts.get(number, -1) + 1
        if suspect_pk is not None:
            found.append((int(number), index, int(suspect_pk)))
    if not found:
        return []
    known = {each.pk: each for each in find(connection, {pk for _n, _i, pk in found}) if each.state == "suppressed"}
    return [(number, index, known[pk]) for number, index, pk in found if pk in known]


def in_force(connection: Connection, station: str, at: datetime) -> list[Suspect]:
    """The suppressed repeats of a station that a frame of this time may show."""
    query = select(suspects).where(suspects.c.station == station, suspects.c.state == "suppressed")
    found = _read(connection, query.where(suspects.c.first_at <= at))
    if not any(each.deployment for each in found):
        return found
    here = (
        select(deployments.c.id)
        .where(deployments.c.station == station, deployments.c.started_at <= at)
        .where(or_(deployments.c.ended_at.is_(None), deployments.c.ended_at >= at))
        .order_by(deployments.c.started_at.desc())
        .limit(1)
    )
    deployment = connection.scalar(here) or ""
    return [each for each in found if each.deployment in {"", deployment}]


def days_between(connection: Connection, station: str, since: datetime, until: datetime) -> int:
    """On how many UTC days between two moments the station took pictures."""
    day = day_of(frames.c.captured_utc)
    query = select(func.count(func.distinct(day))).where(
        frames.c.station == station, frames.c.captured_utc > since, frames.c.captured_utc < until
    )
    return int(connection.scalar(query) or 0)


def was_taken_for(connection: Connection, pk: int, taxon: str) -> bool:
    """Whether a box of this suspect was surely called so before."""
    query = select(observations.c.pk).where(
        observations.c.suspect_pk == pk, observations.c.taxon == taxon, observations.c.taxon_score >= SURE
    )
    return connection.scalar(query.limit(1)) is not None


def add_box(connection: Connection, suspect: Suspect, frame_pk: int, number: int, index: int, at: datetime) -> None:
    """The index-th detection of a picture that has just been recorded is the suspect's."""
    row = (
        select(observations.c.pk)
        .where(observations.c.frame_pk == frame_pk, observations.c.number == number)
        .order_by(observations.c.pk)
        .offset(index)
        .limit(1)
        .scalar_subquery()
    )
    connection.execute(update(observations).where(observations.c.pk == row).values(suspect_pk=suspect.pk))
    seen: dict[str, Any] = {"frames": suspects.c.frames + 1}
    if at > suspect.last_at:
        seen |= {"last_at": at, "days": suspects.c.days + int(at.date() != suspect.last_at.date())}
    connection.execute(update(suspects).where(suspects.c.pk == suspect.pk).values(**seen))


def pictures_of(connection: Connection, pk: int, *, most: int) -> list[Any]:
    """Some boxes of a suspect over its whole time: (frame_pk, path, kind, number, captured_utc, score, x, y, w, h)."""
    rank = func.row_number().over(order_by=(frames.c.captured_utc, observations.c.pk)) - 1
    total = func.count().over()
    numbered = (
        select(
            observations.c.frame_pk,
            frames.c.path,
            frames.c.kind,
            observations.c.number,
            frames.c.captured_utc,
            observations.c.score,
            *BOX_COLUMNS,
            rank.label("rank"),
            total.label("total"),
        )
        .join(frames, frames.c.pk == observations.c.frame_pk)
        .where(observations.c.suspect_pk == pk)
        .subquery()
    )
    step = larger(literal_column("1"), numbered.c.total // most)
    rows = connection.execute(select(numbered).where(numbered.c.rank % step == 0).order_by(numbered.c.rank))
    return list(rows.all())[:most]


def stations_with_boxes(store: Store) -> list[str]:
    """Every station of which a frame was recorded, by name."""
    with store.reading() as connection:
        query = select(frames.c.station).where(frames.c.state == "recorded").distinct().order_by(frames.c.station)
        return list(connection.scalars(query))


def _within(station: str, stay: Stay) -> list[Any]:
    where = [frames.c.station == station, frames.c.captured_utc.is_not(None)]
    if stay.start is not None:
        where.append(frames.c.captured_utc >= stay.start)
    if stay.end is not None:
        where.append(frames.c.captured_utc < stay.end)
    return where


def _read(connection: Connection, query: Select[Any]) -> list[Suspect]:
    return [
        Suspect(
            **{name: row[name] for name in Suspect.__slots__ if name != "box"},
            box=(row["x"], row["y"], row["w"], row["h"]),
        )
        for row in connection.execute(query).mappings()
    ]


def _count_people_again(connection: Connection, pk: int) -> None:
    """Whether the frames of a suspect show people, now that it does or does not count."""
    of_it = select(observations.c.frame_pk).where(observations.c.suspect_pk == pk)
    shows = (
        select(observations.c.pk)
        .where(observations.c.frame_pk == frames.c.pk, observations.c.category.in_(PEOPLE))
        .where(counts())
        .exists()
    )
    connection.execute(update(frames).where(frames.c.pk.in_(of_it)).values(people=shows))
