"""From a model's raw output to boxes and probabilities: what the decoders share."""

from collections.abc import Sequence

import numpy as np

from ..errors import StageError
from ..model import F32, I64, Boxes


def nms(boxes: F32, scores: F32, *, iou: float) -> I64:
    """Return the indices of boxes kept by greedy NMS, best score first.

    boxes: float32 (n, 4), xyxy, pixels. scores: float32 (n,). iou: 0..1, boxes overlapping more are dropped.
    Ties keep input order. Raises ValueError if lengths differ.
    Source: Ren et al. 2015, section 3; same result as torchvision.ops.nms.
    """
    if boxes.shape != (len(scores), 4):
        raise ValueError(f"boxes must be ({len(scores)}, 4), got {boxes.shape}")
    corners = boxes.astype(np.float64)
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    left = np.argsort(-scores.astype(np.float64), kind="stable")
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        sides = np.minimum(corners[best, 2:], corners[left, 2:]) - np.maximum(corners[best, :2], corners[left, :2])
        shared = np.prod(np.maximum(sides, 0.0), axis=1)
        # Multiplied out, so that two boxes without an area need no division by zero.
        left = left[shared <= iou * (areas[best] + areas[left] - shared)]
    return np.array(kept, np.int64)


def nms_by_class(boxes: Boxes, *, iou: float) -> I64:
    """`nms` within each class, best score first over all; boxes of different classes never drop each other."""
    if not len(boxes.scores):
        return np.empty(0, np.int64)
    # Each class is moved to a place of its own, further away than any box is wide: one pass does all classes.
    corners = boxes.xyxy_px.astype(np.float64)
    stride = corners.max() - corners.min() + 1.0
    return nms(np.asarray(corners + (boxes.classes * stride)[:, None]), boxes.scores, iou=iou)


def boxes_above(cxcywh_px: F32, class_scores: F32, *, min_score: float) -> Boxes:
    """The boxes whose best class reaches min_score.

    cxcywh_px: (n, 4), centre, width, height in pixels of the input. class_scores: (n, classes), 0..1.
    Raises StageError when a score or a side is not a number.
    """
    classes = class_scores.argmax(axis=1)
    scores = class_scores[np.arange(len(classes)), classes]
    check_numbers(scores)
    above = scores >= min_score
    check_numbers(cxcywh_px[above])
    centre, half = cxcywh_px[above, :2], cxcywh_px[above, 2:] / 2
    return Boxes(
        xyxy_px=np.concatenate([centre - half, centre + half], axis=1),
        scores=np.minimum(scores[above], np.float32(1)),
        classes=classes[above].astype(np.int64, copy=False),
    )


def boxes_from_rows(rows: F32, *, min_score: float) -> Boxes:
    """The boxes of a head with objectness: what a class is worth is objectness times its score.

    rows: (n, 5 + classes): centre x, centre y, width, height in pixels of the input, objectness, class scores.
    """
    objectness = rows[:, 4]
    check_numbers(objectness)
    likely = rows[objectness >= min_score]  # no class score is above 1, so the rest can't reach min_score
    return boxes_above(likely[:, :4], likely[:, 5:] * likely[:, 4:5], min_score=min_score)


def check_numbers(values: F32) -> None:
    """Raise StageError when a model gave NaN or infinity: a failed inference must not pass for an empty picture."""
    if not np.isfinite(values).all():
        raise StageError("the model's output is not a number: check the model with `tigrillo models verify`")


def softmax(logits: F32) -> F32:
    """Probabilities along the last axis, float32; each row sums to 1."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def first_of_rank(outputs: Sequence[F32], rank: int) -> F32:
    """The first output with so many axes: many exports carry raw heads beside the joined one."""
    return next(output for output in outputs if output.ndim == rank)
