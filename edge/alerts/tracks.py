"""Which way something goes: a detection of a clip → its track over the clip's pictures → directions.

Clips recorded before there was edge.tracking have no tracks; there it is a chain of nearest boxes: each box goes on in
the next picture with the one that overlaps it most, else with the nearest one, when both find each other. Still
pictures have none.
"""

import math
from collections.abc import Iterable, Sequence

from ..model import Box, Detection, Outcome, PictureResult
from ..tracking.summary import Direction, directions

__all__ = ["Direction", "directions", "track_of"]

MIN_REACH = 0.15  # of the picture: how far a small box may go between two pictures
SIDES = 1.5  # of the box's larger side: how far a large one may go
MAX_GAP_S = 2.0  # of clip time without the animal: what comes later may be another one


def track_of(detection: Detection, picture: PictureResult, outcome: Outcome) -> tuple[Box, ...]:
    """The boxes of one animal in the order of the clip, its own among them; that one alone when there is no more.

    Pictures that a stage rejected have no part in it.
    """
    pictures = [each for each in outcome.pictures if not each.rejected]
    if detection.track is not None:
        seen = (each for every in pictures for each in every.detections)
        return tuple(each.xywh_norm for each in seen if each.track == detection.track)
    before = [each for each in pictures if each.number < picture.number]
    after = [each for each in pictures if each.number > picture.number]
    earlier = _follow(detection, picture, before[::-1])
    return (*earlier[::-1], detection.xywh_norm, *_follow(detection, picture, after))


def _follow(start: Detection, picture: PictureResult, pictures: Iterable[PictureResult]) -> list[Box]:
    chain: list[Box] = []
    here, now_s = start.xywh_norm, picture.time_s
    beside = _boxes(picture, start)
    for each in pictures:
        if not abs(each.time_s - now_s) <= MAX_GAP_S:
            break
        boxes = _boxes(each, start)
        found = _nearest(here, boxes)
        if found is None or (_nearest(found, beside) or here) != here:
            continue
        chain.append(found)
        here, now_s, beside = found, each.time_s, boxes
    return chain


def _boxes(picture: PictureResult, like: Detection) -> list[Box]:
    return [each.xywh_norm for each in picture.detections if each.category == like.category]


def _nearest(box: Box, boxes: Sequence[Box]) -> Box | None:
    """The box that overlaps most, else the one with the nearest centre; None when that is out of reach."""
    if not boxes:
        return None
    best = max(boxes, key=lambda each: iou(box, each))
    if iou(box, best) > 0:
        return best
    best = min(boxes, key=lambda each: _apart(box, each))
    return best if _apart(box, best) <= max(MIN_REACH, SIDES * max(box[2:])) else None


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes xywh, 0..1; 0 for boxes without area."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if not (across > 0 and down > 0):
        return 0.0
    union = one[2] * one[3] + other[2] * other[3] - across * down
    return across * down / union if union > 0 else 0.0


def _apart(one: Box, other: Box) -> float:
    return math.hypot(one[0] + one[2] / 2 - other[0] - other[2] / 2, one[1] + one[3] / 2 - other[1] - other[3] / 2)
