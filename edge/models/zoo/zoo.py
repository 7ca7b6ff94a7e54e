"""The zoo's list of models and the one function that builds them.

In: a name and options. Out: an ONNX model with random weights, equal for equal arguments.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import onnx

from ...errors import ModelError
from ...i18n import _
from .builder import Graph, Value
from .efficientnet import write_efficientnet_b0, write_efficientnet_lite0
from .mobilenet import write_mobilenetv2, write_mobilenetv3_large
from .quantise import quantised
from .resnet import write_resnet50
from .rtdetr import write_rtdetr_like
from .rtdetr_decoder import FIRST_GRID_SAMPLE_OPSET
from .yolo11 import write_yolo11n
from .yolov5 import Yolov5Shape, write_yolov5
from .yolov8 import write_yolov8n
from .yolox import write_yolox_tiny

Storage = Literal["fp32", "fp16", "int8"]
OLDEST_OPSET, NEWEST_OPSET = 13, 21
LEAST_STEPS = 3  # of step_px: below, RT-DETR has fewer cells than queries
DEFAULT_OPSET = 17  # what torch's exporter and Ultralytics write today


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """One model. input_hw: nominal size in pixels. gflops: of that size, batch 1, counted by flops.flops.

    step_px: sizes are multiples of this. any_size: batch, height and width are dynamic axes whatever is asked for.
    """

    name: str
    what: str
    input_hw: tuple[int, int]
    gflops: float
    write: Callable[[Graph, Value], list[Value]]
    step_px: int = 32
    oldest_opset: int = OLDEST_OPSET
    any_size: bool = False


ENTRIES: Final = (
    ZooEntry("mobilenetv2", "classifier, depthwise, ReLU6", (224, 224), 0.602, write_mobilenetv2),
    ZooEntry("mobilenetv3-large", "classifier, squeeze-excite, hard swish", (224, 224), 0.433, write_mobilenetv3_large),
    ZooEntry("efficientnet-lite0", "classifier, TensorFlow padding", (224, 224), 0.77, write_efficientnet_lite0),
    ZooEntry("efficientnet-b0", "classifier, squeeze-excite, SiLU", (224, 224), 0.772, write_efficientnet_b0),
    ZooEntry("resnet50", "classifier, BatchNormalization nodes", (224, 224), 8.18, write_resnet50),
    ZooEntry(
        "yolov5n", "detector, as exported", (640, 640), 4.47, partial(write_yolov5, shape=Yolov5Shape(0.33, 0.25))
    ),
    ZooEntry(
        "yolov5n-any-size",
        "yolov5n with shapes computed at run time",
        (640, 640),
        4.47,
        partial(write_yolov5, shape=Yolov5Shape(0.33, 0.25, any_size=True)),
        any_size=True,
    ),
    ZooEntry("yolov5s", "detector, as exported", (640, 640), 16.4, partial(write_yolov5, shape=Yolov5Shape(0.33, 0.5))),
    ZooEntry(
        "yolov5x6",
        "MegaDetector v5's architecture, three classes",
        (1280, 1280),
        832,
        partial(write_yolov5, shape=Yolov5Shape(1.33, 1.25, classes=3, p6=True)),
        step_px=64,
    ),
    ZooEntry("yolov8n", "detector, distances as distributions", (640, 640), 8.74, write_yolov8n),
    ZooEntry("yolo11n", "detector with an attention block", (640, 640), 6.54, write_yolo11n),
    ZooEntry("yolox-tiny", "detector, raw boxes", (640, 640), 15.2, write_yolox_tiny),
    ZooEntry(
        "rtdetr-like",
        "transformer detector, deformable attention",
        (640, 640),
        15.8,
        write_rtdetr_like,
        oldest_opset=FIRST_GRID_SAMPLE_OPSET,
    ),
)
ZOO: Final[Mapping[str, ZooEntry]] = MappingProxyType({entry.name: entry for entry in ENTRIES})


def build(
    name: str,
    *,
    batch: int | None = 1,
    size: int | None = None,
    seed: int = 0,
    opset: int = DEFAULT_OPSET,
    storage: Storage = "fp32",
) -> onnx.ModelProto:
    """The model, with weights from this seed. Input "images", float (batch, 3, size, size).

    batch: None for a dynamic axis "batch". size: height and width in pixels, None for the nominal ones.
    storage: fp16 makes input, output and everything between float16; int8 is a float model with QDQ pairs.
    Raises ModelError for a name, size or opset that the zoo does not have.
    """
    entry = ZOO.get(name)
    if entry is None:
        raise ModelError(_("no model {name!r} in the zoo, it has {known}").format(name=name, known=", ".join(ZOO)))
    hw = entry.input_hw if size is None else (size, size)
    _check(entry, hw, opset)
    g = Graph(
        opset=opset,
        seed=seed,
        batch=batch,
        dtype=np.float16 if storage == "fp16" else np.float32,
        keep_bn=storage != "int8",
    )
    declared = ("height", "width") if entry.any_size else hw
    outputs = entry.write(g, g.input(declared, nominal_hw=hw))
    g.finish(name, outputs, dims=[("anchors", each.shape[-1]) for each in outputs] if entry.any_size else None)
    if storage == "int8":
        return quantised(g.model, picture_shape=(batch or 1, 3, *hw), seed=seed)
    return g.model


def _check(entry: ZooEntry, hw: tuple[int, int], opset: int) -> None:
    if not entry.oldest_opset <= opset <= NEWEST_OPSET:
        raise ModelError(
            _("model {name!r} can be written for opset {oldest} to {newest}, not {opset}").format(
                name=entry.name, oldest=entry.oldest_opset, newest=NEWEST_OPSET, opset=opset
            )
        )
    least = LEAST_STEPS * entry.step_px
    if hw[0] < least or hw[0] % entry.step_px:
        raise ModelError(
            _("size of model {name!r} must be a multiple of {step} px from {least} px, got {size}").format(
                name=entry.name, step=entry.step_px, least=least, size=hw[0]
            )
        )
