"""What a file of deployments says, entry by entry: words → values, each bad one with what would be right.

Shared by the readers: sheets.py (CSV), waypoints.py (GPX), package.py (Camtrap DP).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from ..deployed import Deployment
from ..i18n import _
from ..paths import is_safe_name

MOST_BYTES = 64_000_000  # of a file; a hundred thousand deployments are 20 MB
LONGEST_DEGREES = 100
ISO_DAY = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")
SLASHED = re.compile(r"(\d{1,4})[/.](\d{1,2})[/.](\d{1,4})")
CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([ap])?\.?\s*(?:m\.?)?", re.IGNORECASE)
OFFSET = re.compile(r"\s*(Z|[+-]\d{2}:?\d{2})$")
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9ÁÉÍÓÚÜÑáéíóúüñ_.\-]+")  # as edge.wire.NAME
DEGREES = re.compile(
    r"""(?P<sign>[+-])?\s*(?P<deg>\d+(?:[.,]\d+)?)\s*(?:°|º|d)?\s*
        (?:(?P<min>\d+(?:[.,]\d+)?)\s*['′’]\s*)?(?:(?P<sec>\d+(?:[.,]\d+)?)\s*(?:"|″|”|'')\s*)?
        (?P<side>[NSEWO])?""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a file. place: where it stands ("row 3"). fault: why there is no deployment; else "".

    starts_on, ends_on: the local day, when no time of day was given.
    """

    place: str
    deployment: Deployment | None = None
    fault: str = ""
    starts_on: date | None = None
    ends_on: date | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read. timezone_of: a station's zone, for times without offset.

    dates: how 01/02/2026 is meant, dmy or mdy; "" where the file itself must tell. start, end: for entries without.
    """

    timezone_of: Callable[[str], str]
    dates: str = ""
    start: str = ""
    end: str = ""


def safe_name(text: str) -> str:
    """The name of a station that is nearest to a text: what may not be in one becomes "-"; "" when nothing is left."""
    name = NOT_IN_NAMES.sub("-", text.strip()).strip("-.")[:64].rstrip("-.")
    return name if is_safe_name(name) else ""


def read_number(text: str) -> float:
    """A number with a decimal point or comma. Raises ValueError."""
    if not re.fullmatch(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?", text.strip()):
        raise ValueError(_("{text!r} is no number").format(text=text))
    return float(text.replace(",", "."))


def read_degrees(text: str, *, longitude: bool) -> float:
    """Degrees as people write them: -74.08, "74,08 W", 74°4'54"O. Raises ValueError."""
    # looking for degrees in a long text that has none takes the cube of its length
    found = DEGREES.fullmatch(text.strip().replace("−", "-")) if len(text) <= LONGEST_DEGREES else None
    sides = "EWO" if longitude else "NS"
    if found is None or (found["side"] and found["side"].upper() not in sides):
        example = "-74.08175" if longitude else "4.60971"
        said = text[:LONGEST_DEGREES]
        raise ValueError(_("{text!r} are no degrees; write {example}").format(text=said, example=example))
    parts = [float((found[name] or "0").replace(",", ".")) for name in ("deg", "min", "sec")]
    value = parts[0] + parts[1] / 60 + parts[2] / 3600
    south_or_west = (found["side"] or "").upper() in ("S", "W", "O")
    return -value if (found["sign"] == "-") != south_or_west else value


def read_moment(text: str, zone: str, *, end: bool = False, dates: str = "") -> tuple[datetime, date | None]:
    """(the moment, its local day when no time of day was given): a start's is 00:00, an end's 23:59:59.

    zone: of times without offset. dates: "dmy" or "mdy", how 01/02/2026 is meant. Raises ValueError with what is right.
    """
    rest, offset = text.strip(), None
    if (found := OFFSET.search(rest)) and ":" in rest:
        offset, rest = found[1].upper(), rest[: found.start()]
    day, rest = _day(rest, text, dates)
    if not rest:
        at = datetime.combine(day, time(23, 59, 59) if end else time(), ZoneInfo(zone))
        return at.astimezone(UTC), day
    at = datetime.combine(day, _clock(rest, text))
    if offset is None:
        return at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC), None
    return datetime.fromisoformat(f"{at.isoformat()}{'+00:00' if offset == 'Z' else offset}").astimezone(UTC), None


def order_of(texts: list[str]) -> str:
    """How the dates of a file with slashes are meant, as far as one of them tells: dmy, mdy or ""."""
    orders = set()
    for text in texts:
        found = SLASHED.match(text.strip())
        if found and len(found[1]) <= 2:
            first, second = int(found[1]), int(found[2])
            if first > 12 >= second:
                orders.add("dmy")
            elif second > 12 >= first:
                orders.add("mdy")
    return orders.pop() if len(orders) == 1 else ""


def _day(rest: str, text: str, dates: str) -> tuple[date, str]:
    wrong = _("{text!r} is no date; write 2026-11-22 or 2026-11-22 18:30").format(text=text)
    if found := ISO_DAY.match(rest):
        year, month, day = map(int, found[0].split("-"))
    elif found := SLASHED.match(rest):
        first, second, third = (int(each) for each in found.groups())
        if len(found[1]) == 4:
            year, month, day = first, second, third
        elif first == second or dates:
            day, month = (first, second) if dates != "mdy" else (second, first)
            year = third
        elif first > 12 or second > 12:
            (day, month), year = ((first, second) if first > 12 else (second, first)), third
        else:
            raise ValueError(
                _("{text!r} may be two days: write the year first, or say --dates dmy or mdy").format(text=text)
            )
        year += 2000 if year < 100 else 0
    else:
        raise ValueError(wrong)
    try:
        return date(year, month, day), rest[found.end() :].strip().lstrip("T").strip()
    except ValueError as exc:
        raise ValueError(wrong) from exc


def _clock(rest: str, text: str) -> time:
    found = CLOCK.fullmatch(rest)
    hour, half = (int(found[1]), (found[4] or "").lower()) if found else (99, "")
    if half:
        hour = hour % 12 + (12 if half == "p" else 0) if 1 <= hour <= 12 else 99
    try:
        return time(hour, int(found[2]), int(found[3] or 0)) if found else time(hour)
    except ValueError as exc:
        text = _("{text!r} is no time of day; write 2026-11-22 18:30").format(text=text)
        raise ValueError(text) from exc


def noon(day: date, zone: str) -> datetime:
    """The middle of a local day: when one camera took another's place, of which only the day is known."""
    return datetime.combine(day, time(12), ZoneInfo(zone)).astimezone(UTC)
