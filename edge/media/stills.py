"""Stills: from the bytes of a file to one upright picture, with a word on what could not be read.

JPEG goes through libjpeg-turbo in strict mode, so that a damaged file is noticed, and is then read again
leniently. PNG, TIFF and WEBP (and JPEGs of exotic sampling) go through Pillow. Neither writes to stderr.
"""

import struct
import warnings
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from ..errors import DecodeError
from ..model import U8
from .exif import read_exif

Image.MAX_IMAGE_PIXELS = None  # the header is checked here, against the site's own bound, before anything is decoded
# Pillow tells of odd TIFF tags on stderr; what matters of that comes out as damage or DecodeError.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# Magic numbers, and the name of Pillow's reader: only these four, so that no file can reach a more dangerous one (EPS).
SIGNATURES: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
# What Pillow raises on files that are damaged in places it did not foresee; found by fuzzing (test_media_stills.py).
BROKEN: Final = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, KeyError, IndexError, TypeError,
    AttributeError, OverflowError, RuntimeError, MemoryError,
    UserWarning,  # where Python was told to raise warnings
)  # fmt: skip
MAX_SCANS = 200  # a progressive JPEG has about ten; thousands of them keep a decoder busy for minutes
BYTES_PER_PIXEL = 8  # of an uncompressed 16-bit RGBA file: a larger file is no picture of that many pixels
LEAST_SHARE = 0.01  # of a picture that is worth a word
COPY_AGAIN = "copy it again from the card, or delete it"

