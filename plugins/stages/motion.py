"""Stage `motion`: says what moved since the background was last seen, and rejects clip pictures where nothing did.

Luma plane → small map → brightness taken out → difference to the background, in units of each pixel's own noise →
specks removed → boxes. The background is a running average: of a clip's own pictures, or of a station's recent stills.
How it decides, and where its few numbers come from: docs/motion.md.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Final

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge.api import (
    F32,
    U8,
    Box,
    DeviceBusy,
    DeviceLost,
    Frame,
    MotionRule,
    Picture,
    Scene,
    Seen,
    Services,
    Stage,
    StageSpec,
    VisionCompute,
    hookimpl,
)

Share = Annotated[float, Field(ge=0, le=1)]

SPECK: Final = cv2.getStructuringElement(cv2.MORPH_RECT, (2, 2))  # what is smaller than this on the map is noise
GAP: Final = cv2.getStructuringElement(cv2.MORPH_RECT, (7, 7))  # parts of one animal are no further apart than this
TEXTURE_BLUR: Final = (9, 9)  # brightness that varies more slowly than this is light, faster is the scene
SIGMA_FIRST = 2.0  # noise assumed before any was measured: JPEG blocks after averaging, grey levels
MOST_NOISE = 25.0  # a flickering leaf may not be so noisy that an animal before it is never seen
SIGMA_PER_DEVIATION = 1.25  # standard deviation of a normal distribution by its mean absolute deviation
GAIN_RANGE: Final = (0.5, 2.0)  # auto-exposure between two pictures; beyond it is another scene or another light
LIGHT_JUMP = 20.0  # grey levels from one picture to the next: a lamp or the infrared switch, no cloud
MOVING_RATE = 0.1  # what is still moving is learnt so much more slowly, or a grazing animal would dig its own hole
# Correlation of textures that makes two pictures the same scene. Measured on the shared stills: ≥ 0.92 for a scene
# under another light (gamma, gain, clipped blacks), ≤ 0.41 between scenes; in between lie close animals.
SAME_SCENE = 0.6


class MotionConfig(BaseModel):
    """Options of the stage.

    size_px: width of the map that is compared. threshold: least change, grey levels of 0..255. noise_factor: least
    change, as a multiple of the pixel's own noise. min_area: least share of the picture that a moving thing covers.
    history_s: seconds over which the background is averaged. max_gap_s: a station's background older than that is
    forgotten. light_share: when more of the picture than this changes at once, it is asked whether that was the light.
    gate_clips, gate_stills: whether pictures without motion end their way here, or are only marked.
    max_stations, max_clips: backgrounds kept, about 0.7 MB each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size_px: int = Field(default=320, ge=32, le=1920)
    threshold: float = Field(default=10.0, gt=0, le=255)
    noise_factor: float = Field(default=4.0, gt=0)
    min_area: Share = 0.0004
    history_s: float = Field(default=20.0, gt=0)
    max_gap_s: float = Field(default=600.0, gt=0)
    light_share: Share = 0.4
    gate_clips: bool = True
    gate_stills: bool = False
    max_stations: int = Field(default=64, ge=1)
    max_clips: int = Field(default=16, ge=1)


@dataclass(slots=True, eq=False)
class Background:
    """What a scene looks like when nothing moves.

    mean, noise, last: float32 (rows, columns), grey levels: the average, its deviation, the picture before. seen: how
    many pictures it was made of. at_s: time of the last. scene: where all this is kept on a device instead.
    """

    scene: Scene | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    mean: F32 | None = None
    noise: F32 | None = None
    last: F32 | None = None
    seen: int = 0
    at_s: float = 0.0

    def forget(self) -> None:
        """Start anew with the next picture."""
        self.mean = self.noise = self.last = None
        self.seen = 0
        if self.scene:
            self.scene.forget()


class Recent:
    """The backgrounds used last, at most `bound` of them, by key. May be used from several threads."""

    def __init__(self, bound: int, make: Callable[[], Background] = Background) -> None:
        self._bound, self._make, self._lock = bound, make, threading.Lock()
        self._kept: OrderedDict[str, Background] = OrderedDict()

    def get(self, key: str) -> Background:
        """The background of this key; an empty one if it is new or was dropped."""
        with self._lock:
            background = self._kept.pop(key, None) or self._make()
            self._kept[key] = background  # as the one used last
            if len(self._kept) > self._bound:
                self._kept.popitem(last=False)
            return background


