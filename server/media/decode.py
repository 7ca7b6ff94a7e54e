"""One picture of a frame's file as pixels, no larger than needed: a page shows a fraction of what a camera took.

JPEGs are decoded at a half, a quarter or an eighth where that is enough (libjpeg's scaled DCT), clips from the key
picture before the moment that is wanted.
"""

from pathlib import Path
from threading import Lock
from typing import Final

import av
import cv2
import numpy as np
import simplejpeg

from edge.errors import DecodeError
from edge.media.clips import ClipPicture, open_clip, open_container
from edge.media.exif import read_exif
from edge.media.opener import FileMedia
from edge.media.stills import MAX_SCANS, TURNS, read_still
from edge.model import U8

from .known import Known

SCALES: Final = frozenset({"YCbCr", "Gray", "RGB"})  # colour spaces that TurboJPEG turns into BGR
LARGE_BYTES = 200_000_000  # of a file that is read into memory at once
_whole = Lock()  # pictures that can't be decoded smaller: 120 megapixels are 360 MB, once but not twice


def pixels_of(known: Known, number: int, *, width: int, media: FileMedia) -> U8:
    """Picture `number` as uint8 (height, width, 3), blue first, upright, as wide as asked for or less.

    Raises DecodeError when the file is gone, damaged beyond use, or larger than `media.max_pixels`.
    """
    if known.kind == "clip":
        return fitted(_of_clip(known, number, media), width)
    small = _small_jpeg(known.path, width, media.max_pixels)
    if small is not None:
        return fitted(small, width)
    with _whole:
        return fitted(read_still(known.path, max_pixels=media.max_pixels).bgr(), width)


def fitted(bgr: U8, width: int) -> U8:
    """The picture no wider than `width` and no higher than twice that."""
    rows, columns = bgr.shape[:2]
    scale = min(width / columns, 2 * width / rows)
    if scale >= 1:
        return bgr
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8)


def _small_jpeg(path: Path, width: int, max_pixels: int) -> U8 | None:
    """A whole, sound JPEG at a fraction of its size; None for everything else, which `read_still` deals with."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGE_BYTES + 1)
        if not data.startswith(b"\xff\xd8\xff") or len(data) > LARGE_BYTES or data.count(b"\xff\xda") > MAX_SCANS:
            return None
        high, wide, colours, _sampling = simplejpeg.decode_jpeg_header(data)
        if high * wide > max_pixels or colours not in SCALES:
            return None
        orientation = read_exif(data).orientation
        # TurboJPEG takes the smallest of its sizes that is not below these; 5 to 8 lie on a side: rows become columns
        least = {"min_height": width} if orientation >= 5 else {"min_width": width}
        bgr = simplejpeg.decode_jpeg(data, "BGR", **least)
    except (OSError, ValueError):
        return None
    return _upright(np.asarray(bgr, np.uint8), orientation)


def _upright(bgr: U8, orientation: int) -> U8:
    """As edge/media/stills.py does it."""
    if orientation in {2, 4, 5, 7}:
        bgr = np.asarray(cv2.flip(bgr, 1), np.uint8)
        orientation = {2: 1, 4: 3, 5: 8, 7: 6}[orientation]
    return bgr if orientation == 1 else np.asarray(cv2.rotate(bgr, TURNS[orientation]), np.uint8)


def _of_clip(known: Known, number: int, media: FileMedia) -> U8:
    time_s = known.time_of(number) or 0.0
    found = _sought(known.path, time_s, media.max_pixels) if time_s > 0 else None
    if found is not None:
        return found
    with open_clip(known.path, sample_fps=None, max_pixels=media.max_pixels, threads=media.threads) as clip:
        for at, _time_s, picture in clip:
            if at >= number:
                return picture.bgr()
    raise DecodeError(f"{known.path.name}: picture {number} is not in it any more")


def _sought(path: Path, time_s: float, max_pixels: int) -> U8 | None:
    """The picture at a time, decoded from the key picture before it; None where the container can't seek so exactly."""
    try:
        with open_container(path) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            if not rate or stream.width * stream.height > max_pixels:
                return None
            stream.codec_context.options = {"max_pixels": str(max_pixels)}
            first = next(container.decode(stream), None)
            if first is None or first.time is None:
                return None
            wanted_s, slack_s = first.time + time_s, 0.5 / rate
            container.seek(round((wanted_s - slack_s) * av.time_base), backward=True)
            for frame in container.decode(stream):
                if frame.time is None or frame.time > wanted_s + slack_s:
                    return None
                if abs(frame.time - wanted_s) < slack_s:
                    return ClipPicture(frame).bgr()
    except (av.error.FFmpegError, OSError, ValueError, IndexError):
        return None
    return None
