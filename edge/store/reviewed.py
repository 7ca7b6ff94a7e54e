"""Boxes that people judged, with what the classifier said of them: what a calibration is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from ..model import Detection
from .rows import detection_from_json
from .schema import observations, reviews
from .sql import Store


@dataclass(frozen=True, slots=True)
class ReviewedBox:
    """A box and what a person said it is. kind: animal, human, vehicle, blank or unknown. taxon: a name, or ""."""

    kind: str
    taxon: str
    detection: Detection


def reviewed_boxes(store: Store) -> Iterator[ReviewedBox]:
    """Every box that a review which counts is about, once: the newest that is not undone.

    A review of a whole frame is about its surest box that a classifier saw, unless that box has a review of its own.
    """
    columns = (reviews.c.frame_pk, reviews.c.observation_pk, reviews.c.kind, reviews.c.taxon)
    query = select(*columns).where(reviews.c.undone_at.is_(None)).order_by(reviews.c.pk)
    with store.reading() as connection:
        newest: dict[tuple[int, int | None], tuple[str, str]] = {}
        for frame, box, kind, taxon in connection.execute(query):
            newest[frame, box] = (kind, taxon)
        seen: set[int] = {box for _frame, box in newest if box is not None}
        for (frame, box), (kind, taxon) in newest.items():
            where = observations.c.pk == box if box is not None else observations.c.frame_pk == frame
            rows = connection.execute(select(observations.c.pk, observations.c.detection).where(where)).all()
            best = _surest(rows)
            if best is not None and (box is not None or best[0] not in seen):
                seen.add(best[0])
                yield ReviewedBox(kind, taxon, best[1])


def _surest(rows: Any) -> tuple[int, Detection] | None:
    found = [(pk, detection_from_json(value)) for pk, value in rows]
    return max((each for each in found if each[1].classifications), key=lambda each: each[1].score, default=None)