@dataclass(frozen=True, slots=True)
class Motion:
    """The stage at work."""

    config: MotionConfig
    stations: Recent
    clips: Recent

    def __call__(self, frame: Frame) -> Frame:
        """The frame with `moving` set, or rejected with "no motion"; `moving` stays None without a background."""
        spooled, config = frame.spooled, self.config
        is_clip = spooled.kind == "clip"
        if is_clip:
            background, at_s = self.clips.get(f"{spooled.station}/{spooled.id}"), frame.time_s
        elif spooled.captured.utc is None:  # nobody can say whether the background is recent
            return frame
        else:
            background, at_s = self.stations.get(spooled.station), spooled.captured.utc.timestamp()
        small = None if background.scene else self._shrunk(frame.picture)  # here, so that nobody waits for it
        with background.lock:
            if (is_clip and frame.number == 0) or abs(at_s - background.at_s) > config.max_gap_s:
                background.forget()
            if background.scene:
                try:
                    moving = boxes_of(background.scene.look(frame.picture, at_s=at_s), config)
                    background.at_s = at_s
                except (DeviceBusy, DeviceLost):
                    background.scene = None  # what was learnt lay on the device: the host begins anew
            if background.scene is None:
                small = self._shrunk(frame.picture) if small is None else small
                moving = look(background, small, at_s=at_s, config=config)
        if moving is None:
            return frame
        frame = replace(frame, moving=moving)
        gated = config.gate_clips if is_clip else config.gate_stills
        return frame.reject("no motion") if gated and not moving else frame

    def _shrunk(self, picture: Picture) -> F32:
        return shrink(picture.luma(), size_px=self.config.size_px)


