"""The few EXIF fields a trap needs, read without a word on stderr: orientation, dates, camera and maker note.

Own reader, because Pillow's warns on the broken EXIF blocks that cheap cameras write, and because opening a still and
asking for its time need the same five numbers. Works on the bytes of JPEG, PNG, TIFF and WEBP files; whatever is broken
is as good as absent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from struct import Struct
from typing import Final

from .makers import NO_BURST, Burst, camera_name, read_note

Buffer = bytes | mmap

# TIFF 6.0 and Exif 2.32, section 4.6: tags, and the IFD they stand in.
ORIENTATION, DATE_TIME, EXIF_IFD = 0x0112, 0x0132, 0x8769
ORIGINAL, DIGITIZED = 0x9003, 0x9004
# Each date with its sub-seconds and its offset, best first: DateTime is when an editor saved the file.
DATES: Final = ((ORIGINAL, 0x9291, 0x9011), (DIGITIZED, 0x9292, 0x9012), (DATE_TIME, 0x9290, 0x9010))
MAKE, MODEL, BODY_SERIAL, MAKER_NOTE = 0x010F, 0x0110, 0xA431, 0x927C
ASCII, SHORT, LONG, UNDEFINED = 2, 3, 4, 7
SIZES: Final = {ASCII: 1, SHORT: 2, LONG: 4}
MAX_TEXT_BYTES = 64  # the longest text read here is "YYYY:MM:DD HH:MM:SS"
NOTE_BYTES = 256  # what is read of a maker note: all that is known here stands at its begin
MAX_BLOCK_BYTES = 1 << 16  # a JPEG segment can't be longer
MAX_PARTS = 4096  # segments or chunks looked at; a damaged file can't keep us busy


@dataclass(frozen=True, slots=True)
class ExifDate:
    """A date as the camera wrote it: "2021:05:31 08:25:38", fractions "25" or "", offset "+02:00" or ""."""

    text: str
    fraction: str = ""
    offset: str = ""


@dataclass(frozen=True, slots=True)
class Exif:
    """orientation: 1..8 as in Exif 2.32, 1 is upright. dates: those present, the moment of the shot first.

    camera: make, model and serial number, as far as they are told. burst: which picture of which trigger.
    """

    orientation: int = 1
    dates: tuple[ExifDate, ...] = ()
    camera: str = ""
    burst: Burst = NO_BURST


def read_exif(data: Buffer) -> Exif:
    """What the EXIF block of a picture file says; the defaults where there is none or it is broken."""
    start = _find_tiff(data)
    if start < 0:
        return Exif()
    return _read_tiff(data[start : start + MAX_BLOCK_BYTES] if start else data)


def _find_tiff(data: Buffer) -> int:
    """Where the TIFF structure begins in a JPEG, PNG, WEBP or TIFF; -1 when there is none."""
    if data[:4] in {b"II*\0", b"MM\0*"}:
        return 0
    if data[:2] == b"\xff\xd8":
        parts = _jpeg_segments(data)
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        parts = _chunks(data, at=8, order=">", name_first=False, extra=4)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        parts = _chunks(data, at=12, order="<", name_first=True, extra=0)
    else:
        return -1
    for name, at in parts:
        block = at + 6 if data[at : at + 6] == b"Exif\0\0" else at
        if name in {b"\xe1", b"eXIf", b"EXIF"} and data[block : block + 4] in {b"II*\0", b"MM\0*"}:
            return block
    return -1


def _jpeg_segments(data: Buffer) -> Iterator[tuple[bytes, int]]:
    at = 2
    for _ in range(MAX_PARTS):
        if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] in {0xD9, 0xDA}:  # end of image, start of scan
            return
        yield bytes(data[at + 1 : at + 2]), at + 4
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))


def _chunks(data: Buffer, *, at: int, order: str, name_first: bool, extra: int) -> Iterator[tuple[bytes, int]]:
    """Chunks of PNG (length, name, body, CRC) and RIFF (name, length, body padded to even): name, start of the body."""
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        first, second = bytes(data[at : at + 4]), bytes(data[at + 4 : at + 8])
        name, length = (first, second) if name_first else (second, first)
        size = int.from_bytes(length, "big" if order == ">" else "little")
        yield name, at + 8
        at += 8 + size + (size & 1 if name_first else 0) + extra


def _read_tiff(tiff: Buffer) -> Exif:
    order = "<" if tiff[:2] == b"II" else ">"
    fields = _read_ifd(tiff, at=_number(tiff, at=4, size=4, order=order), order=order)
    if isinstance(inner := fields.get(EXIF_IFD), int):
        fields = {**_read_ifd(tiff, at=inner, order=order), **fields}
    orientation = fields.get(ORIENTATION, 1)
    dates = tuple(
        ExifDate(text, _text(fields.get(fraction)), _text(fields.get(offset)))
        for tag, fraction, offset in DATES
        if (text := _text(fields.get(tag)))
    )
    note = fields.get(MAKER_NOTE)
    burst, serial = read_note(note) if isinstance(note, bytes) else (NO_BURST, "")
    camera = camera_name(_text(fields.get(MAKE)), _text(fields.get(MODEL)), serial or _text(fields.get(BODY_SERIAL)))
    return Exif(orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1, dates, camera, burst)


def _read_ifd(tiff: Buffer, *, at: int, order: str) -> dict[int, int | str | bytes]:
    """Numbers and short texts of one directory, by tag; the begin of its maker note."""
    entry = Struct(f"{order}HHI4s")
    fields: dict[int, int | str | bytes] = {}
    for index in range(_number(tiff, at=at, size=2, order=order)):
        where = at + 2 + index * entry.size
        if where + entry.size > len(tiff):
            break
        tag, kind, count, inline = entry.unpack(tiff[where : where + entry.size])
        if kind == ASCII and count <= MAX_TEXT_BYTES:
            offset = _number(inline, at=0, size=4, order=order)
            raw = inline[:count] if count <= 4 else tiff[offset : offset + count]
            fields[tag] = raw.split(b"\0")[0].decode("ascii", "replace").strip()
        elif kind in {SHORT, LONG} and count == 1:
            fields[tag] = _number(inline, at=0, size=SIZES[kind], order=order)
        elif kind == UNDEFINED and tag == MAKER_NOTE and count > 4:
            offset = _number(inline, at=0, size=4, order=order)
            fields[tag] = bytes(tiff[offset : offset + min(count, NOTE_BYTES)])
    return fields


def _number(data: Buffer, *, at: int, size: int, order: str) -> int:
    return int.from_bytes(data[at : at + size], "little" if order == "<" else "big")


def _text(value: int | str | bytes | None) -> str:
    return value if isinstance(value, str) else ""
