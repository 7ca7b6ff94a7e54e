"""A model in ONNX Runtime. Loading this module loads ONNX Runtime, 18 MB: a site without models never does."""

import math
import re
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from ..errors import DeviceBusy, ModelError, StageError, UnsupportedOpError
from ..i18n import _
from ..model import F32, Card
from .model_file import check_hash

# What ONNX Runtime raises when a run fails, and when a file is no model or not one it can read.
FAILED = (ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.RuntimeException)
UNREADABLE = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
)
INPUT_TYPES: dict[str, np.dtype[Any]] = {"tensor(float)": np.dtype(np.float32), "tensor(float16)": np.dtype(np.float16)}
NOISE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/.*?\) ")
LOG_NOTHING = 4  # of ONNX Runtime's levels: whatever fails is raised too, in one line, with the model's name
# A batch is run in pieces of so many input pixels, at least one picture: a detector's pictures one by one, crops of 224
# in fours. More at once is no faster on a CPU (classifier: 9 to 11 ms a crop for 1, 2, 4, 8 or 16) but takes
# 14 MB a crop (16 at once: 408 MB resident, 4: 236; both default models loaded, one timing of each, 2 cores, 2026-11).
PIXELS_AT_ONCE = 4 * 224 * 224


class OrtSession:
    """A model loaded into ONNX Runtime; `run` may be called from several threads."""

    def __init__(self, card: Card, *, threads: int, slots: threading.BoundedSemaphore) -> None:
        check_hash(card)
        self.card = card
        self._slots = slots
        self._model = load(card, threads=threads)
        self._input, self._dtype, self._fixed_batch = check_input(self._model, card)
        self.output_shapes = self._find_output_shapes()

    def run(self, batch: F32) -> Sequence[F32]:
        """Run the model on float32 (n, 3, height, width); see Session.run.

        Large batches are run in pieces; the last one of a fixed batch is filled up with its own last picture. Raises
        ValueError on a batch of another shape, DeviceBusy when memory runs out, StageError when the model fails on
        these pictures.
        """
        if batch.shape != (len(batch), 3, *self.card.input_hw) or not len(batch):
            raise ValueError(f"model {self.card.name!r} takes (n, 3, {_by(self.card.input_hw)}), got {batch.shape}")
        size = self._fixed_batch or max(1, PIXELS_AT_ONCE // math.prod(self.card.input_hw))
        pieces = [self._run_piece(batch[start : start + size]) for start in range(0, len(batch), size)]
        if len(pieces) == 1:
            return pieces[0]
        return [np.concatenate(outputs) for outputs in zip(*pieces, strict=True)]

    def _run_piece(self, piece: F32) -> list[F32]:
        count = len(piece)
        if self._fixed_batch and count < self._fixed_batch:
            piece = np.concatenate([piece, np.repeat(piece[-1:], self._fixed_batch - count, axis=0)])
        fed = np.ascontiguousarray(piece, dtype=self._dtype)
        with self._slots:
            try:
                outputs = self._model.run(None, {self._input: fed})
            except (*FAILED, MemoryError) as exc:
                text = f"model {self.card.name!r} did not run on {count} pictures: {_line(exc)}"
                # It has no error of its own for this; the text is all there is to tell by.
                short_of_memory = isinstance(exc, MemoryError) or "allocate memory" in str(exc)
                raise (DeviceBusy if short_of_memory else StageError)(text) from exc
        return [np.asarray(output, dtype=np.float32)[:count] for output in outputs]

    def _find_output_shapes(self) -> Sequence[tuple[int | None, ...]]:
        declared = [tuple(_size(side) for side in output.shape) for output in self._model.get_outputs()]
        if any(side is None for shape in declared for side in shape[1:]):
            # Exporters leave sizes open that do not depend on the batch; one run on nothing tells them.
            black = np.zeros((1, 3, *self.card.input_hw), np.float32)
            declared = [(None, *output.shape[1:]) for output in self.run(black)]
        return declared


def load(card: Card, *, threads: int) -> Any:
    """An onnxruntime.InferenceSession of the card's file. Raises ModelError or UnsupportedOpError."""
    share_arena()
    options = ort.SessionOptions()
    options.log_severity_level = LOG_NOTHING
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return ort.InferenceSession(str(card.onnx_path), options, providers=["CPUExecutionProvider"])
    except (ort_errors.NotImplemented, *UNREADABLE) as exc:
        if isinstance(exc, ort_errors.NotImplemented) or "registered" in str(exc):
            raise UnsupportedOpError(
                _("model {name!r}: ONNX Runtime {version} can't run it: {reason}").format(
                    name=card.name, version=ort.__version__, reason=_line(exc)
                )
            ) from exc
        raise ModelError(
            _("model {name!r}: {path} is no ONNX model: {reason}").format(
                name=card.name, path=card.onnx_path, reason=_line(exc)
            )
        ) from exc


@cache
def share_arena() -> None:
    """Let all sessions of this process take turns with one memory arena.

    With an arena each, both default models held 294 MB after work; with a shared one 218 (ONNX Runtime 1.31, 2026-11).
    """
    where = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(where, None)  # None: its own defaults


def check_input(model: Any, card: Card) -> tuple[str, np.dtype[Any], int | None]:
    """Name, type and fixed batch (None when any will do) of the model's input.

    Raises ModelError unless it is one float input (n, 3, height, width) of the card's size.
    """
    inputs = model.get_inputs()
    shape: tuple[int | None, ...] = tuple(_size(side) for side in inputs[0].shape)
    wanted = (None, 3, *card.input_hw)
    fits = len(shape) == 4 and all(a is None or b is None or a == b for a, b in zip(shape, wanted, strict=True))
    if len(inputs) != 1 or not fits or inputs[0].type not in INPUT_TYPES:
        has = ", ".join(f"{each.type} {each.shape}" for each in inputs)
        raise ModelError(
            _(
                "model {name!r}: its input is {has}, its card says float (n, 3, {input_hw}): correct input_hw "
                "in {path} or export the model so"
            ).format(name=card.name, has=has, input_hw=_by(card.input_hw), path=card.folder / "card.toml")
        )
    return str(inputs[0].name), INPUT_TYPES[str(inputs[0].type)], shape[0]


def _size(side: object) -> int | None:
    """A side of a declared shape; None where the exporter left it open (a name, nothing, or a number below 1)."""
    return side if isinstance(side, int) and side > 0 else None


def _by(input_hw: tuple[int, int]) -> str:
    return f"{input_hw[0]}, {input_hw[1]}"


def _line(exc: BaseException) -> str:
    """The error's text on one line, without places in ONNX Runtime's source, no longer than a person reads."""
    return NOISE.sub("", " ".join(str(exc).split()))[:300]