def shrink(luma: U8, *, size_px: int) -> F32:
    """The picture averaged over squares of whole pixels to about `size_px` columns; float32 (rows, columns).

    Averaging takes the noise of single pixels out. Columns and rows that fill no square are left out at the right and
    below, less than 1 % of the picture.
    """
    side = max(1, luma.shape[1] // size_px)
    rows, columns = luma.shape[0] // side, luma.shape[1] // side
    luma = luma[: rows * side, : columns * side]
    while side > 1 and side % 2 == 0:  # OpenCV averages 2×2 four times faster than other squares
        side //= 2
        luma = _area(luma, luma.shape[1] // 2, luma.shape[0] // 2)
    return (luma if side == 1 else _area(luma, columns, rows)).astype(np.float32)


def _area(luma: U8, width: int, height: int) -> U8:
    return np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def look(background: Background, small: F32, *, at_s: float, config: MotionConfig) -> tuple[Box, ...] | None:
    """What moved, and learn from the picture. None when there was no background to compare with.

    small: float32 (rows, columns), grey levels. at_s: seconds on any clock that all pictures of this background share.
    Boxes are shares of the picture, largest first; a change of light gives none.
    """
    mean, noise = background.mean, background.noise
    elapsed_s, background.at_s = abs(at_s - background.at_s), at_s
    if mean is None or noise is None or mean.shape != small.shape:
        _learn_anew(background, small)
        return None
    expected = match_light(mean, small)
    difference = np.asarray(cv2.absdiff(small, expected), dtype=np.float32)
    limit = np.clip(noise * np.float32(config.noise_factor), config.threshold, MOST_NOISE * config.noise_factor)
    changed = (difference > limit).astype(np.uint8)
    count = int(cv2.countNonZero(changed))
    if count > config.light_share * changed.size:
        moving = _light_or_scene(mean, small)
        _learn_anew(background, small)
        return moving
    if abs(float(expected.mean() - mean.mean())) > LIGHT_JUMP:
        _learn_anew(background, small)  # what the new light changed unevenly is shown once, not until it is learnt
    else:
        background.mean = expected
        rate = 1.0 - float(np.exp(-elapsed_s / config.history_s))
        _learn(background, small, difference, changed, rate=rate, least=config.threshold)
    return find_boxes(changed, min_area=config.min_area) if count else ()


def boxes_of(seen: Seen | None, config: MotionConfig) -> tuple[Box, ...] | None:
    """What `look` returns, from a device's map of what changed."""
    if seen is None:
        return None
    if seen.maps:
        return _light_or_scene(*seen.maps)
    return find_boxes(seen.changed, min_area=config.min_area) if seen.count else ()


def _light_or_scene(mean: F32, small: F32) -> tuple[Box, ...]:
    """Most of the picture changed: nothing moved if that was the light, else everything."""
    return () if _texture_correlation(mean, small) >= SAME_SCENE else ((0.0, 0.0, 1.0, 1.0),)


def match_light(mean: F32, small: F32) -> F32:
    """The background under the present light: gain · mean + offset, fitted where nothing seems to move.

    Two least-squares fits, the second over the half of the pixels that fitted better, so that an animal has no say.
    Pixels that the light drives into black or white have no say either, and are expected to stay there.
    """
    x, y = mean[::3, ::3].ravel(), small[::3, ::3].ravel()  # a ninth of the pixels says as much
    darkest, brightest = small.min(), small.max()
    inside = (y > darkest + 1) & (y < brightest - 1)
    if inside.mean() > 0.5:
        x, y = x[inside], y[inside]
    gain, offset = _fit(x, y)
    residual = np.abs(y - gain * x - offset)
    fitting = residual <= np.median(residual)
    gain, offset = _fit(x[fitting], y[fitting])
    expected: F32 = np.clip(mean * np.float32(gain) + np.float32(offset), darkest, brightest)
    return expected


def _fit(x: F32, y: F32) -> tuple[float, float]:
    mean_x, mean_y = float(x.mean()), float(y.mean())
    centred = x - mean_x
    spread = float(centred @ centred)
    gain = float(centred @ (y - mean_y)) / spread if spread > x.size else 1.0  # a flat scene has no contrast to fit
    gain = min(max(gain, GAIN_RANGE[0]), GAIN_RANGE[1])
    return gain, mean_y - gain * mean_x


def _texture_correlation(first: F32, second: F32) -> float:
    """How alike two pictures are once the light is taken out, −1..1."""
    one, other = (np.asarray(each - cv2.blur(each, TEXTURE_BLUR)).ravel() for each in (first, second))
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale else 0.0


def _learn_anew(background: Background, small: F32) -> None:
    background.mean, background.last = small.copy(), small  # the mean is changed in place
    background.noise, background.seen = np.full_like(small, SIGMA_FIRST), 1


def _learn(background: Background, small: F32, difference: F32, changed: U8, *, rate: float, least: float) -> None:
    """Move mean and noise towards what was seen.

    What fits the background: as a plain average of all pictures at first, then at `rate`. What changed and now rests (a
    stone that rolled in, the hole that an animal left): at `rate`. What is still moving: slower. Noise is learnt only
    from what fits. changed: 0 or 1.
    """
    mean, noise, last = background.mean, background.noise, background.last
    assert mean is not None
    assert noise is not None
    assert last is not None
    quick, fits = max(rate, 1.0 / (background.seen + 1)), 1 - changed
    cv2.accumulateWeighted(small, mean, quick, mask=fits)
    cv2.accumulateWeighted(difference * np.float32(SIGMA_PER_DEVIATION), noise, quick, mask=fits)
    if changed.any():
        resting = (np.asarray(cv2.absdiff(small, last)) < least).astype(np.uint8) & changed
        cv2.accumulateWeighted(small, mean, rate, mask=resting)
        cv2.accumulateWeighted(small, mean, rate * MOVING_RATE, mask=changed - resting)
    background.last = small
    background.seen += 1


def find_boxes(changed: U8, *, min_area: float) -> tuple[Box, ...]:
    """Boxes around what changed, xywh_norm, largest first. changed: uint8 (rows, columns), 0 or 1."""
    # an opening by hand: OpenCV's own moves the mask by a pixel when the square has no middle
    mask = cv2.dilate(cv2.erode(changed, SPECK, anchor=(1, 1)), SPECK, anchor=(0, 0))
    if not mask.any():
        return ()
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, GAP)
    rows, columns = mask.shape
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    covered = np.bincount(labels[mask > 0].ravel(), minlength=len(stats))  # what changed, not what closing filled
    boxes = [
        (int(covered[index]), (x / columns, y / rows, width / columns, height / rows))
        for index, (x, y, width, height, _) in enumerate(stats.tolist())
        if index and covered[index] >= min_area * mask.size
    ]
    return tuple(box for _, box in sorted(boxes, key=lambda each: -each[0]))


@contextmanager
def build_motion(config: MotionConfig, services: Services) -> Iterator[Stage]:
    """A motion stage with no background yet; they are kept on the device where the models run on one."""
    compute, rule = services.compute, rule_of(config)

    def background() -> Background:
        return Background(scene=compute.scene(rule) if isinstance(compute, VisionCompute) else None)

    yield Motion(config, Recent(config.max_stations, background), Recent(config.max_clips, background))


def rule_of(config: MotionConfig) -> MotionRule:
    """The stage's numbers, as a device needs them."""
    return MotionRule(
        size_px=config.size_px,
        threshold=config.threshold,
        noise_factor=config.noise_factor,
        history_s=config.history_s,
        light_share=config.light_share,
        most_noise=MOST_NOISE,
        sigma_first=SIGMA_FIRST,
        sigma_per_deviation=SIGMA_PER_DEVIATION,
        gain_range=GAIN_RANGE,
        light_jump=LIGHT_JUMP,
        moving_rate=MOVING_RATE,
    )


SPEC: Final = StageSpec(
    "motion", MotionConfig, build_motion, reads=frozenset({"picture"}), writes=frozenset({"moving"})
)


@hookimpl
def tigrillo_stages() -> Iterable[StageSpec[MotionConfig]]:
    """The stage `motion`."""
    return [SPEC]
