"""A detector with all that lies around it on the device: picture in, boxes out, nothing else crosses the bus."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from ...compute.boxes import Decoder
from ...compute.device import Device
from ...compute.vision import Vision
from ...model import U8, Boxes, Card
from ...placement import Placement
from .execute import Bound

DECODERS: Final[dict[str, Decoder]] = {"yolov5": "yolov5", "yolox": "yolox-raw", "yolov8": "yolov8"}


def decoder_of(card: Card) -> Decoder | None:
    """The device's reader of this model's head, None when it has none."""
    if card.decoder == "yolox" and card.options.get("decoded", False):
        return "yolox"
    return DECODERS.get(card.decoder)


@dataclass(slots=True)
class Hop:
    """The kernels around models, on one device; made and used in the thread that owns it."""

    device: Device
    vision: Vision = field(init=False)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.vision = self._stack.enter_context(Vision(self.device))

    def find(self, bound: Bound, bgr: U8, card: Card) -> tuple[Boxes, Placement] | None:
        """Boxes after NMS within each class, in pixels of the model's input, and where the picture lies in it.

        bound: the model's plan for one picture. None when its head is not read here, or too many boxes reach
        card.min_score: then the host has to. Raises StageError when the answer is not a number.
        """
        decoder = decoder_of(card)
        heads = [tensor for tensor in bound.plan.outputs.values() if len(tensor.shape) == 3]
        if decoder is None or not heads:
            return None
        source: Any = next(iter(bound.plan.inputs.values()))
        frame = self.vision.upload_frame(bgr)
        try:
            placement = self.vision.letterbox(frame, into=bound.buffers[source.storage], card=card)
            bound.launch()
            count, rows, columns = heads[0].shape
            (boxes,) = self.vision.boxes(
                bound.buffers[heads[0].storage],
                (count, rows, columns),
                decoder=decoder,
                min_score=card.min_score,
                iou=card.nms_iou,
                input_hw=card.input_hw,
            )
        finally:
            self.vision.release(frame)
        bound.copies.clear()
        return None if boxes is None else (boxes, placement)
