"""Stage `detect`: finds animals, and people and vehicles where the model knows them. Frame → frame with detections.

Picture → letterbox → model → decoder → NMS within each class → boxes as shares of the picture. Where the model knows no
people, a second one that does may look as well: the site's `people: {look_with: …}`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge.api import (
    Boxes,
    Card,
    Detection,
    Frame,
    ModelError,
    OpenModel,
    Placement,
    Services,
    Stage,
    StageSpec,
    _,
    hookimpl,
    nms_by_class,
    open_model,
)


class DetectConfig(BaseModel):
    """Options of the stage.

    model: name of an installed detector. min_score: boxes below are dropped; None takes the card's own threshold.
    max_detections: the best so many are kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "megadetector-lite"
    min_score: Annotated[float, Field(ge=0, le=1)] | None = None
    max_detections: int = Field(default=100, ge=1)


@dataclass(frozen=True, slots=True)
class Detect:
    """A detector at work. The model's card has the threshold in force.

    beside: the detector that looks for people and vehicles, None when the first finds them or nobody does.
    """

    model: OpenModel
    max_detections: int
    beside: OpenModel | None = None

    def __call__(self, frame: Frame) -> Frame:
        """The frame with what the model sees added to its detections, best score first."""
        boxes, placement = self.model.find(frame.picture)
        found = to_detections(boxes, placement, self.model.card)[: self.max_detections]
        people = self._people(frame)[: self.max_detections]
        together = sorted((*frame.detections, *found, *people), key=lambda detection: -detection.score)
        return replace(frame, detections=tuple(together))

    def _people(self, frame: Frame) -> list[Detection]:
        """People and vehicles that the second model sees, as far as the first knows no such category."""
        if self.beside is None:
            return []
        boxes, placement = self.beside.find(frame.picture)
        missing = {"person", "vehicle"} - set(self.model.card.categories.values())
        return [each for each in to_detections(boxes, placement, self.beside.card) if each.category in missing]


def to_detections(boxes: Boxes, placement: Placement, card: Card) -> list[Detection]:
    """What NMS leaves, best score first, as far as its class has a category and its box touches the picture."""
    kept = nms_by_class(boxes, iou=card.nms_iou)
    places = placement.to_xywh_norm(boxes.xyxy_px[kept])
    detections = []
    for index, xywh_norm in zip(kept, places, strict=True):
        label = card.classes[boxes.classes[index]]
        category = card.categories.get(label)
        if category is not None and xywh_norm[2] > 0 and xywh_norm[3] > 0:
            detections.append(Detection(category, float(boxes.scores[index]), xywh_norm, label))
    return detections


@contextmanager
def build(config: DetectConfig, services: Services) -> Iterator[Stage]:
    """Load the detector, and a second one where the site has one look for people.

    Raises ModelError as open_model does, and when a detector's card has no letterbox.
    """
    model = _open(config.model, services)
    second = services.used_models.get("people", "")
    beside = _open(second, services) if second and second != config.model else None
    if config.min_score is not None:
        model = replace(model, card=replace(model.card, min_score=config.min_score))
    yield Detect(model, config.max_detections, beside)


def _open(name: str, services: Services) -> OpenModel:
    model = open_model(services, name, task="detect")
    if not model.card.resize.startswith("letterbox"):
        raise ModelError(
            _(
                "model {name!r}: `resize` is {resize!r} in {path}, a detector needs letterbox-topleft or "
                "letterbox-centre"
            ).format(name=name, resize=model.card.resize, path=model.card.folder / "card.toml")
        )
    return model


@hookimpl
def tigrillo_stages() -> Iterable[StageSpec[DetectConfig]]:
    """The stage `detect`."""
    return [StageSpec("detect", DetectConfig, build, reads=frozenset({"picture"}), writes=frozenset({"detections"}))]
