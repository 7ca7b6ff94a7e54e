"""A suspect's contact sheet: the same piece of the picture at many times, with dates, as one JPEG to judge by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from ..errors import DecodeError
from ..i18n import _
from ..media.annotate import COLOURS, jpeg
from ..media.blurred import hide_people, pixels
from ..model import U8, Box, Category, Detection, Kind
from ..services import Media

MOST_TILES, COLUMNS = 24, 6
TILE_PX, TEXT_PX, GAP_PX = 220, 26, 4
AROUND = 0.6  # of the box's longer side, shown at each side of it: what it is shows by what it lies on
LEAST_SHARE = 0.12  # of the picture, shown across
SIZE_PX = 15
QUALITY = 85
BACKGROUND, GONE, INK = 245, 215, (60, 60, 60)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture. number: of the picture in its clip. box: xywh_norm. others: all detections of the picture."""

    path: Path
    kind: Kind
    number: int
    at: datetime
    box: Box
    others: Sequence[Detection] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """shown: how many pictures are on it. gone: how many of the pictures could not be read any more."""

    jpeg: bytes
    shown: int
    gone: int


def contact_sheet(media: Media, shots: Sequence[Shot], *, category: Category) -> Sheet:
    """The shots as tiles in their order, people made unrecognisable; a picture that can't be read says so in its place.

    shots: MOST_TILES at most, `at` in the zone that is to be shown. All tiles show the same piece of the picture, as
    large as the largest box needs, so that what moves is seen to move.
    """
    shots = shots[:MOST_TILES]
    wide = min(COLUMNS, max(1, len(shots)))
    rows = -(-max(1, len(shots)) // wide)
    step_y, step_x = TILE_PX + TEXT_PX + GAP_PX, TILE_PX + GAP_PX
    canvas = np.full((rows * step_y + GAP_PX, wide * step_x + GAP_PX, 3), BACKGROUND, dtype=np.uint8)
    gone = 0
    for number, shot in enumerate(shots):
        y, x = GAP_PX + number // wide * step_y, GAP_PX + number % wide * step_x
        try:
            tile = _tile(media, shot, category)
        except DecodeError:
            tile, gone = _gone(), gone + 1
        canvas[y : y + TILE_PX, x : x + TILE_PX] = tile
        _write(canvas, f"{shot.at:%Y-%m-%d %H:%M}", x, y + TILE_PX)
    return Sheet(jpeg(canvas, quality=QUALITY, max_side_px=max(canvas.shape[:2])), len(shots) - gone, gone)


def _tile(media: Media, shot: Shot, category: Category) -> U8:
    with media.open(shot.path, shot.kind) as clip:
        for number, _time_s, picture in clip:
            if number == shot.number:
                return _cut(hide_people(picture.bgr(), shot.others), shot.box, category)
    raise DecodeError(f"{shot.path.name}: picture {shot.number} is not in it any more")


def _cut(bgr: U8, box: Box, category: Category) -> U8:
    """The square around a box, TILE_PX wide, with the box drawn in. What lies outside the picture is grey."""
    height, width = bgr.shape[:2]
    x0, y0, x1, y1 = pixels(box, width, height)
    side = max(round(max(x1 - x0, y1 - y0) * (1 + 2 * AROUND)), round(LEAST_SHARE * max(width, height)), 8)
    left, top = (x0 + x1 - side) // 2, (y0 + y1 - side) // 2
    square = np.full((side, side, 3), GONE, dtype=np.uint8)
    from_x, from_y, to_x, to_y = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    square[from_y - top : to_y - top, from_x - left : to_x - left] = bgr[from_y:to_y, from_x:to_x]
    way = cv2.INTER_AREA if side > TILE_PX else cv2.INTER_LINEAR
    tile = np.asarray(cv2.resize(square, (TILE_PX, TILE_PX), interpolation=way), dtype=np.uint8)
    scale = TILE_PX / side
    corners = [round((each - start) * scale) for each, start in ((x0, left), (y0, top), (x1, left), (y1, top))]
    cv2.rectangle(tile, (corners[0], corners[1]), (corners[2], corners[3]), COLOURS[category], 1)
    return tile


def _gone() -> U8:
    tile = np.full((TILE_PX, TILE_PX, 3), GONE, dtype=np.uint8)
    _write(tile, _("the file is gone"), 0, TILE_PX // 2 - TEXT_PX // 2)
    return tile


def _write(canvas: U8, text: str, x: int, y: int) -> None:
    """Text in the middle of a tile's width."""
    font = cv2.FontFace("sans")
    _box, _baseline, wide, _rest = cv2.getTextSize((0, 0), text, (0, 0), font, SIZE_PX, 400)
    cv2.putText(canvas, text, (x + (TILE_PX - wide) // 2, y + round(TEXT_PX * 0.7)), INK, font, SIZE_PX, 400)
