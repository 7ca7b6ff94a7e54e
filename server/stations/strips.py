"""Strips: one measure over 30 days as a line of SVG and as a table, for those who don't see lines.

The line breaks where nothing was said for GAP. Points are the lowest of each part of the time for what must not fall
(battery, disk), else the highest: no bad hour is smoothed away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge.i18n import mark

from .queries import Reading

WIDTH, HEIGHT = 240.0, 40.0  # of the viewBox
POINTS = 120
GAP = timedelta(hours=12)
LEAST_RANGE = {"volts": 1.0, "percent": 20.0, "temperature": 10.0, "disk": 1e9, "waiting": 10.0, "drift": 10.0}


@dataclass(frozen=True, slots=True)
class Strip:
    """One measure. unit: volts, percent, celsius, bytes, frames or seconds. lines: `points` of SVG polylines.

    rows: the lowest and highest of each local day, newest first, for the table.
    """

    key: str
    title: str
    unit: str
    latest: float
    low: float
    high: float
    lines: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    rows: tuple[tuple[datetime, float, float], ...]


MEASURES: tuple[tuple[str, str, str, Callable[[Reading], float | None], bool], ...] = (
    ("volts", mark("Battery"), "volts", lambda each: each.volts, True),
    ("percent", mark("Battery charge"), "percent", lambda each: each.percent, True),
    ("temperature", mark("Temperature"), "celsius", lambda each: each.temperature_c, False),
    ("disk", mark("Free on its disk"), "bytes", lambda each: each.disk, True),
    ("waiting", mark("Pictures that wait there"), "frames", lambda each: each.waiting, False),
    ("drift", mark("Its clock is off by"), "seconds", lambda each: each.drift_s, False),
)


def strips(found: Sequence[Reading], *, since: datetime, until: datetime) -> list[Strip]:
    """Those measures that the readings (oldest first) have, in a fixed order."""
    made = []
    for key, title, unit, value_of, lowest in MEASURES:
        points = [(each.at, value) for each in found if (value := value_of(each)) is not None]
        if points:
            made.append(_strip(key, title, unit, points, lowest, since, until))
    return made


def _strip(
    key: str,
    title: str,
    unit: str,
    points: Sequence[tuple[datetime, float]],
    lowest: bool,
    since: datetime,
    until: datetime,
) -> Strip:
    low, high = min(value for _at, value in points), max(value for _at, value in points)
    spread = max(high - low, LEAST_RANGE[key])
    floor = (low + high - spread) / 2
    step = (until - since) / POINTS
    parts: dict[int, tuple[datetime, float]] = {}
    pick = min if lowest else max
    for at, value in points:
        part = int((at - since) / step)
        before = parts.get(part)
        parts[part] = (before[0] if before else at, pick(before[1], value) if before else value)
    runs: list[list[tuple[float, float]]] = []
    last: datetime | None = None
    for at, value in parts.values():
        if last is None or at - last > GAP:
            runs.append([])
        x, y = WIDTH * ((at - since) / (until - since)), HEIGHT * (1 - (value - floor) / spread)
        runs[-1].append((_round(x), _round(y)))
        last = at
    lines = tuple(" ".join(f"{x:g},{y:g}" for x, y in run) for run in runs if len(run) > 1)
    dots = tuple(run[0] for run in runs if len(run) == 1)
    return Strip(key, title, unit, points[-1][1], low, high, lines, dots, _by_day(points))


def _by_day(points: Sequence[tuple[datetime, float]]) -> tuple[tuple[datetime, float, float], ...]:
    found: dict[object, tuple[datetime, float, float]] = {}
    for at, value in points:
        _at, low, high = found.get(at.date(), (at, value, value))
        found[at.date()] = at, min(low, value), max(high, value)
    return tuple(reversed(found.values()))


def _round(value: float) -> float:
    return round(value, 1)
