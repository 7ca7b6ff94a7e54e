"""From a picture to what a model takes: letterbox, square crop, batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from ..model import F32, U8, Box, Card

Anchor = Literal["topleft", "centre"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in a model's input: pixel (x, y) of it at (left + x * scale_x, top + y * scale_y).

    picture_hw: height, width of the picture in pixels. The two scales differ by less than a pixel's rounding.
    """

    picture_hw: tuple[int, int]
    scale_x: float
    scale_y: float
    left: int
    top: int

    def to_xywh_norm(self, xyxy_px: F32) -> list[Box]:
        """Boxes of the input, (n, 4) pixels, as shares of the picture, clipped to it.

        A box that lies in the border alone comes back without an area.
        """
        height, width = self.picture_hw
        offset = np.array([self.left, self.top] * 2, np.float64)
        size = np.array([self.scale_x * width, self.scale_y * height] * 2, np.float64)
        corners = np.clip((xyxy_px - offset) / size, 0.0, 1.0)
        corners[:, 2:] -= corners[:, :2]
        return [(left, top, wide, high) for left, top, wide, high in corners.tolist()]


def letterbox(bgr: U8, *, size_hw: tuple[int, int], fill: int, anchor: Anchor) -> tuple[U8, Placement]:
    """The picture as large as it goes into size_hw with its proportions kept, the rest in grey `fill`.

    bgr: uint8 (height, width, 3). Returns uint8 (*size_hw, 3) and where the picture lies in it. anchor "topleft" leaves
    the border right and below (YOLOX), "centre" all around (YOLOv5, YOLOv8).
    """
    height, width = bgr.shape[:2]
    ratio = min(size_hw[0] / height, size_hw[1] / width)
    new_height, new_width = max(1, round(height * ratio)), max(1, round(width * ratio))
    free_y, free_x = size_hw[0] - new_height, size_hw[1] - new_width
    top, left = (0, 0) if anchor == "topleft" else (free_y // 2, free_x // 2)
    sheet = np.full((*size_hw, 3), fill, np.uint8)
    sheet[top : top + new_height, left : left + new_width] = resize(bgr, size_hw=(new_height, new_width))
    return sheet, Placement((height, width), new_width / width, new_height / height, left, top)


def square_crop(bgr: U8, xywh_norm: Box, *, margin: float, size_px: int) -> U8:
    """A square around a box, uint8 (size_px, size_px, 3).

    margin: share of the longer side that is added to it. Where the square leaves the picture it is cut, and what is
    left is stretched: what the default classifier was tried with.
    """
    height, width = bgr.shape[:2]
    left, top, wide, high = xywh_norm
    half = max(wide * width, high * height) * (1 + margin) / 2
    centre_x, centre_y = (left + wide / 2) * width, (top + high / 2) * height
    x0, x1 = _span(centre_x - half, centre_x + half, limit=width)
    y0, y1 = _span(centre_y - half, centre_y + half, limit=height)
    return resize(bgr[y0:y1, x0:x1], size_hw=(size_px, size_px))


def _span(start: float, stop: float, *, limit: int) -> tuple[int, int]:
    """Whole pixels from start to stop within 0..limit, at least one."""
    first = min(max(round(start), 0), limit - 1)
    return first, max(min(round(stop), limit), first + 1)


def resize(bgr: U8, *, size_hw: tuple[int, int]) -> U8:
    """The picture in another size: pixels averaged on the way down, interpolated on the way up.

    Averaging matters: with INTER_LINEAR two of 13 labelled animals in ../shared/media/stills fall below 0.2.
    Cubic on the way up, as the default detector's publisher does it: 143 of 149 boxes agree with his on 30 pictures of
    a 320×180 clip (IoU ≥ 0.9), 113 of 154 with INTER_LINEAR.
    """
    # Halving first is what OpenCV does fast: 4000×3000 to 640×480 in 10 ms, not 36; 2048×1536 in 7, not 16 (one core,
    # OpenCV 5.0, 2026-11), with the same animals found. An odd last row or column does not count.
    while bgr.shape[0] >= 2 * size_hw[0] and bgr.shape[1] >= 2 * size_hw[1]:
        height, width = bgr.shape[0] // 2, bgr.shape[1] // 2
        bgr = _scale(bgr[: 2 * height, : 2 * width], size_hw=(height, width), way=cv2.INTER_AREA)
    if bgr.shape[:2] == size_hw:
        return bgr
    smaller = size_hw[0] < bgr.shape[0] or size_hw[1] < bgr.shape[1]
    return _scale(bgr, size_hw=size_hw, way=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def _scale(bgr: U8, *, size_hw: tuple[int, int], way: int) -> U8:
    return np.asarray(cv2.resize(bgr, size_hw[::-1], interpolation=way), dtype=np.uint8)


def to_batch(pictures: Sequence[U8], card: Card) -> F32:
    """Pictures of the card's size as the model takes them: float32 (n, 3, height, width).

    pictures: uint8 (height, width, 3), blue first. Channels come in the card's order, scaled as (v - mean) / std.
    """
    batch: F32 = np.empty((len(pictures), 3, *card.input_hw), np.float32)
    order = slice(None, None, -1) if card.colour == "rgb" else slice(None)
    for picture, planes in zip(pictures, batch, strict=True):
        # Split first: 0.8 ms for 640×640, against 1.3 from the strided picture and 4.9 by cv2.dnn.blobFromImage
        # (OpenCV 5.0, one core, 2026-11).
        for plane, channel, mean, std in zip(planes, cv2.split(picture)[order], card.mean, card.std, strict=True):
            np.multiply(channel, np.float32(1 / std), out=plane, dtype=np.float32)
            np.subtract(plane, np.float32(mean / std), out=plane)
    return batch
