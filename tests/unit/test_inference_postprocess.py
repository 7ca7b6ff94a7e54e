"""NMS against a naive loop, on boxes that hypothesis makes up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edge.inference.postprocess import nms, nms_by_class, softmax
from edge.model import Boxes


def naive_nms(boxes, scores, iou):
    """Straight from the definition: take the best, drop what overlaps it more, again."""
    left = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [other for other in left if naive_iou(boxes[best].tolist(), boxes[other].tolist()) <= iou]
    return kept


def naive_iou(a, b):
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union else 0.0


@st.composite
def scored_boxes(draw):
    count = draw(st.integers(0, 12))
    # Whole pixels on a small field: many overlaps, many ties, and areas that both ways compute without rounding.
    corner = draw(npst.arrays(np.int64, (count, 2), elements=st.integers(0, 12)))
    side = draw(npst.arrays(np.int64, (count, 2), elements=st.integers(0, 8)))
    scores = draw(npst.arrays(np.int64, count, elements=st.integers(0, 5))) / np.float32(5)
    return np.concatenate([corner, corner + side], axis=1).astype(np.float32), scores.astype(np.float32)


@settings(deadline=None)  # because the machine is shared
@given(scored_boxes(), st.sampled_from([0.0, 0.3, 0.45, 0.7, 1.0]))
def test_nms_keeps_what_the_naive_loop_keeps(found, iou):
    boxes, scores = found

    assert nms(boxes, scores, iou=iou).tolist() == naive_nms(boxes, scores.tolist(), iou)


@settings(deadline=None)
@given(scored_boxes(), st.integers(0, 2**32 - 1))
def test_nms_by_class_is_nms_within_each_class(found, seed):
    boxes, scores = found
    classes = np.random.default_rng(seed).integers(0, 3, len(scores))

    kept = nms_by_class(Boxes(boxes, scores, classes), iou=0.45).tolist()

    for each in range(3):
        (members,) = np.nonzero(classes == each)
        expected = [members[i] for i in naive_nms(boxes[members], scores[members].tolist(), 0.45)]
        assert [i for i in kept if classes[i] == each] == expected
    assert [scores[i] for i in kept] == sorted((scores[i] for i in kept), reverse=True)


def test_nms_by_class_holds_for_boxes_far_outside_the_input():
    boxes = np.array([[-500, -500, -400, -400], [-500, -500, -400, -400], [900, 900, 1000, 1000]], np.float32)

    kept = nms_by_class(Boxes(boxes, np.float32([0.5, 0.6, 0.7]), np.array([0, 1, 0])), iou=0.45)

    assert kept.tolist() == [2, 1, 0]


def test_nms_says_when_boxes_and_scores_differ_in_number():
    with pytest.raises(ValueError, match=r"boxes must be \(2, 4\), got \(3, 4\)"):
        nms(np.zeros((3, 4), np.float32), np.zeros(2, np.float32), iou=0.5)


def test_softmax_sums_to_one_even_for_logits_that_overflow():
    logits = np.array([[1000.0, 1000.0, -1000.0], [0.0, 0.0, 0.0]], np.float32)

    assert softmax(logits) == pytest.approx(np.array([[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]]))
