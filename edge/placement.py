"""Where a picture, or a part of it, goes in a model's input: the arithmetic alone, for every path that moves pixels."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from .model import F32, Box

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

    @classmethod
    def letterboxed(cls, picture_hw: tuple[int, int], *, size_hw: tuple[int, int], anchor: Anchor) -> Self:
        """As large as the picture goes into size_hw with its proportions kept.

        anchor "topleft" leaves the border right and below (YOLOX), "centre" all around (YOLOv5, YOLOv8).
        """
        height, width = picture_hw
        ratio = min(size_hw[0] / height, size_hw[1] / width)
        new_height, new_width = max(1, round(height * ratio)), max(1, round(width * ratio))
        free_y, free_x = size_hw[0] - new_height, size_hw[1] - new_width
        top, left = (0, 0) if anchor == "topleft" else (free_y // 2, free_x // 2)
        return cls(picture_hw, new_width / width, new_height / height, left, top)

    @property
    def new_hw(self) -> tuple[int, int]:
        """Height, width of the picture in the input."""
        height, width = self.picture_hw
        return round(height * self.scale_y), round(width * self.scale_x)

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


def square_span(picture_hw: tuple[int, int], xywh_norm: Box, *, margin: float) -> tuple[int, int, int, int]:
    """Whole pixels x0, y0, x1, y1 of a square around a box, at least one each way.

    margin: share of the longer side that is added to it. Where the square leaves the picture it is cut.
    """
    height, width = picture_hw
    left, top, wide, high = xywh_norm
    half = max(wide * width, high * height) * (1 + margin) / 2
    centre_x, centre_y = (left + wide / 2) * width, (top + high / 2) * height
    x0, x1 = _span(centre_x - half, centre_x + half, limit=width)
    y0, y1 = _span(centre_y - half, centre_y + half, limit=height)
    return x0, y0, x1, y1


def _span(start: float, stop: float, *, limit: int) -> tuple[int, int]:
    """Whole pixels from start to stop within 0..limit, at least one."""
    first = min(max(round(start), 0), limit - 1)
    return first, max(min(round(stop), limit), first + 1)


def halvings(picture_hw: tuple[int, int], size_hw: tuple[int, int]) -> int:
    """How often a picture is halved before the last step of making it smaller: while it is twice as large both ways."""
    (height, width), (new_height, new_width) = picture_hw, size_hw
    return max(0, min(height // new_height, width // new_width).bit_length() - 1)
