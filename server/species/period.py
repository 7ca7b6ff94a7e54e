"""Which months and which station are meant: the query string of the page and of the API → `Wanted`, and back."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Query
from starlette.exceptions import HTTPException

from edge.i18n import mark

from ..speech import Speech

MONTHS = 12  # shown when nothing is said
MOST_MONTHS = 120  # of a range; a longer one is "all"
_MONTH = re.compile(r"(19[7-9]\d|2\d{3})-(0[1-9]|1[0-2])")
WRONG = mark("Write a month as 2026-11.")
TURNED = mark("The first month is after the last one.")
TOO_LONG = mark("So many months at once can't be shown; choose all time.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. first, last: months "2026-11", both included; "" for all time. station: "" for all."""

    first: str = ""
    last: str = ""
    station: str = ""
    is_default: bool = True

    @property
    def is_all(self) -> bool:
        """Whether all time is meant."""
        return not self.first

    @property
    def periods(self) -> tuple[str, ...]:
        """As `tallies` names them."""
        return months_between(self.first, self.last) if self.first else ("",)

    def query(self, **more: str) -> str:
        """As a query string; "" for what is shown when nothing is said."""
        span = {"period": "all"} if self.is_all else {"from": self.first, "to": self.last}
        pairs = {"station": self.station, **({} if self.is_default else span), **more}
        return urlencode({name: value for name, value in pairs.items() if value})

    def days(self) -> tuple[date, date] | None:
        """The first and the last day; None for all time."""
        if self.is_all:
            return None
        return _first_day(self.first), _first_day(_after(self.last)) - timedelta(days=1)

    def span(self, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
        """When that begins and ends at a place; None for all time."""
        days = self.days()
        if days is None:
            return None, None
        begin, end = days[0], days[1] + timedelta(days=1)
        return tuple(datetime.combine(each, time(), zone).astimezone(UTC) for each in (begin, end))  # type: ignore[return-value]  # because they are two


def months_between(first: str, last: str) -> tuple[str, ...]:
    """All months from one to another, both included."""
    found = [first]
    while found[-1] < last:
        found.append(_after(found[-1]))
    return tuple(found)


def read_wanted(
    *, period: str, first: str, last: str, station: str, today: date, speech: Speech | None = None
) -> Wanted:
    """What a request means. Raises HTTPException 422 with what is wrong, in the reader's language."""

    def say(text: str) -> str:
        return speech.text(text) if speech else text

    station = station.strip()
    if period == "all":
        return Wanted(station=station, is_default=False)
    this = f"{today:%Y-%m}"
    for each in (first, last):
        if each and not _MONTH.fullmatch(each):
            raise HTTPException(422, say(WRONG))
    end = last or max(this, first)
    begin = first or _before(end, MONTHS - 1)
    if begin > end:
        raise HTTPException(422, say(TURNED))
    if len(months_between(begin, end)) > MOST_MONTHS:
        raise HTTPException(422, say(TOO_LONG))
    return Wanted(begin, end, station, is_default=not first and not last)


def _after(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04}-{number % 12 + 1:02}"


def _before(month: str, count: int) -> str:
    months = int(month[:4]) * 12 + int(month[5:]) - 1 - count
    return f"{months // 12:04}-{months % 12 + 1:02}"


def _first_day(month: str) -> date:
    return date(int(month[:4]), int(month[5:]), 1)


Period = Annotated[Literal["", "year", "all"], Query(description="`all` for all time; else the months from … to")]
Month = Annotated[str, Query(max_length=7, description="a month, 2026-11; the last 12 when left out")]
StationOf = Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$", description="one station; all when left out")]
