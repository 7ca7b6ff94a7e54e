"""Reading everything that was recorded, station by station in the order of time, in bounded memory: for exports.

Frames are read in pages by (captured_utc, pk), which the index of (station, captured_utc) gives without sorting; the
daemon goes on writing in between. A thumbnail whose full frame is recorded too is left out: it shows the same.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    column,
    exists,
    func,
    inspect,
    not_,
    select,
    table,
    tuple_,
)

from ..model import (
    AgentFacts,
    Answer,
    Beside,
    CaptureTime,
    Category,
    Detection,
    Observed,
    Outcome,
    PictureResult,
    Review,
    SpooledFrame,
    Taxon,
)
from ..services import Encountered, Period
from .dialects import json_text, json_value, second_of
from .said import in_force
from .schema import deployments, encounters, frames, imported_events, observations, quarantine, reviews
from .sql import Store
from .suspects import counts
from .thumbnails import read_marked, read_said

# As text, because pydantic reads JSON itself in a quarter of the time.
WHOLE = (json_text(observations.c.detection),)
# Without the raw classes, most of a detection stands in columns of its own, and the taxon can be kept.
WITHOUT_CLASSES = (
    *(observations.c[name] for name in ("category", "score", "x", "y", "w", "h", "label")),
    json_value(observations.c.detection, "answer", "taxon"),
    observations.c.taxon_score,
    observations.c.remark,
    observations.c.track,
)
IMPORTED = "import:camtrap-dp"  # source of frames whose data set says to which deployment they belong
FRAME_COLUMNS = (
    *(frames.c[name] for name in ("station", "id", "kind", "path", "name", "sha256", "size_bytes", "source")),
    *(frames.c[f"captured_{name}"] for name in ("utc", "original", "timezone", "origin")),
    *(frames.c[name] for name in ("received_at", "width", "height", "frame_rate", "damage")),
    json_text(frames.c.pictures),
    *(frames.c[name] for name in ("clock", "boot", "boot_count", "seq", "uptime_s")),
    *(frames.c[name] for name in ("triggered_by", "stands_for", "waited_s")),
    *(frames.c[name] for name in ("people", "original", "camera", "burst", "burst_number")),
    json_text(frames.c.details),
    *(frames.c[name] for name in ("brightness", "infrared")),
)
REVIEW_COLUMNS = (
    reviews.c.frame_pk,
    reviews.c.pk,
    reviews.c.observation_pk,
    *(reviews.c[name] for name in ("kind", "taxon", "count", "sex", "life_stage", "behaviour", "comments", "by", "at")),
    reviews.c.details,
)
FRAMES_MEANT: BindParameter[Any] = bindparam("pks", expanding=True)
# of edge/store/web_schema.py, whose other tables an export needs not
_FAVOURITES = table("favourites", column("frame_pk"))
MARKED = select(_FAVOURITES.c.frame_pk).where(_FAVOURITES.c.frame_pk.in_(FRAMES_MEANT))
PAGE = 500  # frames; one of a clip may have hundreds of observations
ENCOUNTERS_PAGE = 1000
NO_DETAILS = (None, "null")  # what JSON columns hold where nothing is said
NOTHING: Mapping[int, Any] = {}
_DETECTION, _TAXON = TypeAdapter(Detection), TypeAdapter(Taxon)


@dataclass(frozen=True, slots=True)
class Span:
    """Which frames are meant. stations: () for all. since, until: when they were taken, both included; aware."""

    stations: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


def periods(store: Store, span: Span) -> list[Period]:
    """When each station that is meant took frames, by name; only stations with recorded frames have one."""
    return _periods(store, _meant(span))


def loose_periods(store: Store, span: Span) -> list[Period]:
    """The same of the frames that belong to no deployment: taken outside of all of their station's, or who knows when.

    What an imported data set has is left out: it says itself where its frames belong.
    """
    covered = exists().where(
        deployments.c.station == frames.c.station,
        deployments.c.started_at <= frames.c.captured_utc,
        # both ends belong to it, written to the second: edge.deployed.Deployment.holds
        deployments.c.ended_at.is_(None) | (second_of(frames.c.captured_utc) <= second_of(deployments.c.ended_at)),
    )
    return _periods(store, [*_meant(span), frames.c.source != IMPORTED, not_(covered)])


def _periods(store: Store, where: Sequence[ColumnElement[bool]]) -> list[Period]:
    at = func.coalesce(frames.c.captured_utc, frames.c.received_at, type_=frames.c.received_at.type)
    query = (
        select(
            frames.c.station,
            func.min(at, type_=at.type),
            func.max(at, type_=at.type),
            func.count(),
            func.count() - func.count(frames.c.captured_utc),
        )
        .where(*where)
        .group_by(frames.c.station)
        .order_by(frames.c.station)
    )
    with store.reading() as connection:
        return [Period(*row) for row in connection.execute(query)]


def is_current(store: Store) -> bool:
    """Whether the database has every column that this program reads; one opened read-only is not upgraded."""
    with store.reading() as connection:
        look = inspect(connection)
        return all(
            {column.name for column in table.columns} <= {column["name"] for column in look.get_columns(table.name)}
            for table in (frames, observations, encounters, quarantine)
            if look.has_table(table.name)
        ) and all(look.has_table(name) for name in (encounters.name, _FAVOURITES.name))


def stations_known(store: Store) -> list[str]:
    """Every station that ever sent a frame, by name."""
    with store.reading() as connection:
        return list(connection.scalars(select(frames.c.station).distinct().order_by(frames.c.station)))


def outcomes(
    store: Store, span: Span, stations: Sequence[str], *, raw_classes: bool = True, suppressed: bool = False
) -> Iterator[Outcome]:
    """The recorded frames of these stations, one station after the other; without `stage_ms`.

    Of each first those of unknown time, as they came, then the others in the order of time. raw_classes: False leaves
    `Detection.classifications` empty, which is faster. suppressed: with the repeats that people suppressed, too.
    """
    utc, pk = frames.c.captured_utc, frames.c.pk
    for station in stations:
        here = (*_meant(span), frames.c.station == station)
        if span.since is None and span.until is None:
            yield from _paged(store, (*here, utc.is_(None)), (pk,), raw_classes=raw_classes, suppressed=suppressed)
        timed = (*here, utc.is_not(None))
        yield from _paged(store, timed, (utc, pk), raw_classes=raw_classes, suppressed=suppressed)


def encounters_of(store: Store, station: str) -> Iterator[Encountered]:
    """A station's encounters in the order in which they began, without those that were imported."""
    imported = exists().where(imported_events.c.encounter_pk == encounters.c.pk)
    query = (
        select(encounters)
        .where(encounters.c.station == station, not_(imported))
        .order_by(encounters.c.started_at, encounters.c.pk)
    )
    key = (encounters.c.started_at, encounters.c.pk)
    after: tuple[Any, ...] | None = None
    while True:
        page = query if after is None else query.where(_beyond(key, after))
        with store.reading() as connection:
            rows = connection.execute(page.limit(ENCOUNTERS_PAGE)).mappings().all()
        for row in rows:
            yield Encountered(
                row["uid"], station, row["category"], tuple(row["lineage"]), row["started_at"], row["last_at"]
            )
        if len(rows) < ENCOUNTERS_PAGE:
            return
        after = (rows[-1]["started_at"], rows[-1]["pk"])


