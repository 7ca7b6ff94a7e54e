"""Reads of encounters: a page of cards, one encounter. Along indexes, and a filter that finds little looks not too far.

Few rows may fit a filter, and then a query for twenty of them would read the whole table: so each page looks at LOOK
encounters at most, and its cursor goes on where it stopped, full or not.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, exists, func, select, tuple_

from edge.model import SEVERITIES
from edge.models.taxa import all_taxa
from edge.store.encounters import Encounter, encounter_from
from edge.store.schema import encounters, frames, matches, notices, observations
from edge.store.suspects import counts
from edge.store.web_schema import sequence_frames

PAGE = 24
LOOK = 2000
MOST_FRAMES = 60  # of one encounter that are shown
KINDS = ("animal", "person", "vehicle")
Key = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for. station, kind: "" for all. alerts: only those that somebody was told of."""

    station: str = ""
    kind: str = ""
    alerts: bool = False

    @property
    def is_set(self) -> bool:
        """Whether anything is left out."""
        return bool(self.station or self.kind or self.alerts)


@dataclass(frozen=True, slots=True)
class Box:
    """Of a picture, shares 0..1. kind: animal, person, vehicle. label: scientific name, "" without one."""

    x: float
    y: float
    w: float
    h: float
    kind: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Card:
    """An encounter as a page lists it. told: who was sent something; waiting: who waits for it; failed: whom it missed.

    severity: the highest of its messages, "" without any. ratio: width and height of its best picture, px.
    people: somebody is on that picture.
    sequence_pk: of the review; None while its day is summed up.
    """

    encounter: Encounter
    boxes: tuple[Box, ...]
    ratio: tuple[int, int]
    people: bool
    severity: str
    told: tuple[str, ...]
    waiting: tuple[str, ...]
    failed: tuple[str, ...]
    sequence_pk: int | None

    @property
    def taxon(self) -> str:
        """Scientific name, "" when nothing has named it."""
        return self.encounter.lineage[-1] if self.encounter.lineage else ""

    @property
    def other_names(self) -> Mapping[str, str]:
        """Language → common name."""
        known = all_taxa().get(self.taxon)
        return {each: known.name(each) for each in ("en", "es")} if known else {}


