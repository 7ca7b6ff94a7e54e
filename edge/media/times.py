"""When a frame was taken, and by which camera: what the file says, read in the zone where its camera stands.

Cameras have no zone: EXIF holds the clock's face. It is read in the station's zone, unless the camera wrote its offset
too. A time that does not exist (spring) or exists twice (autumn) is read with the offset that held before the change.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed_offset
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from ..camera_clock import read_face
from ..model import CaptureTime, Kind
from .exif import Exif, ExifDate, read_exif
from .makers import camera_name

UNSET = re.compile(r"[0 :/-]+")  # Exif 2.32, 4.6.5: blanks where the time is unknown; cameras write zeros

# Clocks that were never set give the zero of their count: year 0, 1 or 1904 (QuickTime). 1970 (Unix) is kept: a camera
# that began there and ran on can be put right (docs/field-data.md); the zero itself, in a container, is what programs
# write that know no time.
FIRST_YEAR = 1970
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Stated:
    """A time as the file states it: its text, and what that is; `when` is naive where no zone was given."""

    text: str
    when: datetime
    origin: Literal["exif", "container"]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file says of its making: when, by which camera, and which picture of which trigger it is."""

    captured: CaptureTime
    camera: str = ""
    burst: str = ""
    burst_number: int | None = None


def capture_time(path: Path, kind: Kind, *, timezone: str) -> CaptureTime:
    """When the file was taken; see `file_facts`."""
    return file_facts(path, kind, timezone=timezone).captured


def file_facts(path: Path, kind: Kind, *, timezone: str) -> FileFacts:
    """When the file was taken, by the first of these that makes sense: EXIF or container, then the file's own time.

    timezone: IANA name of the station's zone; clocks without an offset are read in it. A container's time is UTC when
    it says so (some cameras write their local time there and call it UTC; nothing in the file tells them apart).
    A future time is kept: the camera's clock is wrong, and somebody should see that. The time is unknown when the file
    can't be read, and when its EXIF says that the camera knew none ("0000:00:00 00:00:00"): a file's own time is by
    the same clock. Raises zoneinfo.ZoneInfoNotFoundError on a zone that does not exist.
    """
    zone = ZoneInfo(timezone)
    exif = _read_still(path) if kind == "still" else Exif()
    clip, camera = _read_clip(path) if kind == "clip" else ((), exif.camera)
    facts = FileFacts(CaptureTime(None, timezone=timezone), camera, exif.burst.name, exif.burst.number)
    for stated in clip if kind == "clip" else _dates(exif):
        try:
            utc = (stated.when if stated.when.tzinfo else stated.when.replace(tzinfo=zone, fold=0)).astimezone(UTC)
        except OverflowError:  # year 1 or 9999, outside of what UTC can hold
            continue
        return replace(facts, captured=CaptureTime(utc, stated.text, timezone, stated.origin))
    if unset := next((date.text for date in exif.dates if UNSET.fullmatch(date.text)), ""):
        return replace(facts, captured=CaptureTime(None, unset, timezone))
    try:
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return facts
    return replace(facts, captured=CaptureTime(modified, "", timezone, "mtime"))


def _read_still(path: Path) -> Exif:
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return Exif()
            with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                return read_exif(data)
    except OSError:
        return Exif()


def _dates(exif: Exif) -> Iterator[_Stated]:
    for date in exif.dates:
        if (when := _parse(date)) is not None:
            text = f"{date.text} {date.offset}" if when.tzinfo and date.offset else date.text
            yield _Stated(text, when, "exif")


def _parse(date: ExifDate) -> datetime | None:
    """The date with its fraction and, if it has one, its offset; None for "0000:00:00 00:00:00" and other nonsense."""
    when = read_face(date.text)
    if when is None or when.year < FIRST_YEAR:
        return None
    if date.fraction.isdecimal():
        when = when.replace(microsecond=int(date.fraction[:6].ljust(6, "0")))
    offset = _parse_offset(date.offset)
    return when if offset is None else when.replace(tzinfo=fixed_offset(offset))


def _parse_offset(text: str) -> timedelta | None:
    """Read "+02:00"; None when it is absent or nonsense."""
    try:
        return datetime.strptime(text, "%z").utcoffset() if text else None
    except ValueError:
        return None


def _read_clip(path: Path) -> tuple[tuple[_Stated, ...], str]:
    """The times that a clip states, best first, and its camera."""
    import av  # noqa: PLC0415  # because FFmpeg is loaded with the first clip, see opener.py

    from .clips import open_container  # noqa: PLC0415

    try:
        with open_container(path) as container:
            tags = [container.metadata, *(stream.metadata for stream in container.streams.video)]
    except (av.error.FFmpegError, OSError):
        return (), ""
    make, model = (
        next((tag[name] for tag in tags for name in (f"com.apple.quicktime.{what}", what) if name in tag), "")
        for what in ("make", "model")
    )
    return tuple(_from_tags(tags)), camera_name(make, model, "")


def _from_tags(tags: Sequence[Mapping[str, str]]) -> Iterator[_Stated]:
    for name in ("com.apple.quicktime.creationdate", "creation_time", "date"):
        for text in (tag[name].strip() for tag in tags if name in tag):
            try:
                when = datetime.fromisoformat(text)
            except ValueError:
                continue
            if when.year < FIRST_YEAR or when.replace(tzinfo=when.tzinfo or UTC) == EPOCH:
                continue
            if len(text) > len("YYYY-MM-DD"):  # a day alone is no moment
                yield _Stated(text, when, "container")