# Exif 2.32, orientation: what brings the stored rows and columns upright.
TURNS: Final = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(slots=True, eq=False)
class StillPicture:
    """A decoded still (edge.model.Picture)."""

    pixels: U8
    damage: str = ""
    _luma: U8 | None = field(default=None, repr=False)

    @property
    def width(self) -> int:
        """Pixels across, upright."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels down, upright."""
        return int(self.pixels.shape[0])

    def bgr(self) -> U8:
        """uint8 (height, width, 3), blue first, upright."""
        return self.pixels

    def decoded(self) -> U8:
        """The pixels themselves: brightness is made of them."""
        return self.pixels

    def luma(self) -> U8:
        """uint8 (height, width), 0..255, made on first use."""
        if self._luma is None:
            self._luma = np.asarray(cv2.cvtColor(self.pixels, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        return self._luma


def read_still(path: Path, *, max_pixels: int) -> StillPicture:
    """Read a JPEG, PNG, TIFF or WEBP file into 8-bit BGR, upright; alpha is dropped, 16 bits become 8.

    A file of which a part can be read gives that part, and `damage` says so. Raises DecodeError when nothing can be
    read, when it is none of the four formats, or (before decoding) when its header announces more than `max_pixels`.
    """
    data = _read_file(path, max_bytes=max(1 << 20, max_pixels * BYTES_PER_PIXEL))
    kind = _recognise(data, path)
    pixels, damage = _decode_jpeg(data, path, max_pixels) if kind == "JPEG" else _decode(data, path, kind, max_pixels)
    if damage:
        damage += _missing_rows(pixels, path)
    # Pillow turns a TIFF itself, once it has read all of it
    orientation = 1 if kind == "TIFF" and not damage else read_exif(data).orientation
    return StillPicture(_turn_upright(pixels, orientation), damage)


def _read_file(path: Path, *, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(max_bytes + 1)
    except OSError as exc:
        raise DecodeError(f"{path.name}: can't be read: {exc.strerror}: check the file and its disk") from exc
    if len(head) > max_bytes:
        raise DecodeError(f"{path.name}: larger than {max_bytes} bytes: raise max_pixels, or delete it")
    return head


def _recognise(data: bytes, path: Path) -> str:
    """Name the format by its first bytes; the file's name says nothing reliable."""
    if not data:
        raise DecodeError(f"{path.name}: empty file (0 bytes): {COPY_AGAIN}")
    for magic, kind in SIGNATURES:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise DecodeError(f"{path.name}: not a JPEG, PNG, TIFF or WEBP picture (begins with {data[:8]!r}): {COPY_AGAIN}")


def _check_size(width: int, height: int, path: Path, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise DecodeError(
            f"{path.name}: {width}x{height} pixels, allowed are {max_pixels}: raise max_pixels, or delete it"
        )


def _decode_jpeg(data: bytes, path: Path, max_pixels: int) -> tuple[U8, str]:
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError:  # broken header, or a sampling that TurboJPEG has no name for: Pillow knows more of them
        return _decode(data, path, "JPEG", max_pixels)
    _check_size(width, height, path, max_pixels)
    # FF DA begins a scan and can't occur inside one: FF bytes of data are followed by 00
    if (scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise DecodeError(f"{path.name}: JPEG of {scans} scans, allowed are {MAX_SCANS}: delete it")
    try:
        return simplejpeg.decode_jpeg(data, "BGR"), ""
    except ValueError as exc:
        damage = _jpeg_damage(str(exc))
    try:
        return simplejpeg.decode_jpeg(data, "BGR", strict=False), damage
    except ValueError as exc:
        raise DecodeError(f"{path.name}: JPEG that can't be decoded ({exc}): {COPY_AGAIN}") from exc


def _jpeg_damage(complaint: str) -> str:
    if "Premature end" in complaint:
        return "truncated: the JPEG ends early"
    return f"corrupt data: {complaint.removeprefix('Corrupt JPEG data: ')}"


def _decode(data: bytes, path: Path, kind: str, max_pixels: int) -> tuple[U8, str]:
    """Decode with Pillow, strictly; what was read before an error is kept."""
    try:
        image = Image.open(BytesIO(data), formats=[kind])
    except BROKEN as exc:
        raise DecodeError(
            f"{path.name}: {kind} whose header can't be read, damaged or truncated: {COPY_AGAIN}"
        ) from exc
    with image:
        _check_size(*image.size, path, max_pixels)
        damage = ""
        try:
            image.load()
        except BROKEN as exc:
            damage = _pillow_damage(exc, kind)
            image.tile = []  # nothing left to decode: the rows read so far are the picture
        try:
            return _to_bgr(image), damage
        except BROKEN as exc:
            raise DecodeError(f"{path.name}: {kind} that can't be decoded ({damage or exc}): {COPY_AGAIN}") from exc


def _pillow_damage(exc: Exception, kind: str) -> str:
    if "truncated" in str(exc):
        return f"truncated: the {kind} ends early"
    return f"corrupt data: {exc}"


def _to_bgr(image: Image.Image) -> U8:
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    if image.mode.startswith("I"):  # 16 bits, one channel; 65535 / 257 = 255
        wide = np.asarray(image).astype(np.int64)
        grey = np.clip(wide // 257, 0, 255).astype(np.uint8)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR), dtype=np.uint8)


def _missing_rows(pixels: U8, path: Path) -> str:
    """Say how much of a damaged picture is missing below: decoders leave those rows in one flat colour.

    Raises DecodeError when it is all of it.
    """
    differs = (pixels != pixels[-1, -1]).any(axis=2)
    if differs.mean() < LEAST_SHARE:
        raise DecodeError(f"{path.name}: damaged, nothing of the picture can be read: {COPY_AGAIN}")
    missing = 1 - (int(np.flatnonzero(differs.any(axis=1))[-1]) + 1) / len(pixels)
    return f", the lower {missing:.0%} is missing" if missing >= LEAST_SHARE else ""


def _turn_upright(pixels: U8, orientation: int) -> U8:
    """Undo the EXIF orientation: first the mirroring of 2, 4, 5 and 7, then the turn that is left."""
    if orientation in {2, 4, 5, 7}:
        pixels = np.asarray(cv2.flip(pixels, 1), dtype=np.uint8)
        orientation = {2: 1, 4: 3, 5: 8, 7: 6}[orientation]
    if orientation == 1:
        return pixels
    return np.asarray(cv2.rotate(pixels, TURNS[orientation]), dtype=np.uint8)