@dataclass(frozen=True, slots=True)
class Page:
    """Cards, newest first. next: the key that the next page begins after, None at the end."""

    cards: list[Card]
    next: Key | None


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A frame of an encounter. at: as captured, else received. timed: whether it is known when it was taken.

    people: somebody is on it.
    """

    pk: int
    id: str
    kind: str
    at: datetime
    timed: bool
    number: int
    ratio: tuple[int, int]
    people: bool
    boxes: tuple[Box, ...]


def page_of(
    connection: Connection, stations: frozenset[str] | None, filters: Filters, *, after: Key | None, size: int = PAGE
) -> Page:
    """Encounters at these stations (None: all) that fit the filters, after a key."""
    wanted = {filters.station} if filters.station else stations
    if wanted is None:
        found, end = _window(connection, None, filters, after, size)
        return Page(cards_of(connection, found), end)
    if stations is not None:
        wanted = wanted & stations
    parts = [_window(connection, name, filters, after, size) for name in sorted(wanted)]
    ends = [end for _found, end in parts if end is not None]
    cut = max(ends, default=None)  # what is older than where one station stopped would come out of turn
    merged = sorted((each for found, _end in parts for each in found), key=_key, reverse=True)
    whole = [each for each in merged if cut is None or _key(each) >= cut]
    end = _key(whole[size - 1]) if len(whole) > size else cut
    return Page(cards_of(connection, whole[:size]), end)


def _key(encounter: Encounter) -> Key:
    return encounter.last_at, encounter.pk


def _window(
    connection: Connection, station: str | None, filters: Filters, after: Key | None, size: int
) -> tuple[list[Encounter], Key | None]:
    """(encounters, where to go on). station: None for all."""
    if not filters.kind and not filters.alerts:
        return _all_in(connection, station, after, size)
    table = encounters.c
    looked = select(table.pk, table.last_at, table.category).order_by(table.last_at.desc(), table.pk.desc()).limit(LOOK)
    if station is not None:
        looked = looked.where(table.station == station)
    if after is not None:
        looked = looked.where(tuple_(table.last_at, table.pk) < after)
    seen = looked.subquery()
    query = select(encounters).join(seen, seen.c.pk == table.pk)
    if filters.kind:
        query = query.where(seen.c.category == filters.kind)
    if filters.alerts:
        query = query.where(exists().where(notices.c.encounter_pk == seen.c.pk))
    query = query.order_by(seen.c.last_at.desc(), seen.c.pk.desc()).limit(size + 1)
    rows = [encounter_from(row) for row in connection.execute(query).mappings()]
    if len(rows) > size:
        return rows[:size], _key(rows[size - 1])
    last = connection.execute(looked.offset(LOOK - 1).limit(1)).first()
    return rows, (last.last_at, last.pk) if last else None


def _all_in(
    connection: Connection, station: str | None, after: Key | None, size: int
) -> tuple[list[Encounter], Key | None]:
    """The same where nothing is left out: as many rows are read as are shown."""
    query = select(encounters).order_by(encounters.c.last_at.desc(), encounters.c.pk.desc()).limit(size + 1)
    if station is not None:
        query = query.where(encounters.c.station == station)
    if after is not None:
        query = query.where(tuple_(encounters.c.last_at, encounters.c.pk) < after)
    rows = [encounter_from(row) for row in connection.execute(query).mappings()]
    return rows[:size], _key(rows[size - 1]) if len(rows) > size else None


def by_pks(connection: Connection, pks: Collection[int]) -> list[Encounter]:
    """These encounters, in no order."""
    query = select(encounters).where(encounters.c.pk.in_(list(pks)))
    return [encounter_from(row) for row in connection.execute(query).mappings()]


def find(connection: Connection, name: str) -> Encounter | None:
    """By its uid, or the latest of a code."""
    if not (name.isascii() and name.isalnum()):
        return None
    for column, value in ((encounters.c.uid, name), (encounters.c.code, name.upper())):
        query = select(encounters).where(column == value).order_by(encounters.c.pk.desc()).limit(1)
        if row := connection.execute(query).mappings().first():
            return encounter_from(row)
    return None


def cards_of(connection: Connection, found: Sequence[Encounter]) -> list[Card]:
    """The cards of these encounters, in their order; four queries for all of them."""
    if not found:
        return []
    pictures = [(each.best_frame_pk, each.best_number) for each in found]
    boxes = boxes_on(connection, pictures)
    looks = _looks(connection, {frame for frame, _number in pictures})
    owners = sequences_of(connection, {frame for frame, _number in pictures})
    told = _told(connection, [each.pk for each in found])
    return [
        Card(
            each,
            tuple(boxes.get((each.best_frame_pk, each.best_number), ())),
            looks[each.best_frame_pk][0],
            looks[each.best_frame_pk][1],
            *told.get(each.pk, ("", (), (), ())),
            owners.get(each.best_frame_pk),
        )
        for each in found
    ]


def boxes_on(connection: Connection, pictures: Collection[tuple[int, int]]) -> dict[tuple[int, int], list[Box]]:
    """(frame, number) → what is to be seen there, without suppressed repeats."""
    table = observations.c
    columns = (table.x, table.y, table.w, table.h, table.category, table.taxon, table.score)
    query = select(table.frame_pk, table.number, *columns).where(
        table.frame_pk.in_({frame for frame, _number in pictures}), counts()
    )
    found: dict[tuple[int, int], list[Box]] = {}
    for frame, number, *values in connection.execute(query.order_by(table.pk)):
        if (frame, number) in pictures:
            found.setdefault((frame, number), []).append(Box(*values))
    return found


def sequences_of(connection: Connection, frame_pks: Collection[int]) -> dict[int, int]:
    """Frame → its sequence, of those whose day is summed up."""
    table = sequence_frames.c
    query = select(table.frame_pk, table.sequence_pk).where(table.frame_pk.in_(list(frame_pks)))
    return {row.frame_pk: row.sequence_pk for row in connection.execute(query)}


def _looks(connection: Connection, frame_pks: Collection[int]) -> dict[int, tuple[tuple[int, int], bool]]:
    """Frame → (ratio, whether somebody is on it)."""
    table = frames.c
    query = select(table.pk, table.width, table.height, table.people).where(table.pk.in_(list(frame_pks)))
    return {pk: ((width or 4, height or 3), people) for pk, width, height, people in connection.execute(query)}


def _told(
    connection: Connection, pks: Collection[int]
) -> dict[int, tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    """Encounter → (severity, told, waiting, failed); nobody is named twice, and who was told does not wait."""
    query = select(notices.c.encounter_pk, notices.c.severity, notices.c.who, notices.c.state, notices.c.kind)
    rows: dict[int, list[Any]] = {}
    for pk, *rest in connection.execute(query.where(notices.c.encounter_pk.in_(list(pks))).order_by(notices.c.pk)):
        rows.setdefault(pk, []).append(rest)
    found = {}
    for pk, told in rows.items():
        own = [each for each in told if each[3] != "answer"]
        severity = max((each[0] for each in own), key=SEVERITIES.index, default="")
        sent = list(dict.fromkeys(who for _sev, who, state, _kind in own if state in {"sent", "digested"}))
        waits = list(dict.fromkeys(who for _sev, who, state, _kind in own if state in {"pending", "sending", "digest"}))
        failed = list(dict.fromkeys(who for _sev, who, state, _kind in own if state == "failed"))
        waiting = tuple(each for each in waits if each not in sent)
        found[pk] = severity, tuple(sent), waiting, tuple(each for each in failed if each not in sent)
    return found


def frames_of(connection: Connection, encounter: Encounter) -> list[FrameRow]:
    """The frames of an encounter that show its kind, in the order of time, 60 at most; always its best one."""
    table = frames.c
    at = func.coalesce(table.captured_utc, table.received_at)
    margin = timedelta(milliseconds=1)  # times are kept to the microsecond, and compared as texts on SQLite
    since, until = encounter.started_at - margin, encounter.last_at + margin
    timed = and_(table.captured_utc >= since, table.captured_utc <= until)
    untimed = and_(table.captured_utc.is_(None), table.received_at >= since, table.received_at <= until)
    shows = exists().where(observations.c.frame_pk == table.pk, observations.c.category == encounter.category, counts())
    pks: set[int] = {encounter.best_frame_pk}
    for when in (timed, untimed):
        near = select(table.pk).where(table.station == encounter.station, when, table.state == "recorded", shows)
        pks.update(connection.scalars(near.order_by(at).limit(MOST_FRAMES)))
    best = _best_numbers(connection, encounter, pks)
    pks &= best.keys()
    columns = (
        table.pk, table.id, table.kind, table.captured_utc, table.received_at, table.width, table.height, table.people,
    )  # fmt: skip
    rows = connection.execute(select(*columns).where(table.pk.in_(pks)).order_by(at, table.pk)).all()
    boxes = boxes_on(connection, {(pk, best.get(pk, 0)) for pk in pks})
    return [
        FrameRow(
            pk,
            name,
            kind,
            captured or received,
            captured is not None,
            best.get(pk, 0),
            (width or 4, height or 3),
            people,
            tuple(boxes.get((pk, best.get(pk, 0)), ())),
        )
        for pk, name, kind, captured, received, width, height, people in rows
    ]


def _best_numbers(connection: Connection, encounter: Encounter, pks: Collection[int]) -> dict[int, int]:
    """Frame → the picture of it that shows what may be the encounter's animal with the highest score."""
    table = observations.c
    query = select(table.frame_pk, table.number, table.score, table.taxon).where(
        table.frame_pk.in_(list(pks)), table.category == encounter.category, counts()
    )
    found: dict[int, tuple[float, int]] = {}
    for frame, number, score, taxon in connection.execute(query):
        if _may_be(taxon, encounter.lineage):
            found[frame] = max(found.get(frame, (-1.0, 0)), (score, number))
    return {frame: number for frame, (_score, number) in found.items()} | {
        encounter.best_frame_pk: encounter.best_number
    }


