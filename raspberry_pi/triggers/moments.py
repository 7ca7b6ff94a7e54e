"""Times of a day as people write them, by clock or by sun, and when the next one comes.

- "06:30": once a day
- "sunset-00:30": half an hour before; sunrise, sunset, dawn, dusk or noon
- "22:00-05:00 every 10 min": also over midnight; s, min or h
- "sunset - sunrise+01:00 every 1 h"
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from edge.i18n import _

SUN = ("sunrise", "sunset", "dawn", "dusk", "noon")
MOMENT = r"(?:(?:[01]\d|2[0-3]):[0-5]\d|(?:" + "|".join(SUN) + r")(?:[+-]\d\d:[0-5]\d)?)"
PLAN = re.compile(
    rf"\s*(?P<start>{MOMENT})\s*(?:-\s*(?P<end>{MOMENT})\s+every\s+(?P<count>[1-9]\d{{0,3}})\s*(?P<unit>s|min|h))?\s*"
)
UNIT_S = {"s": 1, "min": 60, "h": 3600}
DAY = timedelta(days=1)
SunTime = Callable[[str, date], datetime | None]


class PlanError(ValueError):
    """This is no time of a day; the text says how one is written."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A clock time (sun "") or a time of the sun with an offset."""

    sun: str
    offset: timedelta

    def on(self, day: date, zone: tzinfo | None, sun_time: SunTime) -> datetime | None:
        """This moment of that day, aware; None where the sun does not rise or set on it. zone None: the system's."""
        if self.sun:
            found = sun_time(self.sun, day)
            return None if found is None else found + self.offset
        hour, minute = divmod(int(self.offset.total_seconds()) // 60, 60)
        clock = datetime.combine(day, time(hour, minute), tzinfo=zone)
        return clock if zone else clock.astimezone()


@dataclass(frozen=True, slots=True)
class Plan:
    """One moment a day, or every `every` from `start` to `end`."""

    start: Moment
    end: Moment | None = None
    every: timedelta = DAY

    @property
    def needs_sun(self) -> bool:
        """Whether the place must be known."""
        return bool(self.start.sun or (self.end and self.end.sun))

    def after(self, now: datetime, zone: tzinfo | None, sun_time: SunTime) -> datetime | None:
        """The first moment later than `now` (aware); None when there is none within three days (polar summer)."""
        today = now.astimezone(zone).date()
        for days in range(-1, 4):  # yesterday's range may reach over midnight
            start = self.start.on(today + days * DAY, zone, sun_time)
            if start is None:
                continue
            if self.end is None:
                if start > now:
                    return start
                continue
            end = self.end.on(today + days * DAY, zone, sun_time)
            if end is not None and end <= start:
                end = self.end.on(today + (days + 1) * DAY, zone, sun_time)
            step = start if now < start else start + ((now - start) // self.every + 1) * self.every
            if end is not None and step <= end:
                return step
        return None


def read_plan(text: str) -> Plan:
    """Read one line of a schedule. Raises PlanError."""
    found = PLAN.fullmatch(text)
    if not found:
        how = '"06:30", "sunset-00:30", "22:00-05:00 every 10 min"'
        raise PlanError(_("{text!r} is no time of a day; write it like {how}").format(text=text, how=how))
    if found["end"] is None:
        return Plan(_moment(found["start"]))
    every = timedelta(seconds=int(found["count"]) * UNIT_S[found["unit"]])
    if every > DAY:
        raise PlanError(_("{text!r}: every is at most a day").format(text=text))
    return Plan(_moment(found["start"]), _moment(found["end"]), every)


def clock_minutes(text: str) -> int:
    """HH:MM as minutes since midnight."""
    at = time.fromisoformat(text)
    return at.hour * 60 + at.minute


def _moment(text: str) -> Moment:
    sun = next((name for name in SUN if text.startswith(name)), "")
    rest = text[len(sun) :]
    if not rest:
        return Moment(sun, timedelta())
    sign = -1 if rest[0] == "-" else 1
    return Moment(sun, sign * timedelta(minutes=_minutes(rest.lstrip("+-"))))


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
