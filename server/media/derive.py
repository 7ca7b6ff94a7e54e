"""Pixels → the WebP a page shows, in three sizes, people hidden.

Sizes and qualities were chosen on the stills of shared/media: thumb 11.5 kB, card 37 kB, view 125 kB (medians); method
4 takes 9 and 45 ms for the small ones, which are made once and sent often, method 2 half as long for the large.
"""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import cv2
import numpy as np
from PIL import Image

from edge.media.blurred import hide_people
from edge.media.opener import FileMedia
from edge.model import U8

from .decode import pixels_of
from .known import Known

VERSION = 1  # of how pictures are made: another one makes all of them anew
CELLS_ACROSS = 8  # what is left of a picture on which people are somewhere: light and colour, and no shape of anybody


@dataclass(frozen=True, slots=True)
class Size:
    """width: pixels, at most. quality, method: of WebP."""

    width: int
    quality: int
    method: int


SIZES: Final = {"thumb": Size(320, 50, 4), "card": Size(640, 50, 4), "view": Size(1280, 50, 2)}


def key_of(known: Known, size: str, number: int) -> str:
    """What names a derived picture: another one whenever its file, or what is hidden on it, is another."""
    boxes = [each.xywh_norm for each in known.people_at(number)]
    facts = (VERSION, known.sha256, known.path.name, size, number, known.everything, boxes)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:20]


def derived(known: Known, size: str, number: int, *, media: FileMedia, open_: bool = False) -> bytes:
    """A picture as WebP. open_: without hiding anybody, for those who may see people. Raises DecodeError."""
    wanted = SIZES[size]
    bgr = pixels_of(known, number, width=wanted.width, media=media)
    if not open_:
        bgr = nothing_of(bgr) if known.everything else hide_people(bgr, known.people_at(number))
    return webp(bgr, wanted)


def nothing_of(bgr: U8) -> U8:
    """A picture of which a few smooth patches are left: nobody knows where on it the people are."""
    rows, columns = bgr.shape[:2]
    cells = (CELLS_ACROSS, max(1, round(CELLS_ACROSS * rows / columns)))
    mosaic = cv2.resize(bgr, cells, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(mosaic, (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8)


def webp(bgr: U8, size: Size) -> bytes:
    """As WebP, without EXIF."""
    file = BytesIO()
    image = Image.fromarray(np.ascontiguousarray(bgr[:, :, ::-1]))
    image.save(file, "WEBP", quality=size.quality, method=size.method)
    return file.getvalue()