def _may_be(taxon: str, lineage: Sequence[str]) -> bool:
    """Whether a box of this name may show the animal of this lineage: one name leads to the other, or says nothing."""
    known = all_taxa().get(taxon)
    return not lineage or taxon in {"", *lineage} or known is None or lineage[-1] in known.lineage


def of_frame(connection: Connection, frame_pk: int, station: str) -> Encounter | None:
    """The encounter that a frame is part of: by a rule that held, as its best picture, or by the times."""
    matched = select(matches.c.encounter_pk).where(matches.c.frame_pk == frame_pk).limit(1)
    if pk := connection.scalar(matched):
        return by_pks(connection, [pk])[0]
    best = select(encounters).where(encounters.c.best_frame_pk == frame_pk).limit(1)
    if row := connection.execute(best).mappings().first():
        return encounter_from(row)
    query = select(frames.c.captured_utc, frames.c.received_at).where(frames.c.pk == frame_pk)
    times = connection.execute(query).first()
    if times is None:
        return None
    at = times[0] or times[1]
    near = select(encounters).where(
        encounters.c.station == station, encounters.c.last_at >= at, encounters.c.started_at <= at
    )
    row = connection.execute(near.order_by(encounters.c.last_at).limit(1)).mappings().first()
    return encounter_from(row) if row else None
