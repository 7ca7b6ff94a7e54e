"""What an ONNX file says about itself, and what it gives on a black picture: all that an import goes by."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from ..errors import ModelError, UnsupportedOpError
from ..i18n import _

FATAL_LEVEL = 4  # ONNX Runtime tells errors twice, as a log line and as an exception: the exception is enough
INPUT_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
MAX_SIDE_PX = 4096
UNREADABLE = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.RuntimeException,
)


@dataclass(frozen=True, slots=True)
class OnnxFacts:
    """A model that loads and runs.

    batch: fixed number of pictures, None when any will do. input_type: "float32" or "float16".
    outputs: what it gives on a black picture, float32, in the model's order.
    """

    input_hw: tuple[int, int]
    batch: int | None
    input_type: str
    outputs: Sequence[npt.NDArray[np.float32]]
    metadata: Mapping[str, str]

    @property
    def shapes(self) -> str:
        """The outputs' shapes, for messages."""
        return ", ".join(str(output.shape) for output in self.outputs)


def read_facts(path: Path, *, where: str, input_hw: tuple[int, int] | None = None) -> OnnxFacts:
    """Load the model and run it once on black.

    where: names the model in messages. input_hw: for models that take any size. Raises ModelError when the file is no
    model that takes one float picture batch (n, 3, height, width), UnsupportedOpError when an operator is not known.
    """
    model = _load(path, where)
    metadata = dict(model.get_modelmeta().custom_metadata_map)
    inputs = model.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in INPUT_TYPES or len(inputs[0].shape) != 4:
        has = ", ".join(f"{each.type} {each.shape}" for each in inputs)
        raise ModelError(
            _("{where}: it takes {found}; supported is one float input (n, 3, height, width)").format(
                where=where, found=has or _("nothing")
            )
        )
    batch, channels, height, width = (_size(side) for side in inputs[0].shape)
    if channels not in (3, None):
        raise ModelError(
            _("{where}: it takes {shape}; supported is (n, 3, height, width): export it as NCHW").format(
                where=where, shape=inputs[0].shape
            )
        )
    size = _input_hw((height, width), input_hw or _hw_in_metadata(metadata), where)
    dtype = INPUT_TYPES[inputs[0].type]
    black = np.zeros((batch or 1, 3, *size), dtype)
    try:
        outputs = model.run(None, {inputs[0].name: black})
    except UNREADABLE as exc:
        raise ModelError(
            _("{where}: it does not run on a picture of {height}×{width}: {reason}").format(
                where=where, height=size[0], width=size[1], reason=_line(exc)
            )
        ) from exc
    arrays = [np.asarray(each, np.float32) for each in outputs if isinstance(each, np.ndarray)]
    return OnnxFacts(size, batch, np.dtype(dtype).name, arrays, metadata)


def _load(path: Path, where: str) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = FATAL_LEVEL
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except ort_errors.NotImplemented as exc:
        raise UnsupportedOpError(
            _("{where}: ONNX Runtime {version} can't run it: {reason}").format(
                where=where, version=ort.__version__, reason=_line(exc)
            )
        ) from exc
    except UNREADABLE as exc:
        raise ModelError(
            _("{where}: no ONNX model that can be read: {reason}").format(where=where, reason=_line(exc))
        ) from exc


def _input_hw(fixed: tuple[int | None, int | None], wished: tuple[int, int] | None, where: str) -> tuple[int, int]:
    if wished is None and None in fixed:
        raise ModelError(
            _("{where}: it takes pictures of any size; say which with --size, as --size 640").format(where=where)
        )
    height, width = (have or (wished or (0, 0))[axis] for axis, have in enumerate(fixed))
    if wished and None not in fixed and wished != (height, width):
        raise ModelError(
            _("{where}: it takes {height}×{width} only, not {other_height}×{other_width}: leave --size out").format(
                where=where, height=height, width=width, other_height=wished[0], other_width=wished[1]
            )
        )
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise ModelError(
            _("{where}: it takes {height}×{width} pixels; supported is 1 to {most} a side").format(
                where=where, height=height, width=width, most=MAX_SIDE_PX
            )
        )
    return height, width


def _hw_in_metadata(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """Ultralytics notes the size of an export as "[640, 640]"."""
    try:
        size = ast.literal_eval(metadata.get("imgsz", "")[:40])
    except (ValueError, SyntaxError):
        return None
    if isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size):
        return size[0], size[1]
    return None


def _size(side: object) -> int | None:
    """A declared side; None where the exporter left it open."""
    return side if isinstance(side, int) and side > 0 else None


def _line(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:300]
