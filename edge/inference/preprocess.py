"""From a picture to what a model takes: letterbox, square crop, batch."""

from collections.abc import Sequence

import cv2
import numpy as np

from ..model import F32, U8, Box, Card
from ..placement import Anchor, Placement, square_span


def letterbox(bgr: U8, *, size_hw: tuple[int, int], fill: int, anchor: Anchor) -> tuple[U8, Placement]:
    """The picture as large as it goes into size_hw with its proportions kept, the rest in grey `fill`.

    bgr: uint8 (height, width, 3). Returns uint8 (*size_hw, 3) and where the picture lies in it. anchor "topleft" leaves
    the border right and below (YOLOX), "centre" all around (YOLOv5, YOLOv8).
    """
    placement = Placement.letterboxed((bgr.shape[0], bgr.shape[1]), size_hw=size_hw, anchor=anchor)
    height, width = placement.new_hw
    rows, columns = (slice(placement.top, placement.top + height), slice(placement.left, placement.left + width))
    sheet = np.full((*size_hw, 3), fill, np.uint8)
    sheet[rows, columns] = resize(bgr, size_hw=(height, width))
    return sheet, placement


def square_crop(bgr: U8, xywh_norm: Box, *, margin: float, size_px: int) -> U8:
    """A square around a box, uint8 (size_px, size_px, 3).

    margin: share of the longer side that is added to it. Where the square leaves the picture it is cut, and what is
    left is stretched: what the default classifier was tried with.
    """
    x0, y0, x1, y1 = square_span((bgr.shape[0], bgr.shape[1]), xywh_norm, margin=margin)
    return resize(bgr[y0:y1, x0:x1], size_hw=(size_px, size_px))


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
