"""Models with what lies around them on the device: pictures in, boxes or outputs out, nothing else crosses the bus."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from ...compute.boxes import Decoder
from ...compute.device import Device
from ...compute.frames import Frames, Passing, Shown
from ...compute.vision import Vision
from ...model import F32, Box, Boxes, Card
from ...placement import Placement
from .execute import Bound

DECODERS: Final[dict[str, Decoder]] = {"yolov5": "yolov5", "yolox": "yolox-raw", "yolov8": "yolov8"}

Found = tuple[Boxes, Placement]


def decoder_of(card: Card) -> Decoder | None:
    """The device's reader of this model's head, None when it has none."""
    if card.decoder == "yolox" and card.options.get("decoded", False):
        return "yolox"
    return DECODERS.get(card.decoder)


@dataclass(slots=True)
class Hop:
    """The kernels around models, and the pictures on their way, on one device; for the thread that owns it."""

    device: Device
    passing: Passing
    vision: Vision = field(init=False)
    frames: Frames = field(init=False)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.vision = self._stack.enter_context(Vision(self.device))
        self.frames = Frames(self.vision, self.passing)

    def find(self, bound: Bound, pictures: Sequence[Shown], card: Card) -> list[Found | None]:
        """For each picture boxes after NMS within each class, in pixels of the model's input, and where it lies there.

        bound: the model's plan for so many pictures; it is launched once. None when its head is not read here, or too
        many boxes reach card.min_score: then the host has to. Raises StageError when an answer is not a number.
        """
        decoder = decoder_of(card)
        heads = [tensor for tensor in bound.plan.outputs.values() if len(tensor.shape) == 3]
        if decoder is None or not heads:
            return [None for _ in pictures]
        sheet, placements = _input_of(bound), []
        for slot, picture in enumerate(pictures):
            with self.frames.on_device(picture) as frame:
                placements.append(self.vision.letterbox(frame, into=sheet, card=card, slot=slot))
        bound.launch()
        count, rows, columns = heads[0].shape
        found = self.vision.boxes(
            bound.buffers[heads[0].storage],
            (count, rows, columns),
            decoder=decoder,
            min_score=card.min_score,
            iou=card.nms_iou,
            input_hw=card.input_hw,
        )
        bound.copies.clear()
        return [None if boxes is None else (boxes, at) for boxes, at in zip(found, placements, strict=True)]

    def run_crops(self, bound: Bound, parts: Sequence[tuple[Shown, Box]], card: Card) -> list[F32]:
        """The model's outputs for squares around boxes of pictures, those of one picture in a row.

        bound: the model's plan for so many.
        """
        sheet, slot = _input_of(bound), 0
        for _, group in groupby(parts, key=lambda part: id(part[0])):
            mates = list(group)
            with self.frames.on_device(mates[0][0]) as frame:
                self.vision.crops(frame, [box for _, box in mates], into=sheet, card=card, slot=slot)
            slot += len(mates)
        bound.launch()
        outputs = [bound.read(tensor) for tensor in bound.plan.outputs.values()]
        self.vision.settle()
        return outputs


def _input_of(bound: Bound) -> Any:
    return bound.buffers[next(iter(bound.plan.inputs.values())).storage]
