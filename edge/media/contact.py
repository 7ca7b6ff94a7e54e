"""A contact sheet: square cuttings with a line or two below each, in rows, as one picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..model import U8, Box
from .annotate import WEIGHT

TILE_PX = 240
TEXT_PX = 15
LINES = 2
GAP_PX = 6
COLUMNS = 5
MARGIN = 0.15  # around a box, of its longer side
LEAST_PX = 32
PAPER, INK = 255, (30, 30, 30)


@dataclass(frozen=True, slots=True)
class Tile:
    """bgr: uint8 (side, side, 3). lines: what stands below it."""

    bgr: U8
    lines: Sequence[str]


def cutting(bgr: U8, box: Box) -> U8:
    """The square around a box (xywh_norm), with a margin, TILE_PX each way; grey beyond the picture's edge."""
    height, width = bgr.shape[:2]
    left, top, wide, high = box
    side = max(LEAST_PX, round(max(wide * width, high * height) * (1 + 2 * MARGIN)))
    x0, y0 = round((left + wide / 2) * width - side / 2), round((top + high / 2) * height - side / 2)
    canvas = np.full((side, side, 3), 128, np.uint8)
    low, high_y = max(y0, 0), min(y0 + side, height)
    first, last = max(x0, 0), min(x0 + side, width)
    if low < high_y and first < last:
        canvas[low - y0 : high_y - y0, first - x0 : last - x0] = bgr[low:high_y, first:last]
    way = cv2.INTER_AREA if side > TILE_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(canvas, (TILE_PX, TILE_PX), interpolation=way), np.uint8)


def contact_sheet(rows: Sequence[Sequence[Tile]]) -> U8:
    """The tiles, each row begun anew and broken after COLUMNS; uint8 (height, width, 3)."""
    lines = [row[start : start + COLUMNS] for row in rows for start in range(0, len(row), COLUMNS)]
    high = TILE_PX + round(LINES * TEXT_PX * 1.5) + GAP_PX
    columns = max((len(line) for line in lines), default=1)
    sheet = np.full((len(lines) * high + GAP_PX, columns * (TILE_PX + GAP_PX) + GAP_PX, 3), PAPER, np.uint8)
    font = cv2.FontFace("sans")
    for down, line in enumerate(lines):
        for across, tile in enumerate(line):
            x, y = GAP_PX + across * (TILE_PX + GAP_PX), GAP_PX + down * high
            sheet[y : y + TILE_PX, x : x + TILE_PX] = tile.bgr
            for number, text in enumerate(tile.lines[:LINES]):
                at = (x, y + TILE_PX + round((number + 1.1) * TEXT_PX * 1.3))
                cv2.putText(sheet, _fitting(text, font), at, INK, font, TEXT_PX, WEIGHT)
    return sheet


def _fitting(text: str, font: cv2.FontFace) -> str:
    """As much of the text as a tile is wide."""
    while len(text) > 1 and cv2.getTextSize((0, 0), text, (0, 0), font, TEXT_PX, WEIGHT)[2] > TILE_PX:
        text = text.removesuffix("…")[:-1] + "…"
    return text