def failures(store: Store, span: Span) -> Iterator[tuple[str, str]]:
    """(name, reason) of what is in quarantine, oldest first; with a span only of frames, whose station is known."""
    narrowed = span != Span()
    query = select(quarantine.c.pk, quarantine.c.name, quarantine.c.reason)
    if narrowed:
        query = query.join(frames, frames.c.pk == quarantine.c.frame_pk).where(*_within(span))
    last = 0
    while True:
        page = query.where(quarantine.c.pk > last).order_by(quarantine.c.pk).limit(PAGE)
        with store.reading() as connection:
            rows = connection.execute(page).all()
        for _pk, name, reason in rows:
            yield str(name), str(reason)
        if len(rows) < PAGE:
            return
        last = rows[-1][0]


def _meant(span: Span) -> list[ColumnElement[bool]]:
    full = frames.alias("full")
    shown_in_full = exists().where(full.c.pk == frames.c.full_pk, full.c.state == "recorded")
    doubled = and_(frames.c.full_pk.is_not(None), shown_in_full)
    return [frames.c.state == "recorded", not_(doubled), *_within(span)]


def _within(span: Span) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if span.stations:
        where.append(frames.c.station.in_(span.stations))
    if span.since is not None:
        where.append(frames.c.captured_utc >= span.since)
    if span.until is not None:
        where.append(frames.c.captured_utc <= span.until)
    return where


