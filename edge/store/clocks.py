"""Rows of `clock_corrections`, and the times of frames that follow from them.

A frame's captured_utc is always what `corrected` makes of its said_utc and the corrections in force, so the times of a
station can be worked out anew at any moment and in any number of steps: `recount` does it in small transactions that
let the daemon write in between, and one that was cut short is finished by the next. What arrives meanwhile gets its
right time as it is spooled (`correct_rows`).

Encounters that alerts were told of keep their frames; when they began and ended follows the frames' new times.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, func, insert, select, tuple_, update

from ..camera_clock import Correction, corrected
from .rows import is_late
from .schema import audit, clock_corrections, encounters, frames, matches

if TYPE_CHECKING:
    from .sql import Store

Clocks = dict[str, list[Correction]]  # corrections in force, by station
BATCH = 2_000  # frames a transaction: a tenth of a second, for which a daemon that writes waits


@dataclass(frozen=True, slots=True)
class Recorded:
    """A correction with its history. undone_at: None while it is in force. applied_at: None while it is under way."""

    correction: Correction
    why: str
    made_by: str
    made_at: datetime
    undone_by: str = ""
    undone_at: datetime | None = None
    applied_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Faced:
    """A frame and its time: what its clock said and as which text, and what it counts as. Times aware.

    camera, brightness, infrared: as in edge.model.SpooledFrame and Outcome.
    """

    name: str
    said: datetime
    original: str
    received: datetime
    camera: str
    brightness: float | None
    infrared: bool | None
    captured: datetime


FACED = ("name", "said_utc", "captured_original", "received_at", "camera", "brightness", "infrared")


def in_force(connection: Connection, stations: Iterable[str]) -> Clocks:
    """The corrections in force of these stations, in the order in which they were made."""
    rows = connection.execute(
        select(clock_corrections)
        .where(clock_corrections.c.station.in_(sorted(set(stations))), clock_corrections.c.undone_at.is_(None))
        .order_by(clock_corrections.c.pk)
    ).mappings()
    found: Clocks = {}
    for row in rows:
        found.setdefault(row["station"], []).append(_correction(row))
    return found


def correct_rows(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of frames that are about to be added, with their times put right."""
    known = in_force(connection, [row["station"] for row in rows])
    return [corrected_row(row, known) for row in rows]


def corrected_row(row: Mapping[str, Any], known: Clocks) -> dict[str, Any]:
    """The row of a frame with its time put right."""
    mine = known.get(row["station"])
    if not mine or row["said_utc"] is None:
        return dict(row)
    right = corrected(row["said_utc"], row["captured_original"], mine)
    return {**row, "captured_utc": right, "late": is_late(right, row["received_at"], row["waited_s"])}


def history(connection: Connection, stations: Sequence[str] = ()) -> list[Recorded]:
    """All corrections, also undone ones, in the order in which they were made; stations: () for all."""
    query = select(clock_corrections).order_by(clock_corrections.c.pk)
    if stations:
        query = query.where(clock_corrections.c.station.in_(stations))
    return [_recorded(row) for row in connection.execute(query).mappings()]


def find(connection: Connection, pk: int) -> Recorded | None:
    """The correction of this number."""
    row = connection.execute(select(clock_corrections).where(clock_corrections.c.pk == pk)).mappings().first()
    return _recorded(row) if row else None


def add(connection: Connection, new: Correction, *, why: str, who: str, now: datetime) -> int:
    """Note a correction and who made it; its number, also of one noted before. `recount` gives frames their times."""
    values = {
        "station": new.station,
        "since": new.since,
        "until": new.until,
        "offset_s": new.offset_s,
        "anchor": new.anchor,
        "drift_s_per_day": new.drift_s_per_day,
        "timezone": new.timezone,
        "why": why,
        "made_by": who,
        "made_at": now,
    }
    same = (clock_corrections.c.station == new.station) & (clock_corrections.c.made_at == now)
    twice = select(clock_corrections.c.pk).where(same, clock_corrections.c.made_by == who)
    if known := connection.scalar(twice):
        return int(known)
    pk = connection.execute(insert(clock_corrections).values(values).returning(clock_corrections.c.pk)).scalar_one()
    told = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
    _note(connection, "clock.correct", new.station, who=who, now=now, details={"correction": pk, **told})
    return int(pk)


def undo(connection: Connection, known: Recorded, *, who: str, now: datetime) -> bool:
    """Take a correction out of force; False when it is out already."""
    changed = connection.execute(
        update(clock_corrections)
        .where(clock_corrections.c.pk == known.correction.pk, clock_corrections.c.undone_at.is_(None))
        .values(undone_by=who, undone_at=now, applied_at=None)
    )
    if changed.rowcount != 1:
        return False
    station, details = known.correction.station, {"correction": known.correction.pk}
    _note(connection, "clock.undo", station, who=who, now=now, details=details)
    return True


def unfinished(connection: Connection) -> list[str]:
    """Stations whose frames have not all got the times that follow from their corrections."""
    query = select(clock_corrections.c.station).where(clock_corrections.c.applied_at.is_(None)).distinct()
    return list(connection.scalars(query.order_by(clock_corrections.c.station)))


