"""Who is on a frame, and where: what every picture of it hides, by the machine's boxes and by what people said.

Read anew for each picture that is made: somebody whom a reviewer has just marked is hidden in the next one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, RowMapping, case, or_, select

from ..model import Category, Detection
from ..models.lineages import HUMAN
from ..store.rows import detection_from_json
from ..store.schema import frames, observations, reviews

CATEGORIES: Mapping[str, Category] = {"human": "person", "vehicle": "vehicle"}  # a review's kind → the machine's word
HIDING = tuple(CATEGORIES.values())
FRAME = tuple(frames.c[name] for name in ("pk", "kind", "people", "full_pk"))
Boxes = Mapping[int, tuple[Detection, ...]]


@dataclass(frozen=True, slots=True)
class Hidden:
    """What is hidden on a frame. boxes: by the picture's number, all of them of category person or vehicle.

    everything: somebody is on it of whom no box says where. people: whether anybody is on it at all.
    """

    boxes: Boxes
    everything: bool
    people: bool


def hidden_on(connection: Connection, frame_pk: int) -> Hidden:
    """What is hidden on a frame. Raises NoResultFound when there is no such frame."""
    return hidden_of(connection, connection.execute(select(*FRAME).where(frames.c.pk == frame_pk)).mappings().one())


def hidden_of(connection: Connection, frame: RowMapping) -> Hidden:
    """The same of a row of `frames` that was read already; it has the columns FRAME."""
    others = _others(connection, frame)
    said = _said(connection, [frame["pk"], *others])
    called = {each.observation_pk: each.kind for each in said if each.observation_pk is not None}
    boxes = _boxes(connection, [frame["pk"]], called)
    if frame["people"] and not boxes and others:
        boxes = _boxes(connection, others, called)
    there = _least(said, frame["pk"])
    everything = any(_found(boxes, kind) < count for kind, count in there.items())
    everything = everything or (bool(frame["people"]) and not boxes)
    return Hidden(boxes, everything, bool(frame["people"] or there or boxes))


def _others(connection: Connection, frame: RowMapping) -> Sequence[int]:
    """The full frame of a thumbnail, or a full frame's thumbnails: the same picture in another size."""
    if frame["kind"] != "still":
        return []
    if frame["full_pk"]:
        return [frame["full_pk"]]
    return connection.scalars(select(frames.c.pk).where(frames.c.full_pk == frame["pk"])).all()


def _said(connection: Connection, frame_pks: Sequence[int]) -> Sequence[Any]:
    """Answers that name people or vehicles, none of them undone."""
    # "Homo sapiens" as an animal, as other programs write it
    kind = case((reviews.c.taxon == HUMAN, "human"), else_=reviews.c.kind).label("kind")
    columns = (reviews.c.frame_pk, reviews.c.observation_pk, kind, reviews.c.count)
    query = select(*columns).where(reviews.c.frame_pk.in_(frame_pks), reviews.c.undone_at.is_(None))
    query = query.where(or_(reviews.c.kind.in_(CATEGORIES), reviews.c.taxon == HUMAN))
    return connection.execute(query).all()


def _least(said: Sequence[Any], frame_pk: int) -> Counter[str]:
    """Kind → how many of it are on a frame at least, besides those whose own boxes somebody has called so."""
    least: Counter[str] = Counter()
    for each in said:
        if each.observation_pk is None:
            least[each.kind] = max(least[each.kind], each.count or 1)
        elif each.frame_pk != frame_pk:  # a box of the other frame: something here is the same
            least[each.kind] = max(least[each.kind], 1)
    return least


def _boxes(connection: Connection, frame_pks: Sequence[int], said: Mapping[int, str]) -> Boxes:
    """Boxes that hide. said: box → what somebody calls it; then whatever is of its track in a clip is that, too."""
    table = observations.c
    columns = (table.pk, table.number, table.category, table.taxon, table.track, table.detection)
    meant = list(said)
    tracks = select(table.track).where(table.pk.in_(meant), table.track.is_not(None))
    hiding = or_(table.category.in_(HIDING), table.taxon == HUMAN, table.pk.in_(meant), table.track.in_(tracks))
    rows = connection.execute(select(*columns).where(table.frame_pk.in_(frame_pks), hiding).order_by(table.pk)).all()
    by_track = {row.track: said[row.pk] for row in rows if row.pk in said and row.track is not None}
    found: dict[int, list[Detection]] = {}
    for row in rows:
        detection = detection_from_json(row.detection)
        if row.category not in HIDING:
            kind = said.get(row.pk) or by_track.get(row.track, "human")
            detection = replace(detection, category=CATEGORIES[kind], answer=None)
        found.setdefault(row.number, []).append(detection)
    return {number: tuple(each) for number, each in found.items()}


def _found(boxes: Boxes, kind: str) -> int:
    """How many boxes there are of what a review calls so, in all pictures together."""
    return sum(each.category == CATEGORIES[kind] for found in boxes.values() for each in found)
