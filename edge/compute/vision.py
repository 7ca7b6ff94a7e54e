"""What happens to a frame on the device around a model: uploaded once, it stays there until boxes come back.

Frame → letterbox into the detector's input → (model) → boxes, the one read → crops into the classifier's input. The
same results as edge.inference.preprocess and postprocess on the host. Everything is enqueued in the order of the calls,
in the thread that owns the device; nothing waits but `boxes`.
"""

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from ..model import U8, Box, Boxes, Card, Yuv420
from ..placement import Anchor, Placement, halvings, square_span
from .boxes import BoxFinder, Decoder, Head
from .device import Device
from .driver import cl
from .frame import DeviceFrame, arrange
from .kernel import Kernel, defines_of
from .launcher import Launcher, numbers

AREA, CUBIC, MIXED = 0, 1, 2  # as kernels/resample.cl names them
MOST_COPIES: Final = 32  # under way at once; one more waits for the first
MOST_HALVINGS: Final = 6  # kernels/halve.cl goes no further; what is left to do is averaged anyway


class Vision:
    """The kernels around models on one device; use it with `with`, from the thread that owns the device."""

    def __init__(self, device: Device) -> None:
        self.device, self.launcher = device, Launcher(device)
        self._finder = BoxFinder(device, self.launcher)
        # A copy's event holds the array, and waits for the copy when it is dropped: so it is kept until `settle`.
        self._sending: deque[Any] = deque(maxlen=MOST_COPIES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sending.clear()
        self._finder.free()

    def upload_frame(self, picture: U8 | Yuv420) -> DeviceFrame:
        """Begin to copy a picture to the device: uint8 (height, width, 3), blue first, or a decoder's planes.

        uint8 (height, width) is brightness, which is all that motion needs. The picture must stay as it is until
        `settle`. Raises DeviceBusy when there is no room, ValueError when it
        is no picture.
        """
        host, hw, layout, defines = arrange(picture)
        buffer = self.device.alloc(sum(plane.nbytes for plane in host))
        start = 0
        for plane in host:
            self._send(buffer, plane, start)
            start += plane.nbytes
        return DeviceFrame(buffer, hw, tuple(np.int32(each) for each in layout), defines)

    def release(self, frame: DeviceFrame) -> None:
        """Give the frame's memory back for the next one; launches enqueued before still see it."""
        self.device.free(frame.buffer)

    def settle(self) -> None:
        """Let go of what was copied from: to be called after a read, when all that was enqueued before it is done."""
        self._sending.clear()

    def letterbox(self, frame: DeviceFrame, *, into: Any, card: Card, slot: int = 0, offset: int = 0) -> Placement:
        """Enqueue one launch that writes the frame as one picture of a detector's batch; returns where it lies in it.

        into: buffer of float32 (n, 3, *card.input_hw) that begins `offset` floats into it. slot: which of the n.
        """
        height, width = card.input_hw
        anchor: Anchor = "topleft" if card.resize == "letterbox-topleft" else "centre"
        placement = Placement.letterboxed(frame.hw, size_hw=card.input_hw, anchor=anchor)
        k, mode, from_wh = _way(frame.hw, placement.new_hw)
        kernel = _kernel("letterbox", frame, card, HALVINGS=k, MODE=mode)
        new_height, new_width = placement.new_hw
        sheet = into, *numbers(offset + slot * 3 * height * width, width, height)
        inside = numbers(placement.left, placement.top, new_width, new_height, float(card.fill))
        args = (*frame.args, *numbers(*from_wh), *sheet, *inside, *_normalisation(card))
        self.launcher(kernel, *self.launcher.over(width, height), *args)
        return placement

    def crops(
        self, frame: DeviceFrame, boxes: Sequence[Box], *, into: Any, card: Card, slot: int = 0, offset: int = 0
    ) -> None:
        """Enqueue one launch that writes a square around each box as one picture of a classifier's batch.

        boxes: xywh_norm. into: buffer of float32 (n, 3, *card.input_hw), `offset` floats into it; the boxes fill it
        from picture `slot` on.
        """
        if not boxes:
            return
        height, width = card.input_hw
        table = np.array([_part(frame.hw, box, card) for box in boxes], np.int32)
        parts = self.device.alloc(table.nbytes)
        self._send(parts, table, 0)
        start = np.int32(offset + slot * 3 * height * width)
        args = (*frame.args, parts, into, start, *numbers(width, height), *_normalisation(card))
        grid = self.launcher.over(width, height, len(boxes))
        self.launcher(_kernel("crop", frame, card), *grid, *args)
        self.device.free(parts)

    def boxes(
        self,
        raw: Any,
        shape: tuple[int, int, int],
        *,
        decoder: Decoder,
        min_score: float,
        iou: float,
        input_hw: tuple[int, int] = (0, 0),
        offset: int = 0,
    ) -> list[Boxes | None]:
        """What a detector's output says about each input, after NMS within each class, best first, at most 300.

        raw: buffer of float32 `shape`, row-major, `offset` floats into it. decoder: "yolox-raw" is YOLOX as published,
        boxes in units of the grids over input_hw. Two launches, then waits for one read. None for an input in which
        more than 1024 boxes reach min_score: read the raw output and decode it on the host. Raises StageError when the
        output is not a number.
        """
        self._finder.enqueue(raw, Head(decoder, shape, input_hw), min_score=min_score, iou=iou, offset=offset)
        found = self._finder.read(shape[0])
        self.settle()
        return found

    def _send(self, buffer: Any, array: npt.NDArray[Any], start: int) -> None:
        """Begin to copy an array to `start` bytes into a buffer."""
        with self.device.guard("upload"):
            event = cl.enqueue_copy(self.device.queue, buffer, array, dst_offset=start, is_blocking=False)
        self._sending.append(event)


def _way(from_hw: tuple[int, int], to_hw: tuple[int, int]) -> tuple[int, int, tuple[int, int]]:
    """Halvings, mode and cells across and down after them, of the way that edge.inference.preprocess.resize takes."""
    k = min(halvings(from_hw, to_hw), MOST_HALVINGS)
    height, width = from_hw[0] >> k, from_hw[1] >> k
    shrinks = height > to_hw[0] or width > to_hw[1]
    grows = height < to_hw[0] or width < to_hw[1]
    return k, MIXED if shrinks and grows else CUBIC if grows else AREA, (width, height)


def _part(frame_hw: tuple[int, int], box: Box, card: Card) -> tuple[int, ...]:
    x0, y0, x1, y1 = square_span(frame_hw, box, margin=card.crop_margin)
    k, mode, (across, down) = _way((y1 - y0, x1 - x0), card.input_hw)
    return x0, y0, across, down, k, mode, 0, 0


def _kernel(name: str, frame: DeviceFrame, card: Card, **more: int) -> Kernel:
    return Kernel(f"{name}.cl", name, frame.defines + defines_of(RGB=card.colour == "rgb", **more))


def _normalisation(card: Card) -> tuple[np.int32 | np.float32, ...]:
    scales = [float(1 / std) for std in card.std]
    shifts = [float(mean / std) for mean, std in zip(card.mean, card.std, strict=True)]
    return numbers(*scales, *shifts)
