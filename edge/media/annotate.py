"""Pictures for people: boxes and names drawn in, and a JPEG small enough to be sent."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import simplejpeg

from ..i18n import translate
from ..model import U8, Detection

# Blue, green, red; from Okabe and Ito's palette, whose colours colour-blind people can tell apart.
COLOURS: Final = {"animal": (0, 159, 230), "person": (233, 180, 86), "vehicle": (167, 121, 204)}
TEXT_COLOUR = (0, 0, 0)  # black on any of the three has a contrast above 7 : 1
SHORTEST_SIDE_PX = 360  # of an annotated picture: room for a name of three words beside its box
SMALLEST_TEXT_PX = 12  # below that, accents run into their letters
WEIGHT = 600  # semi-bold: still readable when a mail program shrinks the picture
PICTURE_PER_TEXT = 36  # a letter is this much smaller than the picture's shorter side
PICTURE_PER_LINE = 300  # the same for the lines of a box
LINE_HEIGHT, BASELINE = 1.5, 1.1  # in letter sizes: room for Á above and g below


def annotate(bgr: U8, detections: Sequence[Detection], *, language: str) -> U8:
    """A copy of the picture with each detection's box, name and score drawn in.

    bgr: uint8 (height, width, 3). language: "en" or "es", of the names. Lines and letters grow with the picture, and a
    picture too small for letters is enlarged by a whole factor; labels stay inside it. The surest detection
    is drawn last, on top.
    """
    canvas = _enlarge(bgr)
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


def _enlarge(bgr: U8) -> U8:
    """A copy whose shorter side is long enough for letters; trap clips of 106×60 exist."""
    times = -(-SHORTEST_SIDE_PX // min(bgr.shape[:2]))
    if times <= 1:
        return np.ascontiguousarray(bgr).copy()
    return np.asarray(cv2.resize(bgr, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _draw(canvas: U8, detection: Detection, label: str) -> None:
    height, width = canvas.shape[:2]
    left, top, wide, high = detection.xywh_norm
    line = max(1, round(min(height, width) / PICTURE_PER_LINE))
    x0, y0 = _clamp(left * width, width), _clamp(top * height, height)
    x1, y1 = _clamp((left + wide) * width, width), _clamp((top + high) * height, height)
    colour = COLOURS[detection.category]
    cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, line)
    _write(
        canvas, label, at=(x0, y0), size_px=max(SMALLEST_TEXT_PX, min(height, width) // PICTURE_PER_TEXT), fill=colour
    )


def _write(canvas: U8, label: str, *, at: tuple[int, int], size_px: int, fill: tuple[int, int, int]) -> None:
    """Write a label on a filled bar above the point `at`, or below it where there is no room above."""
    height, width = canvas.shape[:2]
    # OpenCV 5 brings a font with accents; one object a call, because it keeps the state of the last writing
    font, margin = cv2.FontFace("sans"), max(1, size_px // 4)
    _, _, text_width, _ = cv2.getTextSize((0, 0), label, (0, 0), font, size_px, WEIGHT)
    bar_width, bar_height = text_width + 2 * margin, round(size_px * LINE_HEIGHT)
    x, y = at
    left = max(0, min(x, width - bar_width))  # moved left as far as it takes to be read in full
    top = y - bar_height if y >= bar_height else max(0, min(y, height - bar_height))
    cv2.rectangle(canvas, (left, top), (left + bar_width - 1, top + bar_height - 1), fill, cv2.FILLED)
    cv2.putText(canvas, label, (left + margin, top + round(size_px * BASELINE)), TEXT_COLOUR, font, size_px, WEIGHT)


def _clamp(value: float, size: int) -> int:
    return min(max(round(value), 0), size - 1)