def _beyond(key: Sequence[ColumnElement[Any]], after: Sequence[Any]) -> ColumnElement[bool]:
    if len(key) == 1:
        after_it: ColumnElement[bool] = key[0] > after[0]
        return after_it
    types = [each.type for each in key]
    beyond: ColumnElement[bool] = tuple_(*key) > tuple_(*after, types=types)
    return beyond


def _paged(
    store: Store,
    where: Sequence[ColumnElement[bool]],
    key: Sequence[ColumnElement[Any]],
    *,
    raw_classes: bool,
    suppressed: bool,
) -> Iterator[Outcome]:
    """The outcomes of frames that are ordered by `key`, whose last is pk."""
    query = select(*FRAME_COLUMNS, *key).where(*where).order_by(*key)
    read, columns = (_whole, WHOLE) if raw_classes else (_without_classes, WITHOUT_CLASSES)
    # one statement for all pages, with one parameter for all frames: SQLAlchemy looks at each value of a list anew
    of_frames = (
        select(observations.c.frame_pk, observations.c.number, observations.c.pk, *columns)
        .where(observations.c.frame_pk.in_(FRAMES_MEANT), *(() if suppressed else (counts(),)))
        .order_by(observations.c.frame_pk, observations.c.pk)
    )
    after: Sequence[Any] | None = None
    while True:
        page = query if after is None else query.where(_beyond(key, after))
        with store.reading() as connection:
            rows = connection.execute(page.limit(PAGE)).all()
            if not rows:
                return
            observed = connection.execute(of_frames, {"pks": [row[-1] for row in rows]}).all()
            reviewed = _reviews_of(connection, rows)
            marked = read_marked(connection, MARKED, [row[-1] for row in rows])
            said = _details_of(connection, [row[-1] for row in rows if row[31] not in NO_DETAILS])
        by_frame: dict[int, list[Any]] = {}
        for each in observed:
            by_frame.setdefault(each[0], []).append(each)
        for row in rows:
            outcome = _outcome(row, by_frame.get(row[-1], ()), read, reviewed.get(row[-1], ()), said)
            if row[-1] in marked:
                outcome = replace(outcome, beside=replace(outcome.beside or Beside(), favourite=True))
            yield outcome
        if len(rows) < PAGE:
            return
        after = rows[-1][-len(key) :]


def _reviews_of(connection: Connection, rows: Sequence[Any]) -> dict[int, tuple[Review, ...]]:
    """The reviews in force of these frames (said.py, thumbnails.py), by frame, oldest first."""
    query = select(*REVIEW_COLUMNS).where(reviews.c.frame_pk.in_(FRAMES_MEANT), reviews.c.undone_at.is_(None))
    said: dict[int, list[Review]] = {}
    for frame, *columns in read_said(connection, query.order_by(reviews.c.pk), [row[-1] for row in rows]):
        said.setdefault(frame, []).append(Review(*columns))
    found = {
        frame: in_force(each, about=lambda one: one.observation, imported=lambda one: bool(one.details))
        for frame, each in said.items()
    }
    return {frame: tuple(sorted(each, key=lambda one: one.pk)) for frame, each in found.items()}


