"""Rows of the summaries: what they are made of, and how they are written; within the caller's transaction.

Reading goes by station and time along indexes: nothing looks at more rows than it is asked for.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    select,
    update,
)

from .dialects import day_of, json_text, json_value, upsert
from .schema import Utc, deployments, frames, observations, reviews
from .suspects import counts
from .thumbnails import read_marked, read_said
from .web_schema import days, favourites, sequence_frames, sequences, stale_days, summary_state, tallies

FEW = 500  # values of one IN: SQLite and the statement cache like lists of one length
LINKED = ("pk", "kind", "name", "camera", "burst", "burst_number", "infrared", "people", "captured_utc", "received_at")
SUMMED = ("pk", "started_at", "ended_at", "timed", "frames", "unreviewed", "shows")
PKS: BindParameter[Any] = bindparam("pks", expanding=True)
SINCE, UNTIL = bindparam("since", type_=Utc()), bindparam("until", type_=Utc())
IS_UNTIMED = frames.c.captured_utc.is_(None)
COLUMNS = (
    *(frames.c[name] for name in LINKED),
    case((frames.c.kind == "clip", json_text(frames.c.pictures)), else_=literal("")),
)


# Statements that are made once: a backlog asks for tens of thousands of days.
def _frames(at: Any, *which: Any) -> Any:
    full = frames.alias("full")
    shown_in_full = exists().where(full.c.pk == frames.c.full_pk, full.c.state == "recorded")
    doubled = and_(frames.c.full_pk.is_not(None), shown_in_full)
    here = (frames.c.station == bindparam("of"), frames.c.state == "recorded", not_(doubled))
    return select(*COLUMNS).where(*here, at >= SINCE, at < UNTIL, *which).order_by(at, frames.c.pk)


TAKEN = _frames(frames.c.captured_utc)
UNTIMED = _frames(frames.c.received_at, IS_UNTIMED)
BOXES = (
    select(
        *(observations.c[name] for name in ("frame_pk", "pk", "number", "category", "score", "w", "h")),
        *(observations.c[name] for name in ("taxon", "taxon_score")),
    )
    .where(observations.c.frame_pk.in_(PKS), counts())
    .order_by(observations.c.frame_pk, observations.c.pk)
)
REVIEWS = (
    select(
        *(reviews.c[name] for name in ("frame_pk", "pk", "observation_pk", "kind", "taxon", "count")),
        func.coalesce(json_text(reviews.c.details), "null").not_in(("null", "{}")),
    )
    .where(reviews.c.frame_pk.in_(PKS), reviews.c.undone_at.is_(None))
    .order_by(reviews.c.pk)
)
BETWEEN = select(*(sequences.c[name] for name in SUMMED)).where(
    sequences.c.station == bindparam("of"), sequences.c.started_at >= SINCE, sequences.c.started_at < UNTIL
)


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A recorded frame. at: when it was taken, or received where that is unknown (timed: False). lasts_s: of a clip."""

    pk: int
    station: str
    at: datetime
    timed: bool
    received: datetime
    is_clip: bool
    name: str
    camera: str
    burst: str
    burst_number: int | None
    lasts_s: float
    infrared: bool | None
    people: bool


@dataclass(frozen=True, slots=True)
class BoxRow:
    """A box that counts. number: of its picture. taxon: "" without an answer; taxon_score: None then."""

    frame: int
    pk: int
    number: int
    category: str
    score: float
    w: float
    h: float
    taxon: str
    taxon_score: float | None


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """What a person said and has not undone. observation: a box, None for the whole frame. imported: with its data."""

    frame: int
    pk: int
    observation: int | None
    kind: str
    taxon: str
    count: int
    imported: bool = False


# what is stale


def newest_stale(connection: Connection, *, limit: int) -> list[tuple[str, str, int]]:
    """(station, UTC day, marks) of what has changed, the newest days first."""
    query = select(stale_days.c.station, stale_days.c.day, stale_days.c.marks)
    newest = query.order_by(stale_days.c.day.desc(), stale_days.c.station).limit(limit)
    return [(station, day, marks) for station, day, marks in connection.execute(newest)]


