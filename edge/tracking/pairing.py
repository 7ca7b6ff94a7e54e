"""Which box goes with which: overlap, nearness, and the choice that is best for all of them together."""

import numpy as np

from .kalman import F64

# Chosen on synthetic crossings (other seeds than those of tests/parts/test_tracking_switches.py) at 2 to 30 pictures a
# second, and on the boxes of tests/data/track_boxes.json.
LEAST_IOU = 0.3  # that a box and a track share, as in SORT
STEADY = 0.3  # added where the track was seen just now: in 1/30 s no animal becomes its neighbour …
STEADY_S = 0.05  # … and how soon that is over
LAST_WEIGHT = 0.3  # of the overlap with where the track was last, beside where it is expected
SIZE_WEIGHT = 0.3  # of two that overlap as well, the one of the same size
# Reach of a box that overlaps nothing.
MIN_REACH = 0.25  # of the picture: how far a small animal may go between two pictures
SIDES = 0.5  # of the box's larger side: how far a large one may go
SPEED = 0.65  # picture widths a second: at 30 pictures a second nothing jumps, whatever its size
SIZES = 0.6  # areas that differ more are two animals, or one and a part of it
NEAR_SIZE = 0.8  # share of the gain that goes with the size
SAME_PLACE = 0.5  # overlap of a box with a track that was given up: it sat there all the time


def pair(gains: F64) -> list[tuple[int, int]]:
    """Rows and columns that go together, so that the sum of their gains is greatest; gains ≤ 0 never do.

    gains: (rows, columns). Each row and column is used once at most. Where no two want the same, SciPy is not needed
    and not imported (0.7 s and 52 MB at its first use): so a clip with one animal costs neither.
    Source: Kuhn 1955; Jonker and Volgenant 1987 as in scipy.optimize.linear_sum_assignment.
    """
    wanted = gains > 0
    if not wanted.any():
        return []
    if wanted.sum(axis=0).max() > 1 or wanted.sum(axis=1).max() > 1:
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  # because of its cost, see above

        # what is forbidden gains nothing, so that it does not push allowed pairs apart
        rows, columns = linear_sum_assignment(np.where(wanted, gains, 0.0), maximize=True)
    else:
        rows, columns = np.nonzero(wanted)
    return [(int(row), int(col)) for row, col in zip(rows, columns, strict=True) if wanted[row, col]]


def overlaps(ones: F64, others: F64) -> F64:
    """Intersection over union of every box with every other, (n, m), 0..1. Boxes: xywh (n, 4) and (m, 4)."""
    a, b = ones[:, None], others[None]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=2)
    union = np.prod(a[..., 2:], axis=2) + np.prod(b[..., 2:], axis=2) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), np.float64)


def likeness(expected: F64, last: F64, since_s: F64, boxes: F64) -> F64:
    """How well boxes overlap tracks, (n, m), 0 where too little for the time that went by, else up to 1.6.

    expected, last: where tracks are expected and were last, xywh (n, 4). since_s: (n,), since they were seen. boxes:
    (m, 4). Both places count, because an animal that ran may have stopped (the last observation of OC-SORT, Cao et al.
    2022, arXiv:2203.14360); an animal keeps its size, so that a box around two is not taken for one of them.
    """
    on, before = overlaps(expected, boxes), overlaps(last, boxes)
    least = (LEAST_IOU + STEADY * np.exp(-since_s / STEADY_S))[:, None]
    worth = on + LAST_WEIGHT * before + SIZE_WEIGHT * alike(last, boxes)
    return np.where(np.maximum(on, before) >= least, worth, 0.0)


def nearness(expected: F64, last: F64, since_s: F64, boxes: F64) -> F64:
    """1 where a box of a track's size is just where it is expected or was last, 0 out of its reach or of another size.

    Arguments and shape as of `likeness`.
    """
    apart = np.minimum(_apart(expected, boxes), _apart(last, boxes))
    reach = np.minimum(SPEED * since_s, np.maximum(MIN_REACH, SIDES * last[:, 2:].max(axis=1, initial=0.0)))
    share = np.divide(apart, reach[:, None], out=np.ones_like(apart), where=reach[:, None] > 0)
    sizes = alike(last, boxes)
    return np.where(sizes >= SIZES, np.maximum(1.0 - share, 0.0) * (1.0 - NEAR_SIZE + NEAR_SIZE * sizes), 0.0)


def alike(ones: F64, others: F64) -> F64:
    """The smaller area by the larger one, 0..1, (n, m). Boxes: xywh (n, 4) and (m, 4)."""
    a, b = np.prod(ones[:, 2:], axis=1)[:, None], np.prod(others[:, 2:], axis=1)[None]
    larger = np.maximum(a, b)
    return np.asarray(np.divide(np.minimum(a, b), larger, out=np.zeros_like(larger), where=larger > 0), np.float64)


def _apart(ones: F64, others: F64) -> F64:
    between = (ones[:, :2] + ones[:, 2:] / 2)[:, None] - (others[:, :2] + others[:, 2:] / 2)[None]
    return np.asarray(np.hypot(between[..., 0], between[..., 1]), np.float64)
