"""The picture that goes out with a notice: the best of several, people made unrecognisable, small enough to be sent.

Candidates → those that can be read → people blurred → the best by score, size and sharpness → box, name and, when the
animal is small, an inset that shows it larger → a JPEG within the channel's limits, without EXIF.

The whole picture is sent, so that the place can be recognised. Only within tiny limits it is cropped to the animal and
its surroundings, for there a whole picture would show nothing of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ..errors import DecodeError
from ..model import U8, Box, Detection, Kind, Picture
from ..notices import PictureLimits
from ..services import Media
from .annotate import COLOURS, SHORTEST_SIDE_PX, annotate, jpeg
from .blurred import HIDDEN, hide_people, pixels

MOST_DECODED = 3  # of an encounter: pictures of 12 megapixels are 36 MB each
SHARPNESS_SIDE_PX = 128  # of a box when its sharpness is measured: larger boxes are no sharper for being larger
SHARP_VARIANCE = 100.0  # of the Laplacian; what is customarily taken for the border between blurred and sharp
LEAST_SHARPNESS = 0.2  # a blurred picture still counts for what its box is worth

SMALL_SHARE = 1 / 6  # an animal's box whose longer side is less of the picture's shorter one gets an inset …
INSET_SHARE = 0.35  # … of this share of that side, in the corner across: so it covers neither the box nor its name
INSET_MARGIN = 0.2  # around the box, of its longer side
LEAST_INSET_PX = 48  # of the original that an inset shows: a box of ten pixels magnified is a riddle

TINY = PictureLimits(max_bytes=64_000, max_side_px=480)  # below one of these the picture is cropped
CROP_MARGIN = 0.75  # around the box, of its longer side
LEAST_CROP_PX = 160

QUALITIES = (85, 72, 58)  # of a JPEG, before the picture is made smaller
SMALLER = 0.75
SMALLEST_SIDE_PX = 48


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that could go out. number: of the picture in its clip, 0 for a still. detection: what it is about.

    others: all detections of that picture, however sure; people among them are blurred.
    """

    path: Path
    kind: Kind
    number: int
    detection: Detection
    others: Sequence[Detection] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Shot:
    """A candidate's picture as it may be shown. bgr: uint8 (height, width, 3). hidden: its detection is blurred."""

    bgr: U8
    detection: Detection
    damaged: bool
    hidden: bool


def alert_picture(
    media: Media, candidates: Sequence[Candidate], *, language: str, limits: PictureLimits, blur_people: bool
) -> bytes:
    """The best candidate's picture as a JPEG within `limits`, with box and name.

    language: "en" or "es", of the name. blur_people: also the person that the notice is about. The three of the
    largest score × area are read and compared, the next ones only when none of those can be read; a damaged file is
    taken when nothing else can be. Raises DecodeError when no candidate can be read, or nothing fits the limits.
    """
    waiting = sorted(candidates, key=lambda each: each.detection.score * _area(each.detection.xywh_norm), reverse=True)
    reasons: list[str] = []
    while waiting:
        few, waiting = waiting[:MOST_DECODED], waiting[MOST_DECODED:]
        if shots := list(_shots(media, few, reasons, blur_people=blur_people)):
            return _fitted(max(shots, key=_worth), language=language, limits=limits)
    raise DecodeError(reasons[0] if reasons else "there is no picture to choose from")


def sharpness(bgr: U8, box: Box) -> float:
    """How sharp a box of a picture is, 0..1: 0.5 at a variance of its Laplacian of 100.

    The box is brought to one size first. Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield
    microscopy".
    """
    x0, y0, x1, y1 = pixels(box, bgr.shape[1], bgr.shape[0])
    if x1 <= x0 or y1 <= y0:
        return 0.0
    grey = cv2.cvtColor(np.ascontiguousarray(bgr[y0:y1, x0:x1]), cv2.COLOR_BGR2GRAY)
    scale = SHARPNESS_SIDE_PX / max(grey.shape)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    variance = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    return variance / (variance + SHARP_VARIANCE)


def _shots(media: Media, candidates: Sequence[Candidate], reasons: list[str], *, blur_people: bool) -> Iterator[_Shot]:
    """Those that can be read; each file is opened once. reasons: gets why the others can't."""
    by_file: dict[tuple[Path, Kind], list[Candidate]] = {}
    for each in candidates:
        by_file.setdefault((each.path, each.kind), []).append(each)
    for (path, kind), wanted in by_file.items():
        missing = {each.number for each in wanted}
        try:
            with media.open(path, kind) as clip:
                for number, _time_s, picture in clip:
                    for each in wanted:
                        if each.number == number:
                            yield _shot(picture, each, blur_people=blur_people)
                    missing.discard(number)
                    if not missing:
                        break
        except DecodeError as exc:
            reasons.append(str(exc))
            continue
        reasons += [f"{path.name}: picture {number} is not in it any more" for number in sorted(missing)]


