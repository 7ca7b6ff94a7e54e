"""One frame as the API tells it: what the machine said, what people said, where its pictures are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from edge.model import Kind
from edge.models.lineages import HUMAN
from edge.store.schema import observations, reviews
from edge.store.thumbnails import PKS, read_said

from ..page import picture
from ..rights import Principal
from ..speech import Speech
from .known import Known

KINDS = {"animal": "animal", "person": "human", "vehicle": "vehicle"}
MOST_BOXES = 20_000  # of one frame; a clip of ten minutes with thirty animals has as many


@dataclass(frozen=True, slots=True)
class BoxTold:
    """What the machine saw. x, y, w, h: shares of the picture. kind: animal, human, vehicle. track: of a clip's animal.

    taxon: scientific name, "" without one; name: as people say it, in the reader's language. score: the detector's,
    0..1; taxon_score: of the name, none without one.
    """

    pk: int
    x: float
    y: float
    w: float
    h: float
    kind: str
    taxon: str
    name: str
    score: float
    taxon_score: float | None
    track: int | None


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A picture that the machine looked at. number: in its clip, 0 of a still. time_s: seconds into the clip."""

    number: int
    time_s: float
    boxes: tuple[BoxTold, ...]


@dataclass(frozen=True, slots=True)
class Tracks:
    """Boxes over the time of a clip. width, height: pixels of the original."""

    frame: int
    kind: Kind
    width: int
    height: int
    pictures: tuple[LookedAt, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said, in force. observation: the box that is meant, none for the whole frame."""

    pk: int
    observation: int | None
    kind: str
    taxon: str
    count: int
    sex: str
    life_stage: str
    behaviour: str
    comments: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FrameTold:
    """A recorded frame. captured_original: as the camera wrote it. links: addresses by what they lead to.

    people: a person or vehicle is on it. original: kept, released, withheld or deleted. damage: what of the file could
    not be read. brightness: 0..1; infrared: it has no colours, as under an infrared flash; none where nobody looked.
    """

    pk: int
    id: str
    station: str
    kind: Kind
    name: str
    captured_at: datetime | None
    captured_original: str
    captured_origin: str
    received_at: datetime
    recorded_at: datetime | None
    source: str
    camera: str
    width: int
    height: int
    frame_rate: float | None
    damage: str
    brightness: float | None
    infrared: bool | None
    people: bool
    original: str
    pictures: tuple[LookedAt, ...]
    reviews: tuple[Said, ...]
    links: dict[str, str] = field(default_factory=dict)


def tracks_of(connection: Connection, known: Known, speech: Speech) -> Tracks:
    """Boxes over time."""
    return Tracks(known.pk, known.kind, known.width, known.height, _looked_at(connection, known, speech))


def told(connection: Connection, known: Known, speech: Speech, principal: Principal) -> FrameTold:
    """Everything about a frame that this person may know."""
    facts = known.facts
    return FrameTold(
        pk=known.pk,
        id=known.id,
        station=known.station,
        kind=known.kind,
        name=known.name,
        captured_at=known.captured,
        captured_original=facts["captured_original"],
        captured_origin=facts["captured_origin"],
        received_at=known.received,
        recorded_at=facts["recorded_at"],
        source=facts["source"],
        camera=facts["camera"],
        width=known.width,
        height=known.height,
        frame_rate=known.frame_rate,
        damage=known.damage,
        brightness=facts["brightness"],
        infrared=facts["infrared"],
        people=known.people,
        original=known.original,
        pictures=_looked_at(connection, known, speech),
        reviews=_reviews(connection, known.pk),
        links=_links(known, principal),
    )


def _looked_at(connection: Connection, known: Known, speech: Speech) -> tuple[LookedAt, ...]:
    table = observations.c
    columns = (
        table.pk, table.number, table.x, table.y, table.w, table.h, table.category, table.taxon, table.score,
        table.taxon_score, table.track,
    )  # fmt: skip
    query = select(*columns).where(table.frame_pk == known.pk).order_by(table.pk).limit(MOST_BOXES)
    by_number: dict[int, list[BoxTold]] = {}
    for row in connection.execute(query):
        by_number.setdefault(row.number, []).append(_box(row, speech))
    return tuple(LookedAt(number, time_s, tuple(by_number.get(number, ()))) for number, time_s in known.pictures)


def _box(row: Any, speech: Speech) -> BoxTold:
    kind = "human" if row.taxon == HUMAN else KINDS.get(row.category, "animal")
    name = speech.species(row.taxon) if row.taxon else speech.text(row.category)
    x, y, w, h = (round(each, 4) for each in (row.x, row.y, row.w, row.h))
    score = None if row.taxon_score is None else round(row.taxon_score, 4)
    return BoxTold(row.pk, x, y, w, h, kind, row.taxon, name, round(row.score, 4), score, row.track)


def _reviews(connection: Connection, frame_pk: int) -> tuple[Said, ...]:
    """What was said of it, or of its thumbnail; oldest first."""
    table = reviews.c
    columns = (
        table.frame_pk, table.pk, table.observation_pk, table.kind, table.taxon, table.count, table.sex,
        table.life_stage, table.behaviour, table.comments, table.by, table.at,
    )  # fmt: skip
    query = select(*columns).where(table.frame_pk.in_(PKS), table.undone_at.is_(None)).order_by(table.pk)
    return tuple(Said(*said) for _frame, *said in read_said(connection, query, [frame_pk]))


def _links(known: Known, principal: Principal) -> dict[str, str]:
    best = known.pictures[0][0]
    links = {size: picture(known.pk, size, best) for size in ("thumb", "card", "view")}
    links["tracks"] = f"/api/v1/frames/{known.pk}/tracks"
    if known.kind == "clip":
        links["clip"] = f"/media/{known.pk}/clip.mp4"
    if known.people and principal.may("unblur") and known.original in {"kept", "released"}:
        links["open"] = f"/media/{known.pk}/open-view-{best}.webp"
    if may_have_original(known, principal):
        links["original"] = f"/media/{known.pk}/original"
    return links


def may_have_original(known: Known, principal: Principal) -> bool:
    """Whether this person gets the file as it came."""
    allowed: Sequence[bool] = (
        principal.may("originals"),
        known.original in {"kept", "released"},
        principal.may("unblur") or not known.people,
    )
    return all(allowed)
