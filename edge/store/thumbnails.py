"""A thumbnail and the full frame that takes its place: what people said of the one holds for the other.

Nothing is copied. A row stays with the picture that somebody looked at, so an undo takes back one row, the order in
which things were said is kept, and where the full frame never comes nothing changes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, select

from .schema import frames, observations

SAME = 0.5  # overlap of boxes that are around the same thing
PKS: BindParameter[Any] = bindparam("pks", expanding=True)
_THUMBNAILS = select(frames.c.pk, frames.c.full_pk).where(frames.c.full_pk.in_(PKS))
_FULLS = select(frames.c.pk, frames.c.full_pk).where(frames.c.pk.in_(PKS), frames.c.full_pk.is_not(None))
_BOXES = select(*(observations.c[name] for name in ("frame_pk", "pk", "x", "y", "w", "h")))


def thumbnails_of(connection: Connection, frame_pks: Collection[int]) -> dict[int, int]:
    """Thumbnail → the one of these frames that takes its place; for most frames there is none."""
    return {thumb: full for thumb, full in connection.execute(_THUMBNAILS, {"pks": list(frame_pks)})}  # noqa: C416  # because rows are no pairs to mypy


def full_frames_of(connection: Connection, frame_pks: Collection[int]) -> dict[int, int]:
    """Those of these frames that are thumbnails → the full frame that is here, or on its way through the stages."""
    return {thumb: full for thumb, full in connection.execute(_FULLS, {"pks": list(frame_pks)})}  # noqa: C416


def read_said(connection: Connection, query: Select[Any], frame_pks: Collection[int]) -> list[tuple[Any, ...]]:
    """The rows of a query of reviews about these frames; those about their thumbnails as if about them.

    query: gives frame_pk, pk, observation_pk, kind and more in the order of pk, and takes `pks`. What was said of a
    box of a thumbnail is about the box around the same thing; where the full frame has none, about all of the frame.
    """
    full_of = thumbnails_of(connection, frame_pks)
    rows = [tuple(row) for row in connection.execute(query, {"pks": [*frame_pks, *full_of]})]
    if not full_of:
        return rows
    of_boxes = {row[2]: full_of[row[0]] for row in rows if row[0] in full_of and row[2] is not None}
    same = _same_boxes(connection, of_boxes) if of_boxes else {}
    return [_as_of_full(row, full_of[row[0]], same) if row[0] in full_of else row for row in rows]


def read_marked(connection: Connection, query: Select[Any], frame_pks: Collection[int]) -> set[int]:
    """Those of these frames that a query gives, which takes `pks`; or gives the thumbnails of."""
    full_of = thumbnails_of(connection, frame_pks)
    return {full_of.get(pk, pk) for pk in connection.scalars(query, {"pks": [*frame_pks, *full_of]})}


def _as_of_full(row: Sequence[Any], full: int, same: Mapping[int, int]) -> tuple[Any, ...]:
    _thumbnail, pk, box, kind, *more = row
    # that a box is around nothing says nothing of a frame without such a box
    return full, pk, same.get(box, box if kind == "blank" else None), kind, *more


def _same_boxes(connection: Connection, of_boxes: Mapping[int, int]) -> dict[int, int]:
    """Box of a thumbnail → the box of its full frame around the same thing, where there is one."""
    said = _read(connection, _BOXES.where(observations.c.pk.in_(PKS)), of_boxes)
    there = _read(connection, _BOXES.where(observations.c.frame_pk.in_(PKS)), set(of_boxes.values()))
    found: dict[int, int] = {}
    for _frame, pk, *box in said:
        shares = [(_overlap(box, other), -candidate) for frame, candidate, *other in there if frame == of_boxes[pk]]
        most, candidate = max(shares, default=(0.0, 0))
        if most >= SAME:
            found[pk] = -candidate
    return found


def _read(connection: Connection, query: Select[Any], pks: Iterable[int]) -> Sequence[Any]:
    return connection.execute(query, {"pks": list(pks)}).all()


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union, 0..1."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / (one[2] * one[3] + other[2] * other[3] - across * down)
