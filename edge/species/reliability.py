"""Are probabilities what they say? Pairs of (said, right) → bins, expected calibration error, a small SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from ..i18n import _, decimal

BINS = 10
SIDE, LEFT, TOP, GAP = 240, 46, 46, 56  # pixels: a plot's side, its margins, between two plots
RIGHT, SAID, GRID = "#2f6f4f", "#b5502b", "#c9c9c9"


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose probability lies in low…high. said: their mean probability. right: the share that was right."""

    low: float
    high: float
    count: int
    said: float
    right: float


def bins_of(pairs: Iterable[tuple[float, bool]], *, count: int = BINS) -> list[Bin]:
    """`count` bins of equal width over 0..1, those without a pair included; a pair at an edge belongs to the upper."""
    inside: list[list[tuple[float, bool]]] = [[] for _number in range(count)]
    for said, right in pairs:
        inside[min(int(said * count), count - 1)].append((said, right))
    return [
        Bin(
            number / count,
            (number + 1) / count,
            len(each),
            sum(said for said, _right in each) / len(each) if each else 0.0,
            sum(right for _said, right in each) / len(each) if each else 0.0,
        )
        for number, each in enumerate(inside)
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error, 0..1: how far said and right lie apart, weighed by count. 0 without pairs.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.said - each.right) for each in bins) / total if total else 0.0


def reliability_svg(plots: Sequence[tuple[str, Sequence[Bin]]]) -> str:
    """Reliability plots side by side as one SVG: bars are what was right, dots what was said, and counts below.

    plots: (title, bins). Well-calibrated bars end at the diagonal.
    """
    width = LEFT + len(plots) * (SIDE + GAP)
    height = TOP + SIDE + 62
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'font-family="sans-serif" font-size="11">'
        ),
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, (title, bins) in enumerate(plots):
        parts += _plot(title, bins, left=LEFT + number * (SIDE + GAP))
    return "\n".join([*parts, "</svg>", ""])


def _plot(title: str, bins: Sequence[Bin], *, left: float) -> list[str]:
    total = sum(each.count for each in bins)
    error = decimal(calibration_error(bins), digits=3)
    caption = _("{count} boxes, calibration error {error}").format(count=total, error=error)
    bottom = TOP + SIDE
    parts = [
        f'<text x="{left}" y="{TOP - 26}" font-size="13" fill="#222">{escape(title)}</text>',
        f'<text x="{left}" y="{TOP - 10}" fill="#555">{escape(caption)}</text>',
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y, text = left + tick * SIDE, bottom - tick * SIDE, decimal(tick, digits=2)
        parts += [
            f'<line x1="{left}" y1="{y:g}" x2="{left + SIDE}" y2="{y:g}" stroke="{GRID}" stroke-width="0.5"/>',
            f'<text x="{left - 6}" y="{y + 4:g}" text-anchor="end" fill="#555">{text}</text>',
            f'<text x="{x:g}" y="{bottom + 28}" text-anchor="middle" fill="#555">{text}</text>',
        ]
    for each in bins:
        if each.count:
            parts += _bar(each, left, bottom)
    parts += [
        f'<line x1="{left}" y1="{bottom}" x2="{left + SIDE}" y2="{TOP}" stroke="#888" stroke-dasharray="4 3"/>',
        f'<rect x="{left}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#555"/>',
        (
            f'<text x="{left + SIDE / 2:g}" y="{bottom + 46}" text-anchor="middle" fill="#222">'
            f"{escape(_('probability that was said'))}</text>"
        ),
        (
            f'<text transform="translate({left - 34} {TOP + SIDE / 2:g}) rotate(-90)" text-anchor="middle" fill="#222">'
            f"{escape(_('share that was right'))}</text>"
        ),
    ]
    return parts


def _bar(each: Bin, left: float, bottom: float) -> list[str]:
    x, width = left + each.low * SIDE, (each.high - each.low) * SIDE
    tall = each.right * SIDE
    middle = left + each.said * SIDE
    return [
        (
            f'<rect x="{x + 1:.1f}" y="{bottom - tall:.1f}" width="{width - 2:.1f}" height="{tall:.1f}" '
            f'fill="{RIGHT}" fill-opacity="0.75"/>'
        ),
        f'<circle cx="{middle:.1f}" cy="{bottom - each.said * SIDE:.1f}" r="3" fill="{SAID}"/>',
        (
            f'<text x="{x + width / 2:.1f}" y="{bottom + 13:g}" text-anchor="middle" font-size="9" fill="#555">'
            f"{each.count}</text>"
        ),
    ]
