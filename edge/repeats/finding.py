"""The boxes of one place in the order of time → the things that are there again and again: stones, branches, posts.

What tells a stone from an animal that comes back to its bed, nest or salt lick is not that the place is the same but
how exactly: from day to day an animal lies otherwise, and so its boxes lie around the cluster as well as in it.
Repeat detection elimination by Beery, Morris et al. (repeat_detections_core of MegaDetector) asks for one overlap
alone, and leaves the rest to a person; here, too, a person decides, but should be shown few animals.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from ..model import Box, Category
from .clusters import Cluster, Place, Seen

LEAST_DAYS = 5
# How far it may lie from one day to the next, in shares of its size, by how much of what lies here and around is here.
# A stone's is 0.003 to 0.04; an animal's in its nest was 0.043 and more, in its bed or at a lick 0.06 and more
# (benchmarks/repeats.py, seed 1). What animals pass, or come to, must lie stiller to be told from them.
MOST_SPREAD = ((0.8, 0.04), (0.6, 0.035), (0.3, 0.025))
FEW_HOURS, MOST_SPREAD_OF_FEW = 3, 0.03  # seen in so few of the day's 24 hours
MOSTLY_NAMED = 0.6  # share of boxes that were surely one kind of animal; then all of these must hold, too
HOURS_NAMED, DAYS_NAMED, MOST_SPREAD_NAMED = 6, 10, 0.035


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same thing at the same place. box: where it was last, xywh_norm. pks: of its observations.

    frames: how many boxes. days, hours: on how many days, in how many of the day's 24 hours. spread: how far its boxes
    of one day lie from those of the next, of its size. alone: share of the boxes here and around that are here.
    named: share of boxes that surely were the same genus or species. score: their mean. example_pk: the frame of the
    best.
    """

    category: Category
    box: Box
    frames: int
    days: int
    hours: int
    first_at: datetime
    last_at: datetime
    spread: float
    alone: float
    named: float
    score: float
    example_pk: int
    pks: Sequence[int] = field(repr=False)


def find_repeats(seen: Iterable[Seen], days_with_pictures: Sequence[int]) -> Iterator[Repeat]:
    """The repeated detections among the boxes of one place; no animal that rests there, as far as that can be told.

    seen: in the order of time. days_with_pictures: ordinals, ascending; also of days on which nothing was seen.
    Memory: a day's boxes, the clusters of the last 10 to 30 days with pictures, and 8 bytes for each box in them.
    """
    places: dict[Category, Place] = {}
    for _day, of_day in groupby(seen, key=lambda each: each.day):
        by_category: dict[Category, list[Seen]] = {}
        for each in of_day:
            if each.box[2] > 0 and each.box[3] > 0:
                by_category.setdefault(each.category, []).append(each)
        for category, rows in by_category.items():
            place = places.setdefault(category, Place(days_with_pictures))
            yield from _suspects(place.see(rows), category)
    for category, place in places.items():
        yield from _suspects(place.rest(), category)


def is_suspect(repeat: Repeat) -> bool:
    """Whether it lies too still to be an animal. The less time of day it shows, the stiller it must lie."""
    most = next((spread for alone, spread in MOST_SPREAD if repeat.alone >= alone), 0.0)
    if repeat.days < LEAST_DAYS or repeat.spread > most:
        return False
    if repeat.hours <= FEW_HOURS and repeat.spread > MOST_SPREAD_OF_FEW:
        return False
    if repeat.named < MOSTLY_NAMED:
        return True
    # a classifier that is sure day by day is seldom wrong
    return repeat.hours >= HOURS_NAMED and repeat.days >= DAYS_NAMED and repeat.spread <= MOST_SPREAD_NAMED


def _suspects(clusters: Iterable[Cluster], category: Category) -> Iterator[Repeat]:
    for each in clusters:
        if each.days >= LEAST_DAYS:
            count = len(each.pks)
            repeat = Repeat(
                category=category,
                box=each.box,
                frames=count,
                days=each.days,
                hours=each.hours.bit_count(),
                first_at=each.first_at,
                last_at=each.last_at,
                spread=each.spread(),
                alone=count / (count + each.around),
                named=max(each.names.values(), default=0) / count,
                score=each.scores / count,
                example_pk=each.best[1],
                pks=each.pks,
            )
            if is_suspect(repeat):
                yield repeat
