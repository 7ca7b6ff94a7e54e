"""Stage `lens-cap`: a picture without any contrast (leaf, frost, hand, lid before the lens) ends its way here.

Frame in → the same Frame, or the Frame rejected with the contrast that was measured.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from edge.api import Frame, Services, Stage, StageSpec, hookimpl


class LensCapConfig(BaseModel):
    """What may stand below `use: lens-cap`. min_contrast: standard deviation of the brightness, 0..128."""

    model_config = ConfigDict(extra="forbid")
    min_contrast: float = Field(default=4.0, ge=0, le=128)


@dataclass(frozen=True, slots=True)
class LensCap:
    """The stage; it keeps nothing from one picture to the next, so any thread may call it."""

    min_contrast: float

    def __call__(self, frame: Frame) -> Frame:
        """The frame as it was, or rejected when its contrast is below the limit."""
        contrast = float(frame.picture.luma().std())
        if contrast < self.min_contrast:
            return frame.reject(f"lens covered: contrast {contrast:.1f} is below {self.min_contrast:g}")
        return frame


def build(config: LensCapConfig, services: Services) -> AbstractContextManager[Stage]:
    """The stage for one site; nothing to close, hence nullcontext."""
    services.log.debug("lens-cap.ready", min_contrast=config.min_contrast)
    return nullcontext(LensCap(config.min_contrast))


SPEC = StageSpec(name="lens-cap", config=LensCapConfig, build=build)


@hookimpl
def tigrillo_stages() -> list[StageSpec[LensCapConfig]]:
    """The stages of this plugin."""
    return [SPEC]
