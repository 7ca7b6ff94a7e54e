"""What a camera's clock says and what it means: reading its face, and corrections of clocks that were wrong. Pure.

A correction changes no frame's `said_utc` and no text of a file: what it makes of them can be worked out again at any
time, so that it can be undone.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_S = 86_400.0
LONGEST_TEXT = 64
# EXIF has colons everywhere and seconds; some cameras write other dashes, or leave the seconds out.
_FACE = re.compile(
    r"(\d{4})[:/.-](\d\d?)[:/.-](\d\d?)[ T]+(\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?\s*(Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?([0-5]\d))?", re.ASCII)
MOST_OFFSET_H = 14  # Line Islands


def read_face(text: str) -> datetime | None:
    """The time of "2021:05:31 08:25:38", also without seconds, with other dashes, with a fraction or an offset.

    Naive where the text has no offset. None for what is no moment: "0000:00:00 00:00:00", a day alone, nonsense.
    """
    found = _FACE.fullmatch(text[:LONGEST_TEXT].strip())
    if found is None:
        return None
    *fields, fraction, offset = found.groups()
    try:
        year, month, day, hour, minute, second = (int(each or 0) for each in fields)
        face = datetime(year, month, day, hour, minute, second, int((fraction or "0").ljust(6, "0")))  # noqa: DTZ001  # because a camera's clock has no zone
        return face if offset is None else face.replace(tzinfo=UTC if offset == "Z" else _fixed(offset))
    except ValueError:
        return None


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name or of an offset, "America/Bogota", "-05:00", "UTC-5". Raises ValueError."""
    if _OFFSET.fullmatch(name):
        return _fixed(name)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as exc:  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"no zone {name!r}") from exc


@lru_cache(maxsize=256)
def _fixed(text: str) -> tzinfo:
    found = _OFFSET.fullmatch(text)
    if found is None or int(found[2]) > MOST_OFFSET_H:
        raise ValueError(f"no offset {text!r}")
    size = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return timezone(size if found[1] == "+" else -size)


@dataclass(frozen=True, slots=True)
class Correction:
    """What is wrong with a camera's clock, for frames whose said time lies in since … until (None: no end; both count).

    Either an offset, seconds to be added, which grows by drift_s_per_day from `anchor` on; or `timezone`, in which the
    camera's own text is read anew. pk: 0 while it is not kept. All moments aware.
    """

    station: str
    since: datetime | None = None
    until: datetime | None = None
    offset_s: float = 0.0
    anchor: datetime | None = None
    drift_s_per_day: float = 0.0
    timezone: str = ""
    pk: int = 0

    def covers(self, said: datetime) -> bool:
        """Whether it is about a frame of this said time."""
        return (self.since is None or self.since <= said) and (self.until is None or said <= self.until)

    def shift_s(self, said: datetime) -> float:
        """Seconds that its offset and drift add to a said time."""
        days = (said - self.anchor).total_seconds() / DAY_S if self.anchor and self.drift_s_per_day else 0.0
        return self.offset_s + self.drift_s_per_day * days


def corrected(said: datetime, original: str, corrections: Iterable[Correction]) -> datetime:
    """The right time of a frame: what its clock said, with all corrections that cover it.

    original: the camera's own text; one without a time, or with an offset of its own, is not read anew: the file knows
    its zone better. Offsets add up; of several zones the last counts. corrections: of the frame's station, in the order
    in which they were made. A time that would fall out of the calendar stays as it was said.
    """
    shift_s, base = 0.0, said
    for each in corrections:
        if not each.covers(said):
            continue
        if each.timezone:
            base = _in_zone(said, original, each.timezone)
        else:
            shift_s += each.shift_s(said)
    try:
        return base + timedelta(seconds=shift_s)
    except OverflowError:
        return said


def _in_zone(said: datetime, original: str, zone: str) -> datetime:
    face = read_face(original)
    if face is None or face.tzinfo is not None:
        return said
    try:
        # the text has no fraction of a second; what was said has
        meant = face.replace(tzinfo=zone_of(zone), fold=0, microsecond=face.microsecond or said.microsecond)
        return meant.astimezone(UTC)
    except (OverflowError, ValueError):
        return said
