"""The default detector on real camera-trap stills: what is found, and that the boxes are those of the plain model."""

import ast
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from edge.api import Card, Detection, Stage
from edge.inference.ort import OrtCompute
from edge.models.installed import InstalledModels
from edge.testing import array_picture, fake_card, fake_services, frame
from plugins.decoders import yolov5, yolox
from plugins.stages import detect

COCO_ANIMALS = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")


@dataclass
class Installed:
    """Models for one test: a card under its name."""

    cards: dict[str, Card]

    def card(self, name):
        return self.cards[name]


@pytest.fixture(scope="module")
def compute() -> Iterator[OrtCompute]:
    with OrtCompute() as opened:
        yield opened


@pytest.fixture(scope="module")
def look(compute, models_dir: Path) -> Iterator[Stage]:
    """The detect stage as a site has it by default."""
    yield from opened_stage(compute, InstalledModels(models_dir), detect.DetectConfig())


def opened_stage(compute, models, config):
    decoders = {spec.name: spec for module in (yolov5, yolox) for spec in module.tigrillo_decoders()}
    services = fake_services(compute=compute, models=models, decoders=decoders)
    (spec,) = detect.tigrillo_stages()
    with spec.build(config, services) as stage:
        yield stage


def detections_in(path: Path, look) -> tuple[Detection, ...]:
    bgr = cv2.imread(str(path))  # upright: it follows the EXIF orientation
    return look(frame(array_picture(bgr))).detections


@pytest.fixture(scope="module")
def labels(shared_media: Path) -> dict[str, str]:
    with (shared_media / "labels.csv").open(newline="") as file:
        return {row["file"]: row["observation_type"] for row in csv.DictReader(file)}


@pytest.mark.models
def test_every_labelled_animal_but_at_most_one_has_an_animal_box(look, shared_media, labels):
    animals = [name for name, kind in labels.items() if kind == "animal"]

    missed = [
        name
        for name in animals
        if not any(each.category == "animal" and each.score >= 0.2 for each in detections_in(shared_media / name, look))
    ]

    assert len(animals) >= 13
    assert len(missed) <= 1, missed


@pytest.mark.models
def test_blanks_stay_blank(look, shared_media, labels):
    blanks = [name for name, kind in labels.items() if kind == "blank"]

    found = {name: detections_in(shared_media / name, look) for name in blanks}

    assert found == {"stills/blank.jpg": (), "stills/blank2.jpg": ()}


@pytest.mark.models
def test_an_exif_rotated_and_a_cmyk_file_have_the_boxes_of_the_plain_one(look, shared_media):
    plain = detections_in(shared_media / "stills/african_elephants.jpg", look)

    for name in ("african_elephants_with_exif_orientation.jpg", "african_elephants_cmyk.jpg"):
        others = detections_in(shared_media / "stills" / name, look)
        assert len(others) == len(plain)
        for ours, other in zip(plain, others, strict=True):
            assert iou(ours.xywh_norm, other.xywh_norm) > 0.9


def reference_boxes(path: Path, session: ort.InferenceSession) -> list[tuple[float, tuple[float, float, float, float]]]:
    """Score and xywh of each box, written straight down for this one model with nothing of ours."""
    bgr = cv2.imread(str(path))
    height, width = bgr.shape[:2]
    ratio = min(640 / height, 640 / width)
    while min(bgr.shape[0] / (height * ratio), bgr.shape[1] / (width * ratio)) >= 2:  # our way to make it smaller
        bgr = cv2.resize(bgr, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    small = cv2.resize(bgr, (round(width * ratio), round(height * ratio)), interpolation=cv2.INTER_AREA)
    sheet = np.zeros((640, 640, 3), np.uint8)
    sheet[: small.shape[0], : small.shape[1]] = small
    batch = sheet[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    (rows,) = session.run(None, {session.get_inputs()[0].name: batch})[0]
    scores = rows[:, 4] * rows[:, 5]
    left_top = rows[:, :2] - rows[:, 2:4] / 2
    kept = cv2.dnn.NMSBoxes(np.concatenate([left_top, rows[:, 2:4]], axis=1).tolist(), scores.tolist(), 0.2, 0.45)
    found = []
    for i in np.array(kept, int).ravel():
        x0, y0 = np.clip(left_top[i] / ratio / [width, height], 0, 1)
        x1, y1 = np.clip((left_top[i] + rows[i, 2:4]) / ratio / [width, height], 0, 1)
        found.append((float(scores[i]), (x0, y0, x1 - x0, y1 - y0)))
    return found


def iou(a, b) -> float:
    sides = [min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


@pytest.mark.models
def test_boxes_are_those_of_the_plain_model(look, shared_media, labels, models_dir):
    model = models_dir / "megadetector-lite" / "model.onnx"
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])

    for name in labels:
        ours = detections_in(shared_media / name, look)
        reference = reference_boxes(shared_media / name, session)

        assert len(ours) == len(reference), name
        for each, (score, box) in zip(ours, reference, strict=True):
            assert each.score == pytest.approx(score, abs=0.01), name
            assert iou(each.xywh_norm, box) >= 0.98, name


def test_a_yolov5_export_with_float16_runs_as_it_is(compute, yolov5n_onnx, shared_media, tmp_path):
    card = yolov5n_card(yolov5n_onnx, tmp_path)

    for look in opened_stage(compute, Installed({"yolov5n": card}), detect.DetectConfig(model="yolov5n")):
        found = {
            name: detections_in(shared_media / "stills" / name, look)
            for name in ("african_elephants.jpg", "human.jpg", "blank2.jpg")
        }

    assert [each.label for each in found["african_elephants.jpg"][:4]] == ["elephant"] * 4
    assert [each.category for each in found["human.jpg"]] == ["person"]
    assert found["blank2.jpg"] == ()


def yolov5n_card(onnx_path: Path, folder: Path) -> Card:
    """A card for ../shared/models/yolov5n.onnx, whose own metadata names its classes."""
    (folder / "model.onnx").symlink_to(onnx_path)
    names = ast.literal_eval(ort.InferenceSession(str(onnx_path)).get_modelmeta().custom_metadata_map["names"])
    return fake_card(
        name="yolov5n",
        input_hw=(640, 640),
        resize="letterbox-centre",
        classes=tuple(names.values()),
        categories=dict.fromkeys(COCO_ANIMALS, "animal") | {"person": "person", "car": "vehicle", "truck": "vehicle"},
        sha256="",
        folder=folder,
    )
