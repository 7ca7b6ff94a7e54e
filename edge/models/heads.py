"""Which head a model has: told from the shape of its output, with the settings that such models are trained with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..errors import ModelError
from ..i18n import _
from .onnx_facts import OnnxFacts

Task = Literal["detect", "classify"]
TASK_OF: Mapping[str, Task] = {"yolov5": "detect", "yolox": "detect", "yolov8": "detect", "classifier": "classify"}
GRIDS_PX = ((8, 16, 32), (8, 16, 32, 64))  # strides of the usual models, and of the P6 ones that MegaDetector v5 is
ANCHORS = 3  # boxes a cell of YOLOv5
IMAGENET_MEAN = (123.675, 116.28, 103.53)  # of RGB 0..255; torchvision's and the ONNX model zoo's
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True)
class Head:
    """A recognised head. classes: how many; settings: card keys that go with it."""

    decoder: str
    task: Task
    classes: int
    settings: Mapping[str, Any] = field(default_factory=dict)


def find_head(facts: OnnxFacts, *, where: str, decoder: str = "", task: str = "") -> Head:
    """The head of a model.

    decoder, task: what the person says, "" to be told from the output. Raises ModelError, with the shapes that are
    known, when the output is of none or when the person says something that the output can't be.
    """
    if facts.metadata.get("task", "detect") not in ("detect", "classify"):
        raise ModelError(
            _("{where}: made for {task!r}; supported are detect and classify").format(
                where=where, task=facts.metadata["task"][:40]
            )
        )
    fitting = [head for head in _candidates(facts) if decoder in ("", head.decoder) and task in ("", head.task)]
    if fitting:
        return fitting[0]
    if decoder and decoder not in TASK_OF:
        raise ModelError(
            _("{where}: decoder {decoder!r} is unknown here; there are {names}").format(
                where=where, decoder=decoder[:40], names=", ".join(TASK_OF)
            )
        )
    height, width = facts.input_hw
    asked = decoder or task
    wanted = _("head {name!r}").format(name=asked) if asked else _("supported head")
    raise ModelError(
        _(
            "{where}: its output {shapes} is of no {wanted} for an input of {height}×{width}: known are "
            "yolov5 (n, {anchored}, 5 + classes), yolox (n, {cells}, 5 + classes), yolov8 (n, 4 + classes, "
            "{cells}), classifier (n, classes); export it without NMS and without masks"
        ).format(
            where=where,
            shapes=facts.shapes,
            wanted=wanted,
            height=height,
            width=width,
            anchored=ANCHORS * _cells(facts, GRIDS_PX[0]),
            cells=_cells(facts, GRIDS_PX[0]),
        )
    )


def _candidates(facts: OnnxFacts) -> Sequence[Head]:
    boxes = [output for output in facts.outputs if output.ndim == 3]
    scores = [output for output in facts.outputs if output.ndim == 2]
    if boxes:
        return _box_heads(facts, boxes[0])
    if len(scores) == 1 and scores[0].shape[1] > 1:
        return [Head("classifier", "classify", scores[0].shape[1], _classifier_settings(facts, scores[0]))]
    return []


def _box_heads(facts: OnnxFacts, output: np.ndarray) -> Sequence[Head]:
    _n, rows, columns = output.shape
    found = []
    for strides in GRIDS_PX:
        cells = _cells(facts, strides)
        if rows == ANCHORS * cells and columns > 5:
            found.append(Head("yolov5", "detect", columns - 5, ULTRALYTICS))
        if columns == cells and rows > 4:
            found.append(Head("yolov8", "detect", rows - 4, ULTRALYTICS))
    if rows == _cells(facts, GRIDS_PX[0]) and columns > 5:
        # decoded centres run over the picture; raw ones are offsets of a cell or two
        decoded = bool(output[..., 0].max() > facts.input_hw[1] / 2)
        found.append(Head("yolox", "detect", columns - 5, {**MEGVII, "options": {"decoded": decoded}}))
    return found


ULTRALYTICS: Mapping[str, Any] = {
    "colour": "rgb",
    "mean": (0.0, 0.0, 0.0),
    "std": (255.0, 255.0, 255.0),
    "resize": "letterbox-centre",
    "fill": 114,
}
MEGVII: Mapping[str, Any] = {
    "colour": "bgr",
    "mean": (0.0, 0.0, 0.0),
    "std": (1.0, 1.0, 1.0),
    "resize": "letterbox-topleft",
    "fill": 114,
}


def _classifier_settings(facts: OnnxFacts, scores: np.ndarray) -> Mapping[str, Any]:
    from_ultralytics = facts.metadata.get("task") == "classify"
    probabilities = bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-2))
    return {
        "colour": "rgb",
        "mean": (0.0, 0.0, 0.0) if from_ultralytics else IMAGENET_MEAN,
        "std": (255.0, 255.0, 255.0) if from_ultralytics else IMAGENET_STD,
        "resize": "square-crop",
        "options": {"activation": "none" if probabilities else "softmax"},
    }


def _cells(facts: OnnxFacts, strides: Sequence[int]) -> int:
    height, width = facts.input_hw
    return sum((height // stride) * (width // stride) for stride in strides)