def _shot(picture: Picture, candidate: Candidate, *, blur_people: bool) -> _Shot:
    bgr, detection = picture.bgr(), candidate.detection
    if blur_people:
        bgr = hide_people(bgr, (detection, *candidate.others))
    return _Shot(bgr, detection, bool(picture.damage), blur_people and detection.category in HIDDEN)


def _worth(shot: _Shot) -> tuple[bool, float]:
    """Undamaged ones first; then score × length of the box × sharpness of what will be seen of it."""
    detection = shot.detection
    seen = LEAST_SHARPNESS + (1 - LEAST_SHARPNESS) * sharpness(shot.bgr, detection.xywh_norm)
    # length, not area: twice as near is worth twice, and not a blurred rump that fills the picture
    return not shot.damaged, float(detection.score * _area(detection.xywh_norm) ** 0.5 * seen)


def _fitted(shot: _Shot, *, language: str, limits: PictureLimits) -> bytes:
    """The shot drawn and encoded within the limits: first less quality, then smaller, drawn anew for each size."""
    if limits.max_bytes < TINY.max_bytes or limits.max_side_px < TINY.max_side_px:
        shot = _cropped(shot)
    shorter, longer = sorted(shot.bgr.shape[:2])
    side_px = min(limits.max_side_px, round(longer * max(1, SHORTEST_SIDE_PX / shorter)))  # room for letters
    while True:
        drawn = annotate(_with_inset(shot, side_px), [shot.detection], language=language)
        for quality in QUALITIES:
            if len(body := jpeg(drawn, quality=quality, max_side_px=side_px)) <= limits.max_bytes:
                return body
        if side_px <= SMALLEST_SIDE_PX:
            raise DecodeError(f"no picture fits into {limits.max_bytes} bytes: raise the channel's limit")
        side_px = max(SMALLEST_SIDE_PX, round(side_px * SMALLER))


def _with_inset(shot: _Shot, side_px: int) -> U8:
    """The shot's picture, its longer side `side_px`, with a magnified copy of a small box in the corner across."""
    height, width = shot.bgr.shape[:2]
    scale = side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = _resized(shot.bgr, size)
    left, top, wide, high = shot.detection.xywh_norm
    if shot.hidden or max(wide * width, high * height) >= SMALL_SHARE * min(width, height):
        return canvas
    x0, y0, x1, y1 = _square(shot, _side(shot, margin=INSET_MARGIN, least_px=LEAST_INSET_PX))
    edge = round(INSET_SHARE * min(size))
    border = max(1, edge // 60)
    inner = max(1, edge - 2 * border)
    magnified = _resized(shot.bgr[y0:y1, x0:x1], (inner, inner))
    x = canvas.shape[1] - edge if left + wide / 2 < 0.5 else 0
    y = canvas.shape[0] - edge if top + high / 2 < 0.5 else 0
    canvas[y : y + edge, x : x + edge] = COLOURS[shot.detection.category]
    canvas[y + border : y + border + inner, x + border : x + border + inner] = magnified
    return canvas


def _resized(bgr: U8, size: tuple[int, int]) -> U8:
    """size: width, height. A copy, never the picture itself."""
    way = cv2.INTER_AREA if size[0] < bgr.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(bgr, size, interpolation=way), dtype=np.uint8)


def _cropped(shot: _Shot) -> _Shot:
    """The square around the box, which is told anew in shares of it; all of the picture where that is larger."""
    height, width = shot.bgr.shape[:2]
    side = _side(shot, margin=CROP_MARGIN, least_px=LEAST_CROP_PX)
    if side >= min(height, width):
        return shot
    x0, y0, x1, y1 = _square(shot, side)
    left, top, wide, high = shot.detection.xywh_norm
    box = ((left * width - x0) / side, (top * height - y0) / side, wide * width / side, high * height / side)
    return replace(shot, bgr=shot.bgr[y0:y1, x0:x1], detection=replace(shot.detection, xywh_norm=box))


def _side(shot: _Shot, *, margin: float, least_px: int) -> int:
    """Pixels: the longer side of the shot's box with a margin, of that side, at both ends."""
    height, width = shot.bgr.shape[:2]
    _left, _top, wide, high = shot.detection.xywh_norm
    longer: float = max(wide * width, high * height)
    return max(least_px, round(longer * (1 + 2 * margin)))


def _square(shot: _Shot, side: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 in pixels: a square around the shot's box, moved into the picture, and no larger than that."""
    height, width = shot.bgr.shape[:2]
    left, top, wide, high = shot.detection.xywh_norm
    side = max(1, min(side, width, height))
    x0 = min(max(0, round((left + wide / 2) * width - side / 2)), width - side)
    y0 = min(max(0, round((top + high / 2) * height - side / 2)), height - side)
    return x0, y0, x0 + side, y0 + side


def _area(box: Box) -> float:
    return max(0.0, box[2]) * max(0.0, box[3])
