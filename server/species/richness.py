"""How many species there may be, told from how often those that were found were met: Chao1. Pure.

Chao 1984, Scandinavian Journal of Statistics 11; the bias-corrected form, its variance and its log-normal interval as
in Chao & Chiu 2016, "Species richness: estimation and comparison". It is a lower bound: of what is hardly ever met
nothing tells. It takes the names for right, and a wrong name that was given once makes it larger.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

Z = 1.96  # of 95 %
LEAST_COVERAGE = 0.5  # of a survey that tells anything of what it has not met


@dataclass(frozen=True, slots=True)
class Richness:
    """found: species met. once, twice: how many were met so often. least: Chao1, None where it would say nothing.

    low, high: its 95 % interval, None where all were met more than once. coverage: the share of all animals that
    belongs to species that were found (Good 1953).
    """

    found: int
    once: int
    twice: int
    coverage: float
    least: float | None
    low: float | None = None
    high: float | None = None


def richness_of(events: Iterable[int]) -> Richness | None:
    """What events tell, one number a species; None of fewer than two species."""
    met = [each for each in events if each > 0]
    found, total, once, twice = len(met), sum(met), met.count(1), met.count(2)
    if found < 2:
        return None
    coverage = 1 - once / total
    if coverage < LEAST_COVERAGE or (once > 1 and not twice):
        return Richness(found, once, twice, coverage, None)
    share = (total - 1) / total
    more = share * once * (once - 1) / (2 * (twice + 1))
    if not more:
        return Richness(found, once, twice, coverage, float(found))
    variance = (
        more
        + share**2 * once * (2 * once - 1) ** 2 / (4 * (twice + 1) ** 2)
        + share**2 * once**2 * twice * (once - 1) ** 2 / (4 * (twice + 1) ** 4)
    )
    spread = math.exp(Z * math.sqrt(math.log1p(variance / more**2)))
    return Richness(found, once, twice, coverage, found + more, found + more / spread, found + more * spread)