def marks_of(connection: Connection, marks: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """The same of days of one station as they stand now, without those that nothing marks any more."""
    table, (station, *_rest) = stale_days.c, marks[0]
    query = select(table.day, table.marks).where(table.station == station, table.day.in_(PKS))
    rows = connection.execute(query, {"pks": [day for _station, day, _marks in marks]})
    return [(station, day, number) for day, number in rows]


def count_stale(connection: Connection) -> int:
    """How many days wait."""
    return int(connection.scalar(select(func.count()).select_from(stale_days)) or 0)


def take_marks(connection: Connection, done: Iterable[tuple[str, str, int]]) -> None:
    """Take away the marks of what was made; one that came meanwhile stays."""
    table = stale_days.c
    one = (table.station == bindparam("of")) & (table.day == bindparam("on")) & (table.marks == bindparam("read"))
    rows = [{"of": station, "on": day, "read": marks} for station, day, marks in done]
    if rows:
        connection.execute(delete(stale_days).where(one), rows)


def mark_stale(connection: Connection, found: Iterable[tuple[str, str]]) -> None:
    """Say that these days, (station, UTC day), are to be made again."""
    rows = [{"station": station, "day": day, "marks": 1} for station, day in found]
    if rows:
        new = upsert(connection, stale_days)
        again = {"marks": stale_days.c.marks + 1}
        connection.execute(new.on_conflict_do_update(index_elements=["station", "day"], set_=again), rows)


def days_with_frames(connection: Connection, station: str) -> set[str]:
    """The UTC days of a station's recorded frames, as `stale_days` has them; along two indexes."""
    found: set[str] = set()
    for at, kind in ((frames.c.captured_utc, frames.c.captured_utc.is_not(None)), (frames.c.received_at, IS_UNTIMED)):
        query = select(day_of(at)).where(frames.c.station == station, kind, frames.c.state == "recorded").distinct()
        found.update(connection.scalars(query))
    return found


def days_summed(connection: Connection, station: str) -> set[str]:
    """The local days of a station that have a row."""
    return set(connection.scalars(select(days.c.day).where(days.c.station == station)))


def stations_with_frames(connection: Connection) -> list[str]:
    """Every station that ever sent a frame; one step of the index a station, so it does not grow with the frames."""
    found: list[str] = []
    while (next_one := connection.scalar(_station_after(found[-1] if found else ""))) is not None:
        found.append(next_one)
    return found


def _station_after(name: str) -> Any:
    return select(func.min(frames.c.station)).where(frames.c.station > name)


def made_with(connection: Connection) -> dict[str, str]:
    """What the summaries were made with, by name."""
    rows = connection.execute(select(summary_state.c.name, summary_state.c.value)).all()
    return {str(name): str(value) for name, value in rows}


def set_made_with(connection: Connection, name: str, value: str) -> None:
    """Note what they are made with from now on."""
    row = upsert(connection, summary_state).values(name=name, value=value)
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


# what summaries are made of


def frames_taken(connection: Connection, station: str, since: datetime, until: datetime) -> list[FrameRow]:
    """The frames taken in since ≤ … < until, in the order of time."""
    values = {"of": station, "since": since, "until": until}
    return [_frame(station, row) for row in connection.execute(TAKEN, values)]


def frames_untimed(connection: Connection, station: str, since: datetime, until: datetime) -> list[FrameRow]:
    """The frames of unknown time received in since ≤ … < until, as they came."""
    values = {"of": station, "since": since, "until": until}
    return [_frame(station, row) for row in connection.execute(UNTIMED, values)]


def frames_in(connection: Connection, frame_pks: Iterable[int]) -> list[FrameRow]:
    """These frames, in no order."""
    found: list[FrameRow] = []
    query = select(frames.c.station, *COLUMNS).where(frames.c.pk.in_(PKS))
    for few in _few(frame_pks):
        rows = connection.execute(query, {"pks": few})
        found += [_frame(station, columns) for station, *columns in rows]
    return found


def boxes_of(connection: Connection, frame_pks: Iterable[int]) -> dict[int, list[BoxRow]]:
    """The boxes of these frames that count, by frame."""
    found: dict[int, list[BoxRow]] = {}
    for few in _few(frame_pks):
        for row in connection.execute(BOXES, {"pks": few}):
            found.setdefault(row[0], []).append(BoxRow(*row))
    return found


def reviews_of(connection: Connection, frame_pks: Iterable[int]) -> dict[int, list[ReviewRow]]:
    """What people said of these frames or their thumbnails and have not undone, by frame, oldest first."""
    found: dict[int, list[ReviewRow]] = {}
    for few in _few(frame_pks):
        for frame, *said in read_said(connection, REVIEWS, few):
            found.setdefault(frame, []).append(ReviewRow(frame, *said))
    return found


def favourites_in(connection: Connection, frame_pks: Iterable[int]) -> set[int]:
    """Those of these frames that somebody marked, or their thumbnails."""
    query = select(favourites.c.frame_pk).where(favourites.c.frame_pk.in_(PKS))
    return {pk for few in _few(frame_pks) for pk in read_marked(connection, query, few)}


def lineage_on_record(connection: Connection, taxon: str) -> tuple[str, ...]:
    """The lineage of a name that our table has not, as a model or a data set gave it; the name alone without one."""
    at = json_value(observations.c.detection, "answer", "taxon", "lineage")
    if said := connection.scalar(select(at).where(observations.c.taxon == taxon).limit(1)):
        return tuple(str(each) for each in json.loads(said))
    return (taxon,)


def zone_of_newest(connection: Connection, station: str) -> str:
    """The zone in which the newest frame of a station was read; "" without any."""
    query = select(frames.c.captured_timezone).where(frames.c.station == station, frames.c.captured_utc.is_not(None))
    return connection.scalar(query.order_by(frames.c.captured_utc.desc()).limit(1)) or ""


def place_of_newest(connection: Connection, station: str) -> tuple[float, float] | None:
    """Where the newest deployment of a station stands; None without a position."""
    query = select(deployments.c.latitude, deployments.c.longitude).where(
        deployments.c.station == station, deployments.c.latitude.is_not(None)
    )
    row = connection.execute(query.order_by(deployments.c.started_at.desc()).limit(1)).first()
    return (row[0], row[1]) if row else None


# sequences


def owners_of(connection: Connection, frame_pks: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Frame → (its sequence, position), of those that have one."""
    table = sequence_frames.c
    query = select(table.frame_pk, table.sequence_pk, table.position).where(table.frame_pk.in_(PKS))
    rows = (row for few in _few(frame_pks) for row in connection.execute(query, {"pks": few}))
    return {frame: (sequence, position) for frame, sequence, position in rows}


def members_of(connection: Connection, sequence_pks: Iterable[int]) -> dict[int, list[int]]:
    """Sequence → its frames in order."""
    table = sequence_frames.c
    query = select(table.sequence_pk, table.frame_pk).where(table.sequence_pk.in_(PKS))
    query = query.order_by(table.sequence_pk, table.position)
    found: dict[int, list[int]] = {}
    for few in _few(sequence_pks):
        for sequence, frame in connection.execute(query, {"pks": few}):
            found.setdefault(sequence, []).append(frame)
    return found


def sequences_in(connection: Connection, pks: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Whole rows of these sequences, by pk."""
    query = select(sequences).where(sequences.c.pk.in_(PKS))
    rows = (row for few in _few(pks) for row in connection.execute(query, {"pks": few}).mappings())
    return {row["pk"]: dict(row) for row in rows}


def sequences_begun(connection: Connection, station: str, buckets: Iterable[str]) -> set[int]:
    """The pks of the sequences that began on these UTC days."""
    query = select(sequences.c.pk).where(sequences.c.station == station, sequences.c.bucket.in_(PKS))
    return {pk for few in _few(buckets) for pk in connection.scalars(query, {"pks": few})}


def sequences_between(
    connection: Connection, station: str, since: datetime, until: datetime
) -> Iterator[Mapping[str, Any]]:
    """What sums are made of (SUMMED) of the sequences that began in since ≤ … < until."""
    values = {"of": station, "since": since, "until": until}
    yield from (dict(row) for row in connection.execute(BETWEEN, values).mappings())


def write_sequences(
    connection: Connection,
    *,
    gone: Collection[int],
    new: Sequence[Mapping[str, Any]],
    changed: Sequence[Mapping[str, Any]],
    left: Collection[int],
    joined: Sequence[tuple[int, int, int]],
) -> None:
    """Take away rows, add rows, change rows; left: frames that are no longer where they were.

    joined: (frame, sequence, position); a frame that is elsewhere must be among `left`.
    """
    table = sequence_frames.c
    for few in _few(left):
        connection.execute(delete(sequence_frames).where(table.frame_pk.in_(PKS)), {"pks": few})
    for few in _few(gone):
        connection.execute(delete(sequence_frames).where(table.sequence_pk.in_(PKS)), {"pks": few})
        connection.execute(delete(sequences).where(sequences.c.pk.in_(PKS)), {"pks": few})
    if new:
        connection.execute(insert(sequences), list(new))
    change_sequences(connection, changed)
    if joined:
        rows = [{"frame_pk": frame, "sequence_pk": of, "position": position} for frame, of, position in joined]
        connection.execute(insert(sequence_frames), rows)


def change_sequences(connection: Connection, changed: Sequence[Mapping[str, Any]]) -> None:
    """Write whole rows over those of the same pk."""
    if changed:
        names = [column.name for column in sequences.columns if column.name != "pk"]
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
        rows = [{"which": row["pk"], **{f"new_{name}": row[name] for name in names}} for row in changed]
        connection.execute(update(sequences).where(sequences.c.pk == bindparam("which")).values(values), rows)


# days and tallies


def day_rows(connection: Connection, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """(station, local day) → row of `days`."""
    rows = _keyed(connection, days, days.c.station, days.c.day, keys)
    return {(row["station"], row["day"]): row for row in rows}


def tally_rows(
    connection: Connection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """The tallies of these (station, period), by (station, period, kind, taxon)."""
    rows = _keyed(connection, tallies, tallies.c.station, tallies.c.period, keys)
    return {(row["station"], row["period"], row["kind"], row["taxon"]): row for row in rows}


def _keyed(
    connection: Connection, table: Table, station: Any, other: Any, keys: Collection[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """The rows of these keys; station by station, because SQLite takes no index for pairs in a list."""
    query = select(table).where(station == bindparam("of"), other.in_(PKS))
    by_station: dict[str, list[str]] = {}
    for name, value in sorted(keys):
        by_station.setdefault(name, []).append(value)
    for name, values in by_station.items():
        for few in _few(values):
            yield from (dict(row) for row in connection.execute(query, {"of": name, "pks": few}).mappings())


def parts_of(
    connection: Connection, station: str, period: str, kind: str, taxon: str
) -> tuple[datetime | None, datetime | None]:
    """(first, last) of what a tally is the sum of: of a day its stations, of a month its days, of all its months."""
    table = tallies.c
    at = table.first_at.type
    query = select(func.min(table.first_at, type_=at), func.max(table.last_at, type_=at))
    query = query.where(table.kind == kind, table.taxon == taxon)
    if len(period) == len("2026-11-22"):
        here = select(days.c.station).where(days.c.day == period)
        query = query.where(table.station.in_(list(connection.scalars(here))), table.period == period)
    elif period:
        query = query.where(table.station == station, table.period > period, table.period < f"{period}.")
    else:
        query = query.where(table.station == station, func.length(table.period) == len("2026-11"))
    first, last = connection.execute(query).one()
    return first, last


def write_rows(
    connection: Connection,
    table: Table,
    *,
    gone: Collection[tuple[str, ...]] = (),
    new: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Take away rows of these keys; add rows, over those of the same key."""
    keys = list(table.primary_key.columns)
    if gone:
        one = and_(*(column == bindparam(f"key_{number}") for number, column in enumerate(keys)))
        values: list[dict[str, str]] = [{f"key_{number}": part for number, part in enumerate(key)} for key in gone]
        connection.execute(delete(table).where(one), values)
    if new:
        add = upsert(connection, table)
        set_ = {column.name: add.excluded[column.name] for column in table.columns if not column.primary_key}
        connection.execute(add.on_conflict_do_update(index_elements=keys, set_=set_), list(new))


def _frame(station: str, row: Sequence[Any]) -> FrameRow:
    pk, kind, name, camera, burst, burst_number, infrared, people, captured, received, pictures = row
    lasts_s = _last_s(pictures) if pictures else 0.0
    return FrameRow(
        pk,
        station,
        captured or received,
        captured is not None,
        received,
        kind == "clip",
        name,
        camera,
        burst,
        burst_number,
        lasts_s,
        infrared,
        bool(people),
    )


def _last_s(pictures: str) -> float:
    """When the last picture of a clip was taken, of the JSON list of [number, time_s, rejected]."""
    found = json.loads(pictures)
    return float(found[-1][1]) if found else 0.0


def _few(values: Iterable[Any]) -> Iterator[list[Any]]:
    found = list(values)
    for start in range(0, len(found), FEW):
        yield found[start : start + FEW]