def frames_of(
    store: "Store", station: str, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Faced]:
    """The frames of a station whose time is known, in the order of time; since, until: of the said time."""
    at, pk = frames.c.captured_utc, frames.c.pk
    query = select(*(frames.c[name] for name in FACED), at, pk)
    query = query.where(frames.c.station == station, frames.c.said_utc.is_not(None))
    if since is not None:
        query = query.where(frames.c.said_utc >= since)
    if until is not None:
        query = query.where(frames.c.said_utc <= until)
    after: tuple[Any, ...] | None = None
    while True:
        page = query if after is None else query.where(tuple_(at, pk) > tuple_(*after, types=[at.type, pk.type]))
        with store.reading() as connection:
            rows = connection.execute(page.order_by(at, pk).limit(BATCH)).all()
        for *row, _pk in rows:
            yield Faced(*row)
        if len(rows) < BATCH:
            return
        after = (rows[-1][-2], rows[-1][-1])


def stations_of(connection: Connection) -> dict[str, tuple[int, int]]:
    """Of each station with frames: how many have a time, and how many have none."""
    known = func.count(frames.c.said_utc)
    query = select(frames.c.station, known, func.count() - known).group_by(frames.c.station).order_by(frames.c.station)
    return {station: (timed, unknown) for station, timed, unknown in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Counted:
    """frames: how many were looked at; changed: how many have another time; encounters: likewise.

    after: where the next step goes on, the last frame's id; done: whether there is nothing left.
    """

    frames: int = 0
    changed: int = 0
    encounters: int = 0
    after: str = ""
    done: bool = False


NOTHING_YET = Counted()


def recount(
    store: "Store", station: str, *, began: datetime, counted: Counted = NOTHING_YET, batches: int | None = None
) -> Counted:
    """Give the frames and encounters of a station the times that follow from its corrections; sums so far.

    Bounded memory, a transaction each BATCH frames; may be cut short at any moment, another one finishes it. began:
    when the first step did; corrections that were made or undone until then are noted as applied at the end. counted:
    of the steps before. batches: how many of them to do, None for all. Raises StoreBusy when another process holds the
    database too long.
    """
    while not counted.done and (batches is None or batches > 0):
        counted = _step(store, station, counted, began)
        batches = batches and batches - 1
    return counted


def _step(store: "Store", station: str, counted: Counted, began: datetime) -> Counted:
    with store.transaction() as connection:
        known = in_force(connection, [station]).get(station, [])
        rows = _page(connection, station, counted.after)
        new = [
            {"frame": pk, "at": at}
            for pk, _id, said, original, captured in rows
            if (at := corrected(said, original, known)) != captured
        ]
        met = 0
        if new:
            connection.execute(SET_TIME, new)
            met = _follow(connection, [each["frame"] for each in new])
        done = len(rows) < BATCH
        if done:
            _mark_applied(connection, station, began)
    return Counted(
        counted.frames + len(rows),
        counted.changed + len(new),
        counted.encounters + met,
        rows[-1][1] if rows else counted.after,
        done,
    )


def _mark_applied(connection: Connection, station: str, began: datetime) -> None:
    table = clock_corrections.c
    known_then = (table.made_at <= began) & (table.undone_at.is_(None) | (table.undone_at <= began))
    mine = (table.station == station) & table.applied_at.is_(None)
    connection.execute(update(clock_corrections).where(mine, known_then).values(applied_at=began))


SET_TIME = update(frames).where(frames.c.pk == bindparam("frame")).values(captured_utc=bindparam("at"))


def _page(connection: Connection, station: str, last: str) -> Sequence[Any]:
    """The frames after this id: in the order of the index over (station, id), which needs no sorting."""
    columns = (frames.c[name] for name in ("pk", "id", "said_utc", "captured_original", "captured_utc"))
    query = select(*columns).where(frames.c.station == station, frames.c.id > last, frames.c.said_utc.is_not(None))
    return connection.execute(query.order_by(frames.c.id).limit(BATCH)).all()


def _follow(connection: Connection, changed: Sequence[int]) -> int:
    """Let encounters begin and end with their frames; how many did otherwise before."""
    theirs = select(matches.c.encounter_pk).where(matches.c.frame_pk.in_(changed)).distinct()
    at = func.coalesce(frames.c.captured_utc, frames.c.received_at, type_=frames.c.received_at.type)
    spans = connection.execute(
        select(matches.c.encounter_pk, func.min(at, type_=at.type), func.max(at, type_=at.type))
        .join(frames, frames.c.pk == matches.c.frame_pk)
        .where(matches.c.encounter_pk.in_(theirs))
        .group_by(matches.c.encounter_pk)
    ).all()
    if not spans:
        return 0
    move = update(encounters).where(encounters.c.pk == bindparam("which"))
    connection.execute(
        move.values(started_at=bindparam("began"), last_at=bindparam("ended")),
        [{"which": pk, "began": began, "ended": ended} for pk, began, ended in spans],
    )
    return len(spans)


def _note(connection: Connection, action: str, station: str, *, who: str, now: datetime, details: Any) -> None:
    connection.execute(insert(audit).values(at=now, who=who, action=action, subject=station, details=details))


def _correction(row: Mapping[Any, Any]) -> Correction:
    names = ("station", "since", "until", "offset_s", "anchor", "drift_s_per_day", "timezone", "pk")
    return Correction(**{name: row[name] for name in names})


def _recorded(row: Mapping[Any, Any]) -> Recorded:
    names = ("why", "made_by", "made_at", "undone_by", "undone_at", "applied_at")
    return Recorded(_correction(row), **{name: row[name] for name in names})