def _details_of(connection: Connection, frame_pks: Sequence[int]) -> dict[int, Any]:
    """What imported records say of these frames' observations, by the observation's pk."""
    if not frame_pks:
        return {}
    query = select(observations.c.pk, observations.c.details).where(observations.c.frame_pk.in_(frame_pks))
    return {pk: details for pk, details in connection.execute(query) if details}


def _outcome(
    row: Any,
    observed: Sequence[Any],
    read: Callable[..., Detection],
    reviewed: tuple[Review, ...] = (),
    said: Mapping[int, Any] = NOTHING,
) -> Outcome:
    """The outcome of FRAME_COLUMNS and of observations (frame_pk, number, pk, what `read` takes)."""
    station, number, kind, path, name, sha256, size, source, utc, original, zone, origin, received = row[:13]
    width, height, frame_rate, damage, pictures = row[13:18]
    agent, pk = row[18:26], row[-1]
    people, kept, camera, burst, burst_number, details = row[26:32]
    brightness, infrared = row[32:34]
    found: dict[int, list[Detection]] = {}
    for _frame_pk, picture, _observation, *columns in observed:
        found.setdefault(picture, []).append(read(*columns))
    shown = _pictures(pictures)
    more, beside = details not in NO_DETAILS, None
    if more or reviewed:
        pks: dict[int, list[int]] = {}
        for _frame_pk, picture, observation, *_columns in observed:
            pks.setdefault(picture, []).append(observation)
        rows = tuple(Observed(each, said.get(each)) for index, _time, _why in shown for each in pks.get(index, ()))
        beside = Beside(people, kept, reviewed, rows, json.loads(details) if more else None)
    return Outcome(
        SpooledFrame(
            station=station,
            id=number,
            kind=kind,
            path=Path(path),
            name=name,
            sha256=sha256,
            size_bytes=size,
            source=source,
            captured=CaptureTime(utc, original, zone, origin),
            received_at=received,
            pk=pk,
            agent=_agent_facts(*agent) if agent[0] else None,
            camera=camera,
            burst=burst,
            burst_number=burst_number,
        ),
        tuple(PictureResult(index, time_s, tuple(found.get(index, ())), rejected) for index, time_s, rejected in shown),
        width or 0,
        height or 0,
        frame_rate,
        damage,
        brightness=brightness,
        infrared=infrared,
        beside=_beside(people, kept) if beside is None else beside,
    )


@lru_cache(maxsize=64)  # that of most frames is the same
def _beside(people: bool, original: str) -> Beside:
    return Beside(people, original)


@lru_cache(maxsize=1024)  # those of most stills are the same text
def _pictures(text: str | None) -> tuple[tuple[int, float, str], ...]:
    return tuple((number, time_s, rejected) for number, time_s, rejected in json.loads(text or "[]") or ())


def _whole(text: str) -> Detection:
    return _DETECTION.validate_json(text)


def _without_classes(  # because they are the columns of a row
    category: Category,
    score: float,
    x: float,
    y: float,
    w: float,
    h: float,
    label: str,
    taxon: str | None,
    taxon_score: float | None,
    remark: str,
    track: int | None,
) -> Detection:
    answer = Answer(_taxon(taxon), taxon_score, remark) if taxon and taxon_score is not None else None
    return Detection(category, score, (x, y, w, h), label, (), answer, track)


@lru_cache(maxsize=4096)
def _taxon(text: str) -> Taxon:
    return _TAXON.validate_json(text)


def _agent_facts(*said: Any) -> AgentFacts:
    """What the agent said, in the order of FRAME_COLUMNS."""
    clock, boot, boot_count, seq, uptime_s, triggered_by, stands_for, waited_s = said
    return AgentFacts(boot, boot_count, seq, uptime_s, clock, triggered_by, stands_for, waited_s)
