"""Movement in the camera's own small picture, in pure Python.

Each look compares about 64 × 36 grey pixels with a background that follows slowly. What it costs stands in
docs/agent-hardware.md; the camera must run all the time for it, which costs far more (see "Power" there).
"""

from collections.abc import Callable

from ..cameras.base import Luma
from ..hardware_config import MotionSettings
from .base import Now

FOLLOW = 0.1  # share of the new picture in the background, each look
LIGHT = 0.8  # when more of the picture changed than this, the light did


class Motion:
    """Fires when at least `changed` of the pixels differ from the background by `difference` grey levels.

    The mean brightness is taken out first, so that clouds and the camera's own exposure do not count.
    """

    name = "motion"

    def __init__(self, settings: MotionSettings, *, luma: Callable[[], Luma | None]) -> None:
        self.active = settings.active
        self._settings = settings
        self._luma = luma
        self._background: list[float] = []
        self._looked_at: float | None = None
        self._fired_at: float | None = None

    def start(self, wake: Callable[[], None]) -> None:
        """The camera is opened by whoever owns it."""

    def poll(self, now: Now) -> bool:
        """Look, when it is time, and compare; see Trigger."""
        if self._looked_at is not None and now.steady_s - self._looked_at < self._settings.every_s:
            return False
        self._looked_at = now.steady_s
        seen = self._luma()
        if seen is None:
            return False
        share = self.changed_share(seen)
        if share is None or not self._settings.changed <= share <= LIGHT:
            return False
        if self._fired_at is not None and now.steady_s - self._fired_at < self._settings.hold_off_s:
            return False
        self._fired_at = now.steady_s
        return True

    def wait_s(self, now: Now) -> float | None:
        """Until the next look."""
        return 0.0 if self._looked_at is None else max(0.0, self._looked_at + self._settings.every_s - now.steady_s)

    def captured(self) -> None:
        """Begin anew: the lamp was on, or exposure changed."""
        self._background = []

    def close(self) -> None:
        """Nothing to give back."""

    def changed_share(self, seen: Luma) -> float | None:
        """Share of pixels that moved, 0 to 1, and let the background follow; None for the first picture."""
        mean = seen.mean
        pixels = [value - mean for value in seen.pixels]
        if len(self._background) != len(pixels):
            self._background = pixels
            return None
        pairs = list(zip(pixels, self._background, strict=True))
        limit = self._settings.difference
        count = sum(1 for new, old in pairs if not -limit < new - old < limit)
        share = count / len(pixels)
        self._background = pixels if share > LIGHT else [old + FOLLOW * (new - old) for new, old in pairs]
        return share
