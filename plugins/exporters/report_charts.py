"""The report's plots: plain SVG, no script, readable in light and dark; each with a text that says the same."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

ROSE_PX, RING_PX, HUB_PX = 220, 84, 12
ROW_PX, LABEL_PX, PLOT_PX = 22, 130, 560
COLOURS = ("#2a7f62", "#c2571a", "#35639b", "#8c4a86", "#a38a1d", "#5b6770")


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a row of a timeline. kind: a class of the style sheet: worked, failed or unknown."""

    start: datetime
    end: datetime
    kind: str
    title: str


def rose(hours: Sequence[int], title: str) -> str:
    """How many of 24 hours, as a clock of 24 h with midnight on top; the area of a sector says the number."""
    most = max(hours) or 1
    centre = ROSE_PX / 2
    parts = [
        f'<svg class="rose" viewBox="0 0 {ROSE_PX} {ROSE_PX}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f'<circle class="ring" cx="{centre:g}" cy="{centre:g}" r="{RING_PX}"/>',
        f'<circle class="ring" cx="{centre:g}" cy="{centre:g}" r="{_radius(0.25):.1f}"/>',
    ]
    for hour, count in enumerate(hours):
        if count:
            parts.append(
                f'<path class="sector" d="{_sector(hour, count / most)}"><title>{hour:02}: {count}</title></path>'
            )
    for hour in range(0, 24, 6):
        x, y = _at(hour, RING_PX + 14)
        parts.append(f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{hour:02}</text>')
    return "".join([*parts, "</svg>"])


def timeline(rows: Sequence[tuple[str, Sequence[Bar]]], title: str) -> str:
    """When each camera stood and worked: a row a station, from the first start to the last end."""
    bars = [bar for _name, each in rows for bar in each]
    if not bars:
        return ""
    first, last = min(bar.start for bar in bars), max(bar.end for bar in bars)
    span = (last - first).total_seconds() or 1.0
    height = ROW_PX * len(rows) + 24
    width = LABEL_PX + PLOT_PX
    parts = [
        f'<svg class="wide" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    for number, (name, each) in enumerate(rows):
        top = number * ROW_PX
        parts.append(f'<text x="{LABEL_PX - 8}" y="{top + 15}" text-anchor="end">{escape(name[:20])}</text>')
        for bar in each:
            left = LABEL_PX + PLOT_PX * (bar.start - first).total_seconds() / span
            across = max(1.0, PLOT_PX * (bar.end - bar.start).total_seconds() / span)
            parts.append(
                f'<rect class="{bar.kind}" x="{left:.1f}" y="{top + 4}" width="{across:.1f}" height="14">'
                f"<title>{escape(bar.title)}</title></rect>"
            )
    foot = height - 6
    parts.append(f'<text x="{LABEL_PX}" y="{foot}">{first:%Y-%m-%d}</text>')
    parts.append(f'<text x="{width}" y="{foot}" text-anchor="end">{last:%Y-%m-%d}</text>')
    return "".join([*parts, "</svg>"])


def stacked(months: Mapping[str, Mapping[str, int]], kinds: Sequence[str], title: str, *, most_shown: int = 60) -> str:
    """Captures a month, stacked by kind. months: "2026-11" → kind → captures; kinds: in the order of the colours."""
    names = sorted(months)[-most_shown:]
    if not names:
        return ""
    most = max(sum(months[name].values()) for name in names) or 1
    tall, step = 180, PLOT_PX / len(names)
    width, height = LABEL_PX + PLOT_PX, tall + 40
    parts = [
        f'<svg class="wide" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f'<text x="{LABEL_PX - 8}" y="16" text-anchor="end">{most}</text>',
        f'<text x="{LABEL_PX - 8}" y="{tall + 10}" text-anchor="end">0</text>',
        f'<line class="ring" x1="{LABEL_PX}" y1="{tall + 10}" x2="{width}" y2="{tall + 10}"/>',
    ]
    for number, name in enumerate(names):
        base = float(tall + 10)
        left = LABEL_PX + number * step
        for colour, kind in enumerate(kinds):
            count = months[name].get(kind, 0)
            if count:
                up = tall * count / most
                base -= up
                parts.append(
                    f'<rect fill="{COLOURS[colour % len(COLOURS)]}" x="{left + 1:.1f}" y="{base:.1f}" '
                    f'width="{max(1.0, min(step - 2, 60)):.1f}" height="{up:.1f}">'
                    f"<title>{name}: {escape(kind)} {count}</title></rect>"
                )
        if number % (1 + len(names) // 10) == 0:
            parts.append(f'<text x="{left + 1:.1f}" y="{height - 8}">{name}</text>')
    return "".join([*parts, "</svg>"])


def share_bar(share: float) -> str:
    """A bar in a table. share: 0..1."""
    return f'<span class="bar" style="width:{max(0.0, min(1.0, share)) * 100:.1f}%"></span>'


def _radius(share: float) -> float:
    return HUB_PX + (RING_PX - HUB_PX) * math.sqrt(share)


def _at(hour: float, radius: float) -> tuple[float, float]:
    angle = math.tau * hour / 24
    return ROSE_PX / 2 + radius * math.sin(angle), ROSE_PX / 2 - radius * math.cos(angle)


def _sector(hour: int, share: float) -> str:
    outer = _radius(share)
    (ax, ay), (bx, by) = _at(hour, outer), _at(hour + 1, outer)
    (cx, cy), (dx, dy) = _at(hour + 1, HUB_PX), _at(hour, HUB_PX)
    return (
        f"M{dx:.1f} {dy:.1f}L{ax:.1f} {ay:.1f}A{outer:.1f} {outer:.1f} 0 0 1 {bx:.1f} {by:.1f}"
        f"L{cx:.1f} {cy:.1f}A{HUB_PX} {HUB_PX} 0 0 0 {dx:.1f} {dy:.1f}Z"
    )
