"""A detector's raw output → boxes after NMS, on the device: two launches and one read of some kilobytes.

What is kept, in which order and why: edge.inference.postprocess, which does the same on the host.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np

from ..errors import EdgeError, StageError
from ..model import F32, Boxes
from .device import Device
from .kernel import Kernel, defines_of
from .launcher import Launcher

MOST: Final = 1024  # candidates of one picture: ranks and bits of so many fit a group's local memory eight times
KEPT: Final = 300  # boxes of one picture, what exporters of these heads allow, too
GROUP: Final = 256
HEAD: Final = 4  # words before the boxes
WORDS: Final = 6  # of a box
CANDIDATE_WORDS: Final = 8

Decoder = Literal["yolov5", "yolox", "yolox-raw", "yolov8"]


@dataclass(frozen=True, slots=True)
class Head:
    """How a head's output is read. shape: (n, boxes, 5 + classes); yolov8: (n, 4 + classes, boxes).

    yolox-raw: boxes in units of its grids, over input_hw pixels. Raises ValueError when shape and input_hw disagree.
    """

    decoder: Decoder
    shape: tuple[int, int, int]
    input_hw: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        cells = sum((self.input_hw[0] // stride) * (self.input_hw[1] // stride) for stride in (8, 16, 32))
        if self.decoder == "yolox-raw" and cells != self.count:
            raise ValueError(f"grids over {self.input_hw} have {cells} cells, the output has {self.count} boxes")
        if self.classes < 1:
            raise ValueError(f"a {self.decoder} head has a class at least, got shape {self.shape}")

    @property
    def count(self) -> int:
        """Boxes of one input."""
        return self.shape[2] if self.decoder == "yolov8" else self.shape[1]

    @property
    def classes(self) -> int:
        """Classes that it tells apart."""
        return self.shape[1] - 4 if self.decoder == "yolov8" else self.shape[2] - 5


@lru_cache(maxsize=64)  # formatting the macros takes longer than a launch
def kernel_of(head: Head, entry: str) -> Kernel:
    """One of the two entry points of boxes.cl for a head."""
    _, rows, columns = head.shape
    transposed = head.decoder == "yolov8"
    raw = head.decoder == "yolox-raw"
    defines = defines_of(
        STRIDE_N=rows * columns,
        STRIDE_BOX=1 if transposed else columns,
        STRIDE_VALUE=columns if transposed else 1,
        OBJECTNESS=not transposed,
        CLASSES=head.classes,
        GRID=raw,
        GRID_H=head.input_hw[0] if raw else 0,
        GRID_W=head.input_hw[1] if raw else 0,
        MOST=MOST,
        KEPT=KEPT,
        GROUP=GROUP,
    )
    return Kernel("boxes.cl", entry, defines)


class BoxFinder:
    """Decoding and NMS on one device; owns what lies between the two launches."""

    def __init__(self, device: Device, launcher: Launcher) -> None:
        self._device, self._launcher = device, launcher
        self._inputs = 0
        self._heads: Any = None
        self._found: Any = None
        self._result: Any = None

    def enqueue(self, raw: Any, head: Head, *, min_score: float, iou: float, offset: int = 0) -> None:
        """Enqueue both launches. raw: float32 of head.shape, row-major, `offset` floats into the buffer."""
        inputs = head.shape[0]
        self._make_room(inputs)
        group = min(GROUP, self._device.capability.max_group)
        grid = (-(-head.count // group) * group, inputs)
        source = (raw, np.int32(offset), np.int32(head.count), np.float32(min_score))
        sinks = (self._heads, self._found, np.float32(iou), self._result)
        try:
            self._launcher(kernel_of(head, "candidates"), grid, (group, 1), *source, self._heads, self._found)
            self._launcher(kernel_of(head, "suppress"), (GROUP, inputs), (GROUP, 1), *sinks)
        except EdgeError:
            self.free()  # the second launch empties what the first one fills: alone, it would count into the next frame
            raise

    def read(self, inputs: int) -> list[Boxes | None]:
        """What the last `enqueue` found, an input each, best first; waits for it.

        None: more than MOST boxes reached min_score, so that the host has to look at the raw output itself. Raises
        StageError when a score or a likely box is not a number.
        """
        table = self._device.read(self._result, np.empty((inputs, HEAD + WORDS * KEPT), np.int32))
        return [_boxes_of(row) for row in table]

    def _make_room(self, inputs: int) -> None:
        if inputs <= self._inputs:
            return
        self.free()
        self._heads = self._device.upload(np.zeros((inputs, HEAD), np.int32))
        self._found = self._device.alloc(inputs * MOST * CANDIDATE_WORDS * 4)
        self._result = self._device.alloc(inputs * (HEAD + WORDS * KEPT) * 4)
        self._inputs = inputs

    def free(self) -> None:
        """Give its memory back; the next `enqueue` takes some anew."""
        for buffer in (self._heads, self._found, self._result):
            if buffer is not None:
                self._device.free(buffer)
        self._heads = self._found = self._result = None
        self._inputs = 0


def _boxes_of(row: np.ndarray[Any, np.dtype[np.int32]]) -> Boxes | None:
    candidates, bad, kept = row[:3].tolist()
    if bad:
        raise StageError("the model's output is not a number: check the model with `tigrillo models verify`")
    if candidates > MOST:
        return None
    words = row[HEAD : HEAD + WORDS * kept].reshape(kept, WORDS)
    floats: F32 = words.view(np.float32)
    return Boxes(floats[:, :4].copy(), floats[:, 4].copy(), words[:, 5].astype(np.int64))
