"""Raw output → boxes on the device equals decoder and NMS on the host."""

from dataclasses import replace

import numpy as np
import pytest

from edge.compute.boxes import KEPT, MOST
from edge.compute.device import Device
from edge.compute.vision import Vision
from edge.errors import StageError
from edge.inference.postprocess import nms_by_class
from edge.testing import fake_card
from plugins.decoders import yolov5, yolov8, yolox

INPUT_HW = (160, 192)
CELLS = 480 + 120 + 30


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with Device.open("opencl", cache_dir=tmp_path_factory.mktemp("cache")) as opened:
        yield opened


@pytest.fixture(scope="module")
def vision(device):
    with Vision(device) as opened:
        yield opened


def rows_of(decoder, *, inputs=2, classes=3, seed=0, ties=False):
    """A head's output with boxes that overlap, (n, CELLS, 5 + classes) or, for yolov8, (n, 4 + classes, CELLS)."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, 160, (inputs, CELLS, 2))
    sides = rng.uniform(5, 80, (inputs, CELLS, 2))
    if decoder == "yolox-raw":
        centre, sides = rng.uniform(0, 1, centre.shape), rng.uniform(-1, 2, sides.shape)
    scores = rng.random((inputs, CELLS, 1 + classes))
    if ties:
        scores = np.round(scores * 4) / 4
    rows = np.concatenate([centre, sides, scores], axis=2).astype(np.float32)
    return np.ascontiguousarray(np.delete(rows, 4, axis=2).transpose(0, 2, 1)) if decoder == "yolov8" else rows


def host_boxes(raw, decoder, *, min_score, iou):
    module = {"yolov5": yolov5, "yolox": yolox, "yolox-raw": yolox, "yolov8": yolov8}[decoder]
    card = replace(fake_card(), input_hw=INPUT_HW, min_score=min_score, options={"decoded": decoder == "yolox"})
    found = module.decode([raw], card)
    kept = [nms_by_class(boxes, iou=iou) for boxes in found]
    return [
        (boxes.xyxy_px[each], boxes.scores[each], boxes.classes[each]) for boxes, each in zip(found, kept, strict=True)
    ]


def device_boxes(vision, raw, decoder, *, min_score, iou, offset=0):
    buffer = vision.device.upload(np.concatenate([np.zeros(offset, np.float32), raw.ravel()]))
    options = {"input_hw": INPUT_HW, "offset": offset, "min_score": min_score, "iou": iou}
    return vision.boxes(buffer, raw.shape, decoder=decoder, **options)


@pytest.mark.parametrize("decoder", ["yolov5", "yolox", "yolox-raw", "yolov8"])
@pytest.mark.parametrize("ties", [False, True])
def test_boxes_are_the_hosts_in_the_hosts_order(vision, decoder, ties):
    raw = rows_of(decoder, ties=ties)

    for min_score, iou in ((0.3, 0.45), (0.75, 0.2)):
        got = device_boxes(vision, raw, decoder, min_score=min_score, iou=iou, offset=3)

        wanted = host_boxes(raw, decoder, min_score=min_score, iou=iou)
        for have, (xyxy, scores, classes) in zip(got, wanted, strict=True):
            assert len(scores) > 5
            assert have.scores.tolist() == scores[:KEPT].tolist()
            assert have.classes.tolist() == classes[:KEPT].tolist()
            # Raw boxes pass through exp, which OpenCL gives within 3 units of the last place.
            atol = 1e-4 if decoder == "yolox-raw" else 0
            np.testing.assert_allclose(have.xyxy_px, xyxy[:KEPT], rtol=1e-6, atol=atol)


def test_many_boxes_are_cut_at_the_best_of_them(vision):
    raw = rows_of("yolov5", inputs=1)
    raw[..., 2:4] = 1  # none overlaps another enough

    (found,) = device_boxes(vision, raw, "yolov5", min_score=0.01, iou=0.99)

    ((_, scores, _),) = host_boxes(raw, "yolov5", min_score=0.01, iou=0.99)
    assert len(scores) > KEPT
    assert found.scores.tolist() == scores[:KEPT].tolist()


def test_more_candidates_than_fit_are_left_to_the_host_and_the_next_picture_is_not_disturbed(vision):
    raw = np.tile(rows_of("yolov5", inputs=1), (1, 2, 1))
    raw[..., 4:] = 0.9
    calm = rows_of("yolov5", inputs=1, seed=1)

    (crowded,) = device_boxes(vision, raw, "yolov5", min_score=0.2, iou=0.45)
    (found,) = device_boxes(vision, calm, "yolov5", min_score=0.5, iou=0.45)

    assert raw.shape[1] > MOST
    assert crowded is None
    assert found.scores.tolist() == host_boxes(calm, "yolov5", min_score=0.5, iou=0.45)[0][1].tolist()


def test_a_picture_without_boxes_gives_none_of_them(vision):
    (found,) = device_boxes(vision, rows_of("yolov8", inputs=1), "yolov8", min_score=1.5, iou=0.45)

    assert found.xyxy_px.shape == (0, 4)


@pytest.mark.parametrize(("column", "value"), [(4, np.nan), (5, np.inf), (0, np.nan), (7, np.nan)])
def test_an_output_that_is_not_a_number_is_no_empty_picture(vision, column, value):
    raw = rows_of("yolov5", inputs=1)
    raw[0, 17, 4:] = 0.9
    raw[0, 17, column] = value

    with pytest.raises(StageError, match="not a number"):
        device_boxes(vision, raw, "yolov5", min_score=0.3, iou=0.45)
    raw[0, 17] = 0
    assert device_boxes(vision, raw, "yolov5", min_score=0.3, iou=0.45)[0] is not None


def test_two_launches_whatever_the_batch(vision):
    raw = rows_of("yolov5", inputs=3)
    before = vision.launcher.count

    device_boxes(vision, raw, "yolov5", min_score=0.5, iou=0.45)

    assert vision.launcher.count - before == 2
