"""Pictures for people: boxes and names drawn in, and a JPEG small enough to be sent."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import simplejpeg
from PIL import Image, ImageDraw, ImageFont

from ..i18n import translate
from ..model import U8, Detection

# Blue, green, red; from Okabe and Ito's palette, whose colours colour-blind people can tell apart.
COLOURS: Final = {"animal": (0, 159, 230), "person": (233, 180, 86), "vehicle": (167, 121, 204)}
TEXT_COLOUR = (0, 0, 0)  # black on any of the three has a contrast above 7 : 1
SMALLEST_TEXT_PX = 10  # below that, accents run into their letters
PICTURE_PER_TEXT = 40  # a letter is this much smaller than the picture's shorter side
PICTURE_PER_LINE = 300  # the same for the lines of a box


def annotate(bgr: U8, detections: Sequence[Detection], *, language: str) -> U8:
    """A copy of the picture with each detection's box, name and score drawn in.

    bgr: uint8 (height, width, 3). language: "en" or "es", of the names. Lines and letters grow with the picture; labels
    stay inside it. The surest detection is drawn last, on top.
    """
    canvas = np.ascontiguousarray(bgr).copy()
    for detection in sorted(detections, key=lambda each: each.score):
        _draw(canvas, detection, label_of(detection, language=language))
    return canvas


def label_of(detection: Detection, *, language: str) -> str:
    """What a person reads about a detection: "gray fox 93 %", or "animal 80 %" while nothing finer is known."""
    if detection.answer is not None:
        return f"{detection.answer.taxon.name(language)} {detection.answer.score:.0%}"
    return f"{translate(detection.category, language)} {detection.score:.0%}"


def jpeg(bgr: U8, *, quality: int, max_side_px: int) -> bytes:
    """The picture as a JPEG, made smaller where its longer side exceeds `max_side_px`. quality: 1..100."""
    height, width = bgr.shape[:2]
    scale = max_side_px / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        bgr = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(bgr), quality=quality, colorspace="BGR"))


def _draw(canvas: U8, detection: Detection, label: str) -> None:
    height, width = canvas.shape[:2]
    left, top, wide, high = detection.xywh_norm
    line = max(1, round(min(height, width) / PICTURE_PER_LINE))
    x0, y0 = _clamp(left * width, width), _clamp(top * height, height)
    x1, y1 = _clamp((left + wide) * width, width), _clamp((top + high) * height, height)
    colour = COLOURS[detection.category]
    cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, line)
    text = _text(label, max(SMALLEST_TEXT_PX, min(height, width) // PICTURE_PER_TEXT))[:height, :width]
    # above the box, else inside its upper edge; moved left as far as it takes to be read in full
    at_y = y0 - len(text) if y0 >= len(text) else min(y0, height - len(text))
    at_x = min(x0, width - text.shape[1])
    patch = canvas[at_y : at_y + text.shape[0], at_x : at_x + text.shape[1]]
    ink = text[..., None].astype(np.float32) / 255
    patch[:] = (np.array(colour) * (1 - ink) + np.array(TEXT_COLOUR) * ink).round().astype(np.uint8)


def _clamp(value: float, size: int) -> int:
    return min(max(round(value), 0), size - 1)


@lru_cache(maxsize=16)  # one a picture size; a site has few
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)  # comes inside Pillow and has the accents that OpenCV's letters lack


def _text(label: str, size_px: int) -> U8:
    """The label as ink, uint8 (rows, columns), 255 where a letter is; with a margin all around."""
    font, margin = _font(size_px), max(1, size_px // 5)
    _, _, right, bottom = font.getbbox(label)
    image = Image.new("L", (int(right) + 2 * margin, int(bottom) + 2 * margin))
    ImageDraw.Draw(image).text((margin, margin), label, font=font, fill=255)
    return np.asarray(image)
