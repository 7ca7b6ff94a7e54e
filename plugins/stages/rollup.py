"""Stage `rollup`: says what each box is, at the finest level that is sure enough. Classifications → answer.

Probabilities of a box's classes → summed up the tree of life → the finest taxon at or above `min_score`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.api import Detection, Frame, Services, Stage, StageError, StageSpec, Taxonomy, hookimpl, load_taxonomy


def _known(name: str) -> str:
    load_taxonomy(name)  # its ValueError names those there are
    return name


class RollupConfig(BaseModel):
    """Options of the stage.

    taxonomy: the table that knows the classifier's classes; the classifier's card names it. min_score: summed
    probability from which a level counts as sure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    taxonomy: Annotated[str, AfterValidator(_known)] = "imagenet"
    min_score: float = Field(default=0.65, gt=0, le=1)


@dataclass(frozen=True, slots=True)
class Rollup:
    """A taxonomy at work."""

    taxonomy: Taxonomy
    min_score: float

    def __call__(self, frame: Frame) -> Frame:
        """The frame with an answer for each classified box; boxes that no classifier has seen stay as they are.

        A box has no answer when not even "it is an animal" reaches `min_score`; its category still says animal, as the
        detector saw it. Raises StageError when a class is not in the taxonomy.
        """
        if not any(detection.classifications for detection in frame.detections):
            return frame
        return replace(frame, detections=tuple(self._answered(detection) for detection in frame.detections))

    def _answered(self, detection: Detection) -> Detection:
        if not detection.classifications:
            return detection
        try:
            answer = self.taxonomy.rollup(detection.classifications, min_score=self.min_score)
        except ValueError as exc:
            raise StageError(f"rollup: {exc}") from exc
        return replace(detection, answer=answer)


@contextmanager
def build(config: RollupConfig, _services: Services) -> Iterator[Stage]:
    """Load the taxonomy."""
    yield Rollup(load_taxonomy(config.taxonomy), config.min_score)


@hookimpl
def tigrillo_stages() -> Iterable[StageSpec[RollupConfig]]:
    """The stage `rollup`."""
    uses = frozenset({"detections"})
    return [StageSpec("rollup", RollupConfig, build, reads=uses, writes=uses)]
