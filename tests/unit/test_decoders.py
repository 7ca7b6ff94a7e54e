"""Each decoder on hand-made heads, and all four against the contract that every plugin author's decoder must keep."""

from dataclasses import replace

import numpy as np
import pytest

from edge.api import Boxes, ModelError, StageError
from edge.testing import FakeSession, check_decoder_contract, fake_card, fake_session
from plugins.decoders import classifier, yolov5, yolov8, yolox

CLASSES = ("deer", "rock", "person")
CARD = fake_card(classes=CLASSES, categories={"deer": "animal"}, min_score=0.3)


def rows(*values):
    return np.array([values], np.float32)


def only(decoded):
    (boxes,) = decoded
    assert isinstance(boxes, Boxes)
    return boxes


def decoder_of(module):
    (spec,) = module.tigrillo_decoders()
    return spec


def random_rows(count, columns, seed=0):
    table = np.random.default_rng(seed).random((2, count, columns), np.float32)
    table[..., :4] *= 64
    return table


def test_yolov5_multiplies_objectness_and_class_score_and_drops_the_unlikely():
    head = rows(
        [10, 20, 4, 6, 0.9, 0.1, 0.2, 0.8],  # person 0.72
        [30, 30, 8, 8, 0.5, 0.4, 0.0, 0.0],  # deer 0.20, below 0.3
        [40, 20, 2, 2, 0.2, 1.0, 1.0, 1.0],  # objectness alone is below 0.3
    )

    boxes = only(yolov5.decode([head], CARD))

    assert boxes.xyxy_px.tolist() == [[8, 17, 12, 23]]
    assert boxes.scores == pytest.approx([0.72])
    assert boxes.classes.tolist() == [2]


def test_yolov5_takes_the_joined_head_when_the_export_carries_the_raw_ones_too():
    joined = random_rows(12, 8)
    raw = np.zeros((2, 3, 2, 2, 8), np.float32)
    session = fake_session(CARD, raw[:1], joined[:1])

    yolov5.check(session)

    assert [len(each.scores) for each in yolov5.decode([raw, joined], CARD)] == [
        len(each.scores) for each in yolov5.decode([joined], CARD)
    ]


def test_yolov8_reads_boxes_from_columns_without_objectness():
    head = rows([10, 20, 4, 6, 0.1, 0.2, 0.8], [30, 30, 8, 8, 0.29, 0.0, 0.0]).transpose(0, 2, 1)

    boxes = only(yolov8.decode([head], CARD))

    assert boxes.xyxy_px.tolist() == [[8, 17, 12, 23]]
    assert boxes.scores == pytest.approx([0.8])
    assert boxes.classes.tolist() == [2]


def test_yolox_with_decoded_true_reads_pixels_as_yolov5_does():
    head = random_rows(84, 8)
    card = replace(CARD, options={"decoded": True})

    for ours, theirs in zip(yolox.decode([head], card), yolov5.decode([head], CARD), strict=True):
        assert np.array_equal(ours.xyxy_px, theirs.xyxy_px)
        assert np.array_equal(ours.scores, theirs.scores)


def test_yolox_without_decoded_places_boxes_on_the_grids_of_strides_8_16_32():
    card = replace(CARD, input_hw=(32, 64))  # grids of 4×8, 2×4 and 1×2 cells
    head = np.zeros((1, 42, 8), np.float32)
    head[0, [9, 32 + 6, 40 + 1], 4:6] = 1.0  # fine row 1 column 1; middle row 1 column 2; coarse column 1
    head[0, 9, :4] = [0.5, 0.25, np.log(2), np.log(1)]

    boxes = only(yolox.decode([head], card))

    # (1.5*8, 1.25*8) sides 16, 8; (2*16, 1*16) sides 16; (1*32, 0) sides 32
    assert boxes.xyxy_px == pytest.approx(np.array([[4, 6, 20, 14], [24, 8, 40, 24], [16, -16, 48, 16]], np.float32))


def test_yolox_refuses_a_head_with_another_number_of_cells_than_the_input_has():
    card = replace(CARD, input_hw=(64, 64), decoder="yolox")

    yolox.check(fake_session(card, np.zeros((1, 84, 8), np.float32)))
    with pytest.raises(ModelError, match=r"\(n, 85, 8\).*expects \(n, 84, 8\)"):
        yolox.check(fake_session(card, np.zeros((1, 85, 8), np.float32)))


def test_a_wrong_head_is_refused_in_one_line_with_shapes_and_the_place_to_correct():
    session = fake_session(replace(CARD, name="mine"), np.zeros((1, 84, 8400), np.float32))

    with pytest.raises(ModelError) as caught:
        yolov5.check(session)

    text = str(caught.value)
    assert "'mine'" in text
    assert "(n, 84, 8400)" in text
    assert "(n, boxes, 8)" in text
    assert "card.toml" in text


def test_a_score_never_exceeds_one_even_when_float16_rounding_says_so():
    head = rows([10, 20, 4, 6, 1.001, 1.001, 0, 0])

    assert only(yolov5.decode([head], CARD)).scores.tolist() == [1.0]


@pytest.mark.parametrize("column", [2, 4, 5], ids=["width", "objectness", "class score"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_failed_inference_is_an_error_and_no_empty_picture(column, value):
    head = rows([10, 20, 4, 6, 0.9, 0.9, 0, 0])
    head[0, 0, column] = value

    with pytest.raises(StageError, match="not a number"):
        yolov5.decode([head], CARD)


def test_classifier_turns_logits_into_probabilities_and_leaves_probabilities_alone():
    logits = np.log(np.array([[1, 2, 7], [5, 4, 1]], np.float32)) + 300  # 300: exp alone would overflow
    done = np.array([[0.1, 0.2, 0.7]], np.float32)

    assert classifier.decode([logits], CARD) == pytest.approx(np.array([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]]), abs=1e-4)
    assert classifier.decode([done], replace(CARD, options={"activation": "none"})) == pytest.approx(done)


def test_classifier_refuses_an_unknown_activation_and_names_the_known_ones():
    card = replace(CARD, options={"activation": "sigmoyd"})

    with pytest.raises(ModelError, match=r"'sigmoyd'.*softmax, none"):
        classifier.check(fake_session(card, np.zeros((1, 3), np.float32)))


def test_classifier_refuses_output_that_is_no_number():
    with pytest.raises(StageError, match="not a number"):
        classifier.decode([np.array([[np.nan, 1, 2]], np.float32)], CARD)


@pytest.mark.parametrize(
    ("module", "outputs"),
    [
        (yolov5, [random_rows(84, 8)]),
        (yolox, [random_rows(84, 8) * np.float32([1 / 16] * 4 + [1] * 4)]),
        (yolov8, [random_rows(84, 7).transpose(0, 2, 1)]),
        (classifier, [random_rows(3, 1)[..., 0]]),
    ],
    ids=["yolov5", "yolox", "yolov8", "classifier"],
)
def test_built_in_decoders_keep_the_contract(module, outputs):
    spec = decoder_of(module)
    session = FakeSession(
        replace(CARD, decoder=spec.name), lambda _batch: outputs, [(None, *each.shape[1:]) for each in outputs]
    )

    decoded = check_decoder_contract(spec, session, outputs)

    assert all(len(each.scores) if isinstance(each, Boxes) else len(each) for each in decoded)
