"""What the record knows of a frame's picture: its file, and where people are in it. Read anew for every request.

So a person whom a reviewer has just marked is hidden in the next answer: what is hidden is part of a picture's key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, or_, select

from edge.model import Detection, Kind, PictureResult
from edge.models.lineages import HUMAN
from edge.privacy.policy import PEOPLE
from edge.store.rows import detection_from_json
from edge.store.schema import frames, observations, reviews
from edge.tracking.between import Between

COLUMNS = tuple(
    frames.c[name]
    for name in (
        "pk", "station", "id", "kind", "path", "name", "sha256", "size_bytes", "state", "people", "original",
        "pictures", "full_pk", "width", "height", "frame_rate", "damage", "captured_utc", "captured_original",
        "captured_origin", "received_at", "recorded_at", "brightness", "infrared", "camera", "source",
    )
)  # fmt: skip
HUMAN_KINDS = ("human", "vehicle")  # of a review
STILL = ((0, 0.0),)


@dataclass(frozen=True, slots=True)
class Known:
    """A recorded frame. pictures: (number, seconds) of those looked at, in order; one at least.

    hidden: by number, the boxes in which people are hidden, all of a category that hides. everything: somebody said
    that people are on it, and no box says where. people: whether any of this is so, or the record says it.
    """

    pk: int
    station: str
    id: str
    kind: Kind
    path: Path
    name: str
    sha256: str
    size_bytes: int
    original: str
    pictures: tuple[tuple[int, float], ...]
    hidden: Mapping[int, tuple[Detection, ...]]
    everything: bool
    people: bool
    width: int
    height: int
    frame_rate: float | None
    damage: str
    captured: datetime | None
    received: datetime
    facts: Mapping[str, Any]

    @property
    def results(self) -> list[PictureResult]:
        """The pictures with the people on them only, as edge.tracking.between takes them."""
        return [PictureResult(number, time_s, self.hidden.get(number, ())) for number, time_s in self.pictures]

    def time_of(self, number: int) -> float | None:
        """Seconds into the clip of a picture that was looked at; None for others."""
        return dict(self.pictures).get(number)

    def people_at(self, number: int) -> tuple[Detection, ...]:
        """Who is hidden in a picture: in a clip also those of the pictures around it, who may stand in between."""
        time_s = self.time_of(number)
        if self.kind == "still" or time_s is None:
            return self.hidden.get(number, ())
        return Between(self.results).people(time_s)


def read_known(connection: Connection, frame_pk: int) -> Known | None:
    """The frame with this pk; None when there is none, or the stages have not looked at it yet."""
    row = connection.execute(select(*COLUMNS).where(frames.c.pk == frame_pk)).mappings().one_or_none()
    if row is None or row["state"] != "recorded":
        return None
    boxes = _boxes(connection, [frame_pk])
    said = _said(connection, frame_pk)
    by_person = {each.observation_pk for each in said if each.observation_pk is not None}
    hidden = _hiding(boxes, by_person)
    if (
        row["people"] and not hidden
    ):  # a thumbnail, or what it stands for, of which only the other was looked at closely
        hidden = _of_the_other(connection, frame_pk, row["full_pk"], row["kind"])
    marked = row["people"] or any(each.observation_pk is None for each in said)
    looked_at = tuple((int(number), float(time_s)) for number, time_s, *_rest in row["pictures"] or ())
    return Known(
        pk=row["pk"],
        station=row["station"],
        id=row["id"],
        kind=row["kind"],
        path=Path(row["path"]),
        name=row["name"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        original=row["original"],
        pictures=looked_at or STILL,
        hidden=hidden,
        everything=bool(marked and not hidden),
        people=bool(marked or hidden),
        width=row["width"] or 0,
        height=row["height"] or 0,
        frame_rate=row["frame_rate"],
        damage=row["damage"],
        captured=row["captured_utc"],
        received=row["received_at"],
        facts=dict(row),
    )


def _boxes(connection: Connection, frame_pks: Sequence[int]) -> list[Any]:
    """Boxes with people, or which somebody said are people; of a frame that shows none, none."""
    marked = select(reviews.c.observation_pk).where(
        reviews.c.frame_pk.in_(frame_pks), reviews.c.kind.in_(HUMAN_KINDS), reviews.c.observation_pk.is_not(None)
    )
    columns = (observations.c.pk, observations.c.number, observations.c.category, observations.c.detection)
    query = select(*columns).where(
        observations.c.frame_pk.in_(frame_pks),
        or_(observations.c.category.in_(sorted(PEOPLE)), observations.c.taxon == HUMAN, observations.c.pk.in_(marked)),
    )
    return list(connection.execute(query.order_by(observations.c.pk)).all())


def _said(connection: Connection, frame_pk: int) -> list[Any]:
    """Answers of people that name people, none of them undone."""
    query = select(reviews.c.observation_pk, reviews.c.kind).where(
        reviews.c.frame_pk == frame_pk, reviews.c.kind.in_(HUMAN_KINDS), reviews.c.undone_at.is_(None)
    )
    return list(connection.execute(query).all())


def _hiding(boxes: Sequence[Any], by_person: set[int]) -> dict[int, tuple[Detection, ...]]:
    """By picture, detections of a category that edge/media/blurred.py hides."""
    found: dict[int, list[Detection]] = {}
    for pk, number, category, value in boxes:
        machine, detection = category in PEOPLE, detection_from_json(value)
        if machine or pk in by_person or (detection.answer and detection.answer.taxon.scientific_name == HUMAN):
            found.setdefault(number, []).append(detection if machine else _as_person(detection))
    return {number: tuple(each) for number, each in found.items()}


def _as_person(detection: Detection) -> Detection:
    return Detection("person", detection.score, detection.xywh_norm, track=detection.track)


def _of_the_other(connection: Connection, pk: int, full_pk: int | None, kind: str) -> dict[int, tuple[Detection, ...]]:
    """Boxes of the full frame of a thumbnail, or of a full frame's thumbnail: the same picture in another size."""
    if kind != "still":
        return {}
    wanted = [full_pk] if full_pk else list(connection.scalars(select(frames.c.pk).where(frames.c.full_pk == pk)))
    if not wanted:
        return {}
    return _hiding(_boxes(connection, wanted), set())
