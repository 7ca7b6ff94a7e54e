"""Stages detect and classify on scripted models: what reaches the record, and what is refused at start."""

from dataclasses import replace

import numpy as np
import pytest

from edge.api import Detection, ModelError
from edge.testing import (
    FakeSession,
    array_picture,
    check_stage_contract,
    fake_card,
    fake_services,
    fake_session,
    frame,
    grey_picture,
)
from plugins.decoders import classifier, yolov5
from plugins.stages import classify, detect

DECODERS = {spec.name: spec for module in (yolov5, classifier) for spec in module.tigrillo_decoders()}
(DETECT,) = detect.tigrillo_stages()
(CLASSIFY,) = classify.tigrillo_stages()
# A picture of 128×96 stands in the 64×64 input as 64×48, at the top.
WIDE = grey_picture(width=128, height=96)
DETECTOR = fake_card(resize="letterbox-topleft", min_score=0.2, nms_iou=0.5)
CLASSIFIER = fake_card(
    name="species",
    task="classify",
    decoder="classifier",
    resize="square-crop",
    input_hw=(32, 32),
    classes=("white", "grey", "black"),
    options={"activation": "none"},
)
DEER_BOX = [16, 12, 16, 12, 0.9, 1.0, 0.0]  # left, top quarter to a quarter further: 0.125, 0.125, 0.25, 0.25


def head(*rows):
    return np.array([rows], np.float32)


def run_detect(output, *, picture=WIDE, card=DETECTOR, detections=(), **options):
    services = fake_services(sessions={"fake": fake_session(card, output)}, decoders=DECODERS)
    config = detect.DetectConfig(model="fake", **options)
    (answer,) = check_stage_contract(DETECT, config, [frame(picture, detections=detections)], services)
    return answer.detections


def test_a_box_comes_out_as_shares_of_the_picture_with_the_cards_category():
    (deer,) = run_detect(head(DEER_BOX))

    assert (deer.category, deer.label) == ("animal", "deer")
    assert deer.score == pytest.approx(0.9)
    assert deer.xywh_norm == pytest.approx((0.125, 0.125, 0.25, 0.25))


def test_classes_without_a_category_and_boxes_in_the_border_are_no_detections():
    rock = [16, 12, 16, 12, 0.9, 0.0, 1.0]
    below_the_picture = [16, 58, 10, 8, 0.9, 1.0, 0.0]

    assert run_detect(head(rock, below_the_picture)) == ()


def test_overlapping_boxes_of_one_animal_are_one_detection_and_the_best_stands_first():
    shifted, other = [17, 12, 16, 12, 0.95, 1.0, 0.0], [50, 30, 8, 8, 0.99, 1.0, 0.0]

    found = run_detect(head(DEER_BOX, shifted, other))

    assert [round(each.score, 2) for each in found] == [0.99, 0.95]


def test_thresholds_come_from_the_card_unless_the_site_says_otherwise():
    faint, fainter = [50, 30, 8, 8, 0.25, 1.0, 0.0], [16, 30, 8, 8, 0.1, 1.0, 0.0]

    assert len(run_detect(head(DEER_BOX, faint, fainter))) == 2
    assert len(run_detect(head(DEER_BOX, faint, fainter), min_score=0.05)) == 3
    assert len(run_detect(head(DEER_BOX, faint, fainter), min_score=0.5)) == 1
    assert len(run_detect(head(DEER_BOX, faint, fainter), min_score=0.05, max_detections=2)) == 2


def test_a_second_detector_adds_to_what_the_first_found():
    person = Detection("person", 0.5, (0, 0, 0.1, 0.1), "person")

    found = run_detect(head(DEER_BOX, [50, 30, 8, 8, 0.25, 1.0, 0.0]), detections=(person,))

    assert [each.label for each in found] == ["deer", "person", "deer"]


def test_a_centred_letterbox_is_undone_too():
    centred = replace(DETECTOR, resize="letterbox-centre")

    (deer,) = run_detect(head([16, 12 + 8, 16, 12, 0.9, 1.0, 0.0]), card=centred)

    assert deer.xywh_norm == pytest.approx((0.125, 0.125, 0.25, 0.25))


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (replace(DETECTOR, decoder="yolo99"), "no decoder 'yolo99' for 'detect'.*yolov5"),
        (replace(DETECTOR, decoder="classifier"), "no decoder 'classifier' for 'detect'.*yolov5"),
        (replace(DETECTOR, task="classify"), "is for 'classify', not for 'detect'"),
        (replace(DETECTOR, resize="square-crop"), "letterbox-topleft or letterbox-centre"),
        (replace(DETECTOR, classes=("one",)), r"\(n, 1, 7\).*expects \(n, boxes, 6\)"),
    ],
)
def test_a_detector_that_can_not_work_is_refused_when_the_site_starts(card, says):
    services = fake_services(sessions={"fake": fake_session(card, head(DEER_BOX))}, decoders=DECODERS)

    with pytest.raises(ModelError, match=says), DETECT.build(detect.DetectConfig(model="fake"), services):
        pass


