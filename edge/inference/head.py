"""Open a model with the decoder of its head, and refuse a head that is not what the card says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import ModelError
from ..hookspecs import DecoderSpec
from ..i18n import _
from ..model import F32, U8, Box, Boxes, Card, Picture
from ..placement import Anchor, Placement
from ..services import Cropper, Finder, Services, Session
from .preprocess import letterbox, square_crop, to_batch


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model that is ready to run, and what reads its answers."""

    card: Card
    session: Session
    decoder: DecoderSpec

    def find(self, picture: Picture) -> tuple[Boxes, Placement]:
        """What a detector sees in a picture of any size, and where that picture lies in the model's input.

        On a device that can, all of it happens there. Raises as look_at does.
        """
        if isinstance(self.session, Finder) and (found := self.session.find(picture, self.card)):
            return found
        size_hw, fill = self.card.input_hw, self.card.fill
        anchor: Anchor = "topleft" if self.card.resize == "letterbox-topleft" else "centre"
        sheet, placement = letterbox(picture.bgr(), size_hw=size_hw, fill=fill, anchor=anchor)
        (boxes,) = self.look_at([sheet])
        assert isinstance(boxes, Boxes)
        return boxes, placement

    def classify(self, picture: Picture, boxes: Sequence[Box]) -> F32:
        """What a classifier says of each box (xywh_norm) of a picture, one at least: float32 (boxes, classes).

        On a device that can, the squares around them are cut out there. Raises as look_at does.
        """
        if isinstance(self.session, Cropper):
            outputs = self.session.run_crops(picture, boxes, self.card)
            if outputs is not None:
                return _probabilities(self.decoder.decode(outputs, self.card))
        margin, size_px = self.card.crop_margin, self.card.input_hw[0]
        crops = [square_crop(picture.bgr(), box, margin=margin, size_px=size_px) for box in boxes]
        return _probabilities(self.look_at(crops))

    def look_at(self, pictures: Sequence[U8]) -> Sequence[Boxes] | F32:
        """What the model says of pictures that already have its size, uint8 (height, width, 3), blue first.

        A detector gives Boxes for each, a classifier probabilities float32 (n, classes). Raises StageError when the
        model's output holds no numbers, DeviceBusy as Session.run does.
        """
        return self.decoder.decode(self.session.run(to_batch(pictures, self.card)), self.card)


def _probabilities(answer: Sequence[Boxes] | F32) -> F32:
    assert isinstance(answer, np.ndarray)
    return answer


def open_model(services: Services, name: str, *, task: Literal["detect", "classify"]) -> OpenModel:
    """The installed model of this name, loaded and checked.

    Raises ModelError when it is not installed, is for another task, names a decoder that is not there, or has a head
    that its decoder can't read; UnsupportedOpError as Compute.session does.
    """
    card = services.models.card(name)
    if card.task != task:
        raise ModelError(
            _("model {name!r} is for {has!r}, not for {task!r}: see `tigrillo models list`").format(
                name=name, has=card.task, task=task
            )
        )
    known = {key: decoder for key, decoder in services.decoders.items() if decoder.task == task}
    if card.decoder not in known:
        raise ModelError(
            _(
                "model {name!r}: there is no decoder {decoder!r} for {task!r}: "
                "put one of {names} as `decoder` into {path}"
            ).format(
                name=name,
                decoder=card.decoder,
                task=task,
                names=", ".join(sorted(known)) or _("(none is installed)"),
                path=card.folder / "card.toml",
            )
        )
    session = services.compute.session(card)
    known[card.decoder].check(session)
    return OpenModel(card, session, known[card.decoder])


def check_head(session: Session, *, shape: tuple[str | int, ...]) -> None:
    """Check that the first output with as many axes as `shape` has its sizes; a name in `shape` stands for any size.

    Raises ModelError with the model's shapes, the expected one and where to look.
    """
    for found in session.output_shapes:
        if len(found) == len(shape):
            if all(isinstance(want, str) or want == have for want, have in zip(shape, found, strict=True)):
                return
            break
    card = session.card
    has = ", ".join(_written(found) for found in session.output_shapes)
    raise ModelError(
        _(
            "model {name!r}: its output is {has}, decoder {decoder!r} with {count} classes expects {shape}: "
            "correct `decoder` or `classes` in {path}"
        ).format(
            name=card.name,
            has=has,
            decoder=card.decoder,
            count=len(card.classes),
            shape=_written(shape),
            path=card.folder / "card.toml",
        )
    )


def _written(shape: Sequence[str | int | None]) -> str:
    return "(" + ", ".join("n" if side is None else str(side) for side in shape) + ")"
