"""Boxes that lie on each other, day by day: the clusters that finding.py judges.

A day's boxes join the cluster that they overlap most; what is left makes new ones. A cluster's own box follows its
days, so that a camera that sags does not lose it, and one that was moved begins anew.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import log, sqrt
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model import Box, Category

F64 = npt.NDArray[np.float64]

JOINS = 0.65  # overlap (intersection over union) from which a box is part of a cluster: a tenth off at three edges
NEAR = 0.3  # … and from which it lies around it
MERGES = 0.7  # of the boxes of two clusters: they are of one thing that began with an odd day
# Boxes are compared with so much of the picture added at each side: a pixel or two of what the detector saw at 640 to
# 1280 pixels. Without it a thing of 2 % would not overlap itself.
BLUR = 0.004
MEAN_OVER = 10  # days: the cluster's own box follows a camera that sags
MERGE_EVERY = 5  # days
# Days with pictures after which nothing joins any more, by the days it was seen on: once is most often an animal.
PAUSES = ((2, 10), (4, 20))
PAUSE_DAYS = 30
CHUNK = 1000  # boxes of a day that are compared at once: 8 MB for 1,000 clusters
MOST_OPEN = 5_000  # clusters of one place and category; 10 days of a camera that sees 500 animals a day


@dataclass(frozen=True, slots=True)
class Seen:
    """One box of a picture. pk, frame_pk: of its rows. day, hour: local; day is a date's ordinal.

    name: of a genus or species when the classifier was sure, else "".
    """

    pk: int
    frame_pk: int
    at: datetime
    day: int
    hour: int
    category: Category
    score: float
    box: Box
    name: str = ""


class Cluster:
    """Boxes at one place, and what is needed of them to judge it. around: boxes that lay near and did not join."""

    __slots__ = ("around", "best", "box", "first_at", "hours", "last_at", "last_day", "means", "names", "pks", "scores")

    def __init__(self, first: Seen) -> None:
        self.box: Box = first.box
        self.pks = array("q")
        self.first_at = self.last_at = first.at
        self.last_day = first.day
        self.around, self.hours, self.scores = 0, 0, 0.0
        self.names: Counter[str] = Counter()
        self.best = (0.0, first.frame_pk)
        self.means: dict[int, tuple[Box, int]] = {}  # day → its mean box, of how many

    @property
    def days(self) -> int:
        """On how many days it was seen."""
        return len(self.means)

    def add_day(self, rows: Sequence[Seen], boxes: F64) -> None:
        """The boxes of one day that joined it: float64 (n, 4), xywh_norm."""
        for each in rows:
            self.pks.append(each.pk)
            self.hours |= 1 << each.hour
            self.scores += each.score
            self.best = max(self.best, (each.score, each.frame_pk))
            if each.name:
                self.names[each.name] += 1
        self.last_at, self.last_day = max(self.last_at, rows[-1].at), rows[-1].day
        self._note_day(self.last_day, _box(boxes.mean(axis=0)), len(rows))
        share = max(1 / self.days, 1 / MEAN_OVER)
        self.box = _between(self.box, self.means[self.last_day][0], share)

    def take_in(self, other: "Cluster") -> None:
        """Make another one part of this one."""
        # each has counted the other's boxes as around it
        self.around = max(self.around - len(other.pks), other.around - len(self.pks), 0)
        self.box = _between(self.box, other.box, other.days / (self.days + other.days))
        self.pks.extend(other.pks)
        self.first_at, self.last_at = min(self.first_at, other.first_at), max(self.last_at, other.last_at)
        self.last_day = max(self.last_day, other.last_day)
        self.hours |= other.hours
        self.scores += other.scores
        self.names += other.names
        self.best = max(self.best, other.best)
        for day, (box, count) in other.means.items():
            self._note_day(day, box, count)

    def spread(self) -> float:
        """How far the mean boxes of successive days lie apart, in place and size, as a share of the size.

        The median of root mean squares; over √2, as a standard deviation is. Successive ones, because a camera that
        sags moves all boxes a little.
        """
        days = [box for _day, (box, _count) in sorted(self.means.items())]
        steps = []
        for (x, y, w, h), (nx, ny, nw, nh) in pairwise(days):
            wide, high = (w + nw) / 2 + 2 * BLUR, (h + nh) / 2 + 2 * BLUR
            across, down = (nx + nw / 2 - x - w / 2) / wide, (ny + nh / 2 - y - h / 2) / high
            wider, higher = log((nw + 2 * BLUR) / (w + 2 * BLUR)), log((nh + 2 * BLUR) / (h + 2 * BLUR))
            steps.append(sqrt((across**2 + down**2 + wider**2 + higher**2) / 8))
        return median(steps) if steps else 0.0

    def _note_day(self, day: int, box: Box, count: int) -> None:
        known, of_how_many = self.means.get(day, (box, 0))
        self.means[day] = _between(known, box, count / (count + of_how_many)), count + of_how_many


class Place:
    """The clusters of one place and category that something may still join."""

    def __init__(self, days_with_pictures: Sequence[int]) -> None:
        self._days = np.asarray(days_with_pictures, dtype=np.int64)
        self._open: list[Cluster] = []
        self._merged_at = 0

    def see(self, rows: Sequence[Seen]) -> Iterator[Cluster]:
        """Take in the boxes of one day, the next; first yields the clusters that have come to their end by then."""
        yield from self._ended(rows[0].day)
        for start in range(0, len(rows), CHUNK):
            self._take_in(rows[start : start + CHUNK])
        if rows[0].day >= self._merged_at + MERGE_EVERY:
            self._merged_at = rows[0].day
            self._merge()
        if len(self._open) > MOST_OPEN:  # what was seen on fewest days, and longest ago, goes
            self._open = sorted(self._open, key=lambda one: (one.days, one.last_day))[-MOST_OPEN // 2 :]

    def rest(self) -> Iterator[Cluster]:
        """The clusters that are open at the end."""
        self._merge()
        yield from self._open

    def _ended(self, today: int) -> Iterator[Cluster]:
        index = int(np.searchsorted(self._days, today))
        limits = {pause: int(self._days[max(0, index - pause)]) for pause in (PAUSE_DAYS, *(p for _d, p in PAUSES))}
        still = []
        for each in self._open:
            pause = next((pause for days, pause in PAUSES if each.days < days), PAUSE_DAYS)
            if index >= pause and each.last_day < limits[pause]:
                yield each
            else:
                still.append(each)
        self._open = still

    def _take_in(self, rows: Sequence[Seen]) -> None:
        boxes = np.array([each.box for each in rows], dtype=np.float64)
        left = np.arange(len(rows))
        if self._open:
            shared = overlaps(boxes, np.array([each.box for each in self._open]))
            best = shared.argmax(axis=1)
            joins = shared[left, best] >= JOINS
            near = (shared >= NEAR).sum(axis=0) - np.bincount(best[joins], minlength=len(self._open))
            for index in np.flatnonzero(near):
                self._open[index].around += int(near[index])
            for index in np.unique(best[joins]):
                mine = np.flatnonzero(joins & (best == index))
                self._open[index].add_day(_of(rows, mine), boxes[mine])
            left = left[~joins]
        self._begin(_of(rows, left), boxes[left])

    def _begin(self, rows: Sequence[Seen], boxes: F64) -> None:
        """New clusters of what joined none: each is begun by the box that most others join."""
        if not rows:
            return
        shared = overlaps(boxes, boxes)
        joins, free = shared >= JOINS, np.ones(len(rows), dtype=bool)
        for first in np.argsort(-joins.sum(axis=1), kind="stable"):
            if free[first]:
                mine = np.flatnonzero(joins[first] & free)
                free[mine] = False
                new = Cluster(rows[int(mine[0])])
                new.around = int((shared[first] >= NEAR).sum()) - len(mine)
                new.add_day(_of(rows, mine), boxes[mine])
                self._open.append(new)

    def _merge(self) -> None:
        lasting = sorted((each for each in self._open if each.days > 1), key=lambda one: -len(one.pks))
        if len(lasting) < 2:  # because it takes two
            return
        shared = overlaps(*[np.array([each.box for each in lasting])] * 2)
        gone: set[int] = set()
        for first, second in np.argwhere(np.triu(shared >= MERGES, 1)):
            if not {int(first), int(second)} & gone:
                lasting[first].take_in(lasting[second])
                gone.add(int(second))
        taken = {id(lasting[each]) for each in gone}
        self._open = [each for each in self._open if id(each) not in taken]


def overlaps(boxes: F64, others: F64) -> F64:
    """Intersection over union of each two boxes, made larger by BLUR: float64 (n, m) of (n, 4), (m, 4), xywh_norm."""
    x0, y0, x1, y1 = _corners(boxes)
    left, top, right, bottom = _corners(others)
    across = np.minimum(x1[:, None], right) - np.maximum(x0[:, None], left)
    down = np.minimum(y1[:, None], bottom) - np.maximum(y0[:, None], top)
    both = np.maximum(across, 0.0) * np.maximum(down, 0.0)
    areas, other_areas = (x1 - x0) * (y1 - y0), (right - left) * (bottom - top)
    return np.asarray(both / (areas[:, None] + other_areas - both))


def overlap(one: Box, other: Box) -> float:
    """The same of two boxes."""
    return float(overlaps(np.array([one]), np.array([other]))[0, 0])


def _of(rows: Sequence[Seen], indices: npt.NDArray[np.intp]) -> list[Seen]:
    return [rows[int(each)] for each in indices]


def _corners(boxes: F64) -> tuple[F64, F64, F64, F64]:
    x, y, w, h = boxes.T
    return x - BLUR, y - BLUR, x + w + BLUR, y + h + BLUR


def _between(one: Box, other: Box, share: float) -> Box:
    return _box([a + share * (b - a) for a, b in zip(one, other, strict=True)])


def _box(values: Any) -> Box:
    x, y, w, h = (float(each) for each in values)
    return x, y, w, h
