"""Shapes of the plots, in the units of their view boxes; templates/species/charts.html draws them. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

ROSE, RING, HUB = 220.0, 84.0, 12.0
MOST_NAMES = 4  # "sept. 2026" each, on a phone
WIDE, TALL, LEFT, FOOT, HEAD = 640.0, 200.0, 44.0, 24.0, 10.0


@dataclass(frozen=True, slots=True)
class Sector:
    """An hour of a rose. path: of SVG."""

    hour: int
    count: int
    path: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A text at a place."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a plot; name: what it is of."""

    x: float
    y: float
    width: float
    height: float
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A place of an axis. nights: trap-nights until there. anchor: of SVG, how its text stands."""

    x: float
    nights: int
    anchor: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Steps: the points of a polyline, "x,y x,y". most: the highest value. ticks: of the axis below."""

    points: str
    most: int
    ticks: tuple[Tick, ...]


def rose(hours: Sequence[int]) -> tuple[list[Sector], list[Mark]]:
    """Events by hour on a clock of 24 hours, midnight on top: the area of a sector says how many. With its hours."""
    most = max(hours) or 1
    sectors = [Sector(hour, count, _sector(hour, count / most)) for hour, count in enumerate(hours) if count]
    marks = []
    for hour in range(0, 24, 3):
        x, y = _at(hour, RING + 14)
        marks.append(Mark(round(x, 1), round(y + 4, 1), f"{hour:02}"))
    return sectors, marks


def bars(parts: Sequence[tuple[str, int]]) -> list[Bar]:
    """One bar a part, from left to right."""
    most = max((count for _name, count in parts), default=0) or 1
    step = (WIDE - LEFT) / max(len(parts), 1)
    found = []
    for place, (name, count) in enumerate(parts):
        tall = (TALL - HEAD) * count / most
        width = max(1.0, min(step - 2, 48.0))
        left = LEFT + place * step + (step - width) / 2
        found.append(Bar(round(left, 1), round(TALL - tall, 1), round(width, 1), round(tall, 1), name, count))
    return found


def axis(bars: Sequence[Bar]) -> list[Mark]:
    """The names of some bars below them, as many as there is room for."""
    step = 1 + (len(bars) - 1) // MOST_NAMES
    shown = bars[::step] if len(bars) > 1 else bars
    return [Mark(round(min(max(bar.x + bar.width / 2, LEFT + 24), WIDE - 24), 1), TALL + 19, bar.name) for bar in shown]


def accumulation(firsts: Sequence[int], nights: int) -> Curve:
    """How many species were known after how many trap-nights. firsts: after how many each was met; nights: all, > 0."""
    most = len(firsts)
    points = [(LEFT, TALL)]
    for number, after in enumerate(sorted(firsts), 1):
        x = LEFT + (WIDE - LEFT) * min(after / nights, 1.0)
        points += [(x, points[-1][1]), (x, TALL - (TALL - HEAD) * number / max(most, 1))]
    points.append((WIDE, points[-1][1]))
    middle = [Tick((LEFT + WIDE) / 2, nights // 2, "middle")] if nights % 2 == 0 or nights > MOST_NAMES else []
    ticks = (Tick(LEFT, 0, "start"), *middle, Tick(WIDE, nights, "end"))
    return Curve(" ".join(f"{x:.1f},{y:.1f}" for x, y in points), most, ticks)


def _radius(share: float) -> float:
    return HUB + (RING - HUB) * math.sqrt(share)


def _at(hour: float, radius: float) -> tuple[float, float]:
    angle = math.tau * hour / 24
    return ROSE / 2 + radius * math.sin(angle), ROSE / 2 - radius * math.cos(angle)


def _sector(hour: int, share: float) -> str:
    outer = _radius(share)
    (ax, ay), (bx, by) = _at(hour, outer), _at(hour + 1, outer)
    (cx, cy), (dx, dy) = _at(hour + 1, HUB), _at(hour, HUB)
    return (
        f"M{dx:.1f} {dy:.1f}L{ax:.1f} {ay:.1f}A{outer:.1f} {outer:.1f} 0 0 1 {bx:.1f} {by:.1f}"
        f"L{cx:.1f} {cy:.1f}A{HUB:g} {HUB:g} 0 0 0 {dx:.1f} {dy:.1f}Z"
    )
