"""Stage `classify`: says for each box what is in it. Frame with detections → frame with classified detections.

Box → square crop → model, all boxes of a frame at once → probabilities of all classes that are not negligible.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge.api import (
    F32,
    Category,
    Classification,
    Detection,
    Frame,
    ModelError,
    OpenModel,
    Services,
    Stage,
    StageSpec,
    _,
    hookimpl,
    open_model,
)

CROPS_AT_ONCE = 16  # bounds memory: a herd of 100 must not ask for 100 pictures' worth of activations


class ClassifyConfig(BaseModel):
    """Options of the stage.

    model: name of an installed classifier. min_score: boxes at or above are classified. categories: boxes of which
    kinds. keep: probabilities below are dropped; the rollup sums the long tail up the tree, so keep it small.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "efficientnet-lite0"
    min_score: float = Field(default=0.2, ge=0, le=1)
    categories: tuple[Category, ...] = ("animal",)
    keep: float = Field(default=0.0005, ge=0, le=1)


@dataclass(frozen=True, slots=True)
class Classify:
    """A classifier at work. config: which boxes, and how much of the answer to keep."""

    model: OpenModel
    config: ClassifyConfig

    def __call__(self, frame: Frame) -> Frame:
        """The frame with `classifications` set on each box that is likely enough and of a wanted category."""
        chosen = [number for number, detection in enumerate(frame.detections) if self._wants(detection)]
        detections = list(frame.detections)
        for start in range(0, len(chosen), CROPS_AT_ONCE):
            numbers = chosen[start : start + CROPS_AT_ONCE]
            answers = self.model.classify(frame.picture, [detections[number].xywh_norm for number in numbers])
            for number, row in zip(numbers, answers, strict=True):
                detections[number] = replace(detections[number], classifications=self._likely(row))
        return replace(frame, detections=tuple(detections)) if chosen else frame

    def _wants(self, detection: Detection) -> bool:
        return detection.score >= self.config.min_score and detection.category in self.config.categories

    def _likely(self, row: F32) -> tuple[Classification, ...]:
        """The classes of one box that are at least `keep` likely, most likely first."""
        order = np.argsort(-row, kind="stable")[: np.count_nonzero(row >= self.config.keep)]
        return tuple(Classification(self.model.card.classes[number], float(row[number])) for number in order)


@contextmanager
def build(config: ClassifyConfig, services: Services) -> Iterator[Stage]:
    """Load the classifier. Raises ModelError as open_model does, and when the classifier takes no square crop."""
    model = open_model(services, config.model, task="classify")
    height, width = model.card.input_hw
    if model.card.resize != "square-crop" or height != width:
        raise ModelError(
            _(
                "model {name!r}: `resize` is {resize!r} and `input_hw` {height}, {width} in {path}, a "
                "classifier needs square-crop and a square input"
            ).format(
                name=config.model,
                resize=model.card.resize,
                height=height,
                width=width,
                path=model.card.folder / "card.toml",
            )
        )
    yield Classify(model, config)


@hookimpl
def tigrillo_stages() -> Iterable[StageSpec[ClassifyConfig]]:
    """The stage `classify`."""
    uses = frozenset({"picture", "detections"})
    return [StageSpec("classify", ClassifyConfig, build, reads=uses, writes=frozenset({"detections"}))]
