"""When: hours of the local day, weekdays, and how high the sun stands. Pure: the moment comes in by argument.

All of it is meant at the station: hours are wall-clock hours in its zone, so that after a change to summer time "18:00"
is what the clock on the wall shows then; an hour that the clock shows twice counts twice, one that it skips never.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..i18n import _, mark
from ..models.taxa import fold
from ..sunlight import HORIZON_DEG, TWILIGHT_DEG

Phase = Literal["day", "night", "twilight"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAY_MIN = 24 * 60
SPAN = re.compile(r"\s*(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})\s*", re.ASCII)
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # as datetime.weekday() counts
WEEKDAY_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "mon": mark("Monday"),
        "tue": mark("Tuesday"),
        "wed": mark("Wednesday"),
        "thu": mark("Thursday"),
        "fri": mark("Friday"),
        "sat": mark("Saturday"),
        "sun": mark("Sunday"),
    }
)
SPANISH_DAYS = ("lunes", "martes", "miercoles", "jueves", "viernes", "sabado", "domingo")


@dataclass(frozen=True, slots=True)
class Span:
    """Hours of a day, in minutes since midnight: start counts, end does not. It goes over midnight when end < start."""

    start_min: int
    end_min: int

    def __contains__(self, minute: int) -> bool:
        if self.start_min < self.end_min:
            return self.start_min <= minute < self.end_min
        return minute >= self.start_min or minute < self.end_min

    def __str__(self) -> str:
        start, end = (f"{each // 60:02}:{each % 60:02}" for each in (self.start_min, self.end_min))
        return f"{start}-{end}"


@lru_cache(maxsize=1024)
def parse_span(text: str) -> Span:
    """The hours of "18:00-06:00". Raises ValueError saying what is impossible; 24:00 is an end, never a start."""
    found = SPAN.fullmatch(text)
    if found is None:
        raise ValueError(_("{text!r}: write hours as '18:00-06:00'").format(text=text[:40]))
    (start_h, start_m), (end_h, end_m) = ((int(found[1]), int(found[2])), (int(found[3]), int(found[4])))
    start, end = start_h * 60 + start_m, end_h * 60 + end_m
    if max(start_m, end_m) > 59 or start >= DAY_MIN or end > DAY_MIN:
        raise ValueError(_("{text!r}: a day's hours are 00:00 to 24:00").format(text=text[:40]))
    if start == end:
        text_ = _("{text!r} begins and ends at once: write '00:00-24:00' for all day, or leave it out")
        raise ValueError(text_.format(text=text[:40]))
    return Span(start, end)


def parse_weekday(text: str) -> Weekday:
    """The day of "fri", "Friday", "vie" or "viernes": "fri". Raises ValueError naming what there is."""
    name = fold(text)
    for day, spanish in zip(WEEKDAYS, SPANISH_DAYS, strict=True):
        if name in {day, fold(WEEKDAY_NAMES[day]), spanish, spanish[:3]}:
            return day
    text_ = _("{text!r} is no weekday: there are mon, tue, wed, thu, fri, sat, sun (or lun, mar, mié, jue, …)")
    raise ValueError(text_.format(text=text[:40]))


def local_time(at: datetime, timezone: str) -> datetime | None:
    """The moment on the wall clock of an IANA zone; None for a zone that this system does not know."""
    zone = _zone(timezone)
    try:
        return at.astimezone(zone) if zone else None
    except (OverflowError, ValueError):  # year 1 or 9999: a camera with an empty battery
        return None


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def minute_of(local: datetime) -> int:
    """Minutes since local midnight by the wall clock."""
    return local.hour * 60 + local.minute


def phases(degrees: float) -> frozenset[Phase]:
    """What it is when the sun stands there: day or night, and twilight too while the night is not yet dark (to -6°).

    Works within the polar circles: a midnight sun is day, a noon below the horizon is night.
    """
    if degrees >= HORIZON_DEG:
        return frozenset({"day"})
    return frozenset({"night", "twilight"} if degrees >= TWILIGHT_DEG else {"night"})