def test_a_model_that_is_not_installed_says_how_to_get_it():
    with (
        pytest.raises(ModelError, match="tigrillo models pull megadetector-lite"),
        DETECT.build(detect.DetectConfig(), fake_services()),
    ):
        pass


def brightness_classifier(card=CLASSIFIER):
    """A model that tells white, grey and black crops apart: 0.9 for what it is, 0.1 and 0.0001 for the others."""

    def outputs(batch):
        levels = batch.mean(axis=(1, 2, 3), keepdims=True)[:, :, 0, 0]
        rank = np.argsort(np.argsort(abs(levels - [1.0, 0.5, 0.0]), axis=1), axis=1)
        return [np.choose(rank, [0.9, 0.1, 0.0001]).astype(np.float32)]

    return FakeSession(card, outputs, [(None, 3)])


def run_classify(detections, *, picture=WIDE, session=None, **options):
    services = fake_services(sessions={"species": session or brightness_classifier()}, decoders=DECODERS)
    config = classify.ClassifyConfig(model="species", **options)
    (answer,) = check_stage_contract(CLASSIFY, config, [frame(picture, detections=tuple(detections))], services)
    return answer.detections


def two_animals():
    pixels = np.zeros((96, 128, 3), np.uint8)
    pixels[:, 64:] = 255
    boxes = [(0.0, 0.2, 0.3, 0.3), (0.7, 0.2, 0.3, 0.3)]
    return array_picture(pixels), [Detection("animal", 0.8, box, "deer") for box in boxes]


def test_each_box_gets_the_classes_of_its_own_crop_most_likely_first():
    picture, detections = two_animals()

    left, right = run_classify(detections, picture=picture)

    assert [each.label for each in left.classifications] == ["black", "grey"]
    assert [each.label for each in right.classifications] == ["white", "grey"]
    assert [each.score for each in right.classifications] == pytest.approx([0.9, 0.1])


def test_negligible_probabilities_are_kept_only_when_asked_for():
    picture, detections = two_animals()

    assert len(run_classify(detections, picture=picture, keep=0.0001 / 2)[0].classifications) == 3
    assert len(run_classify(detections, picture=picture, keep=0.5)[0].classifications) == 1


def test_only_wanted_categories_above_the_threshold_are_classified_and_none_is_lost():
    box = (0.1, 0.1, 0.2, 0.2)
    detections = [Detection("animal", 0.2, box), Detection("animal", 0.19, box), Detection("person", 0.9, box)]

    found = run_classify(detections)
    people = run_classify(detections, categories=("person",))

    assert [bool(each.classifications) for each in found] == [True, False, False]
    assert [bool(each.classifications) for each in people] == [False, False, True]


def test_a_herd_is_classified_in_pieces_of_sixteen_in_order():
    session = brightness_classifier()
    pixels = np.zeros((40, 400, 3), np.uint8)
    for number in range(0, 40, 2):
        pixels[:, number * 10 : number * 10 + 10] = 255
    herd = [Detection("animal", 0.5, (number / 40, 0.4, 0.0225, 0.2)) for number in range(40)]

    found = run_classify(herd, picture=array_picture(pixels), session=session)

    assert [shape[0] for shape in session.batch_shapes] == [16, 16, 8]
    assert [each.classifications[0].label for each in found] == ["white", "black"] * 20


def test_a_frame_without_boxes_does_not_run_the_model():
    session = brightness_classifier()

    assert run_classify([], session=session) == ()
    assert session.batch_shapes == []


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (replace(CLASSIFIER, task="detect"), "is for 'detect', not for 'classify'"),
        (replace(CLASSIFIER, resize="letterbox-centre"), "square-crop and a square input"),
        (replace(CLASSIFIER, input_hw=(32, 48)), "square-crop and a square input"),
        (replace(CLASSIFIER, classes=("a", "b")), r"\(n, 3\).*expects \(n, 2\)"),
    ],
)
def test_a_classifier_that_can_not_work_is_refused_when_the_site_starts(card, says):
    services = fake_services(sessions={"species": brightness_classifier(card)}, decoders=DECODERS)

    with pytest.raises(ModelError, match=says), CLASSIFY.build(classify.ClassifyConfig(model="species"), services):
        pass
