"""When a frame was taken: what the file says, read in the zone where its camera stands.

Cameras have no zone: EXIF holds the clock's face. It is read in the station's zone, unless the camera wrote its offset
too. A time that does not exist (spring) or exists twice (autumn) is read with the offset that held before the change.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed_offset
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from ..model import CaptureTime, Kind
from .exif import ExifDate, read_exif

EXIF_FORMAT = "%Y:%m:%d %H:%M:%S"
# Clocks that were never set give their zero: year 1 or 1904 (QuickTime) or 1970 (Unix).
NEVER_SET_YEAR = 1970


@dataclass(frozen=True, slots=True)
class _Stated:
    """A time as the file states it: its text, and what that is; `when` is naive where no zone was given."""

    text: str
    when: datetime
    origin: Literal["exif", "container"]


def capture_time(path: Path, kind: Kind, *, timezone: str) -> CaptureTime:
    """When the file was taken, by the first of these that makes sense: EXIF or container, then the file's own time.

    timezone: IANA name of the station's zone; clocks without an offset are read in it. A container's time is UTC when
    it says so (some cameras write their local time there and call it UTC; nothing in the file tells them apart).
    A future time is kept: the camera's clock is wrong, and somebody should see that. The time is unknown when the file
    can't be read. Raises zoneinfo.ZoneInfoNotFoundError on a zone that does not exist.
    """
    zone = ZoneInfo(timezone)
    for stated in _from_still(path) if kind == "still" else _from_clip(path):
        try:
            utc = (stated.when if stated.when.tzinfo else stated.when.replace(tzinfo=zone, fold=0)).astimezone(UTC)
        except OverflowError:  # year 1 or 9999, outside of what UTC can hold
            continue
        return CaptureTime(utc, stated.text, timezone, stated.origin)
    try:
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return CaptureTime(None, "", timezone)
    return CaptureTime(modified, "", timezone, "mtime")


def _from_still(path: Path) -> Iterator[_Stated]:
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return
            with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                exif = read_exif(data)
    except OSError:
        return
    for date in exif.dates:
        if (when := _parse(date)) is not None:
            text = f"{date.text} {date.offset}" if when.tzinfo else date.text
            yield _Stated(text, when, "exif")


def _parse(date: ExifDate) -> datetime | None:
    """The date with its fraction and, if it has one, its offset; None for "0000:00:00 00:00:00" and other nonsense."""
    try:
        when = datetime.strptime(date.text, EXIF_FORMAT)  # noqa: DTZ007  # because a camera's clock has no zone
    except ValueError:
        return None
    if when.year <= NEVER_SET_YEAR:
        return None
    if date.fraction.isdecimal():
        when += timedelta(seconds=float(f"0.{date.fraction}"))
    offset = _parse_offset(date.offset)
    return when if offset is None else when.replace(tzinfo=fixed_offset(offset))


def _parse_offset(text: str) -> timedelta | None:
    """Read "+02:00"; None when it is absent or nonsense."""
    try:
        return datetime.strptime(text, "%z").utcoffset() if text else None
    except ValueError:
        return None


def _from_clip(path: Path) -> Iterator[_Stated]:
    import av  # noqa: PLC0415  # because FFmpeg is loaded with the first clip, see opener.py

    from .clips import open_container  # noqa: PLC0415

    try:
        with open_container(path) as container:
            tags = [container.metadata, *(stream.metadata for stream in container.streams.video)]
    except (av.error.FFmpegError, OSError):
        return
    for name in ("com.apple.quicktime.creationdate", "creation_time", "date"):
        for text in (tag[name].strip() for tag in tags if name in tag):
            try:
                when = datetime.fromisoformat(text)
            except ValueError:
                continue
            if when.year > NEVER_SET_YEAR and len(text) > len("YYYY-MM-DD"):  # a day alone is no moment
                yield _Stated(text, when, "container")
