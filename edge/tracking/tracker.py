"""The tracker: the detections of a clip, picture by picture → one track for each animal.

SORT (Bewley et al. 2016, arXiv:1602.00763) with time in seconds, because trap clips are looked at twice a second, or at
no even rate at all. Three passes a picture: overlap with where a track is expected or was last; nearness, for what runs
too fast to overlap; then the place of tracks that were lost a short while ago.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..model import Box, Category, Detection
from .kalman import F64, Filters, boxes_of, correct, measure, predict, start
from .pairing import SAME_PLACE, likeness, nearness, overlaps, pair


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """A track in one picture. number: of the picture in its clip. time_s: into the clip.

    matched: the detector saw it here. Else it was lost between two pictures in which it was seen; `detection` then has
    the box between those, score 0 and no classes.
    """

    number: int
    time_s: float
    detection: Detection
    matched: bool


@dataclass(frozen=True, slots=True)
class Track:
    """One animal (person, vehicle) through a clip. id: 1, 2, … in the order of first sight, with gaps, never reused.

    points: in the order of the clip, one a picture from the first to the last in which it was seen.
    """

    id: int
    category: Category
    points: tuple[TrackPoint, ...]


@dataclass(slots=True)
class _Trail:
    """A track that is still being made. seen: (index of the picture, detection)."""

    id: int
    category: Category
    seen: list[tuple[int, Detection]] = field(default_factory=list)
    seen_s: float = 0.0

    @property
    def last(self) -> Box:
        return self.seen[-1][1].xywh_norm


class Tracker:
    """Tracks of one clip; make a new one for the next. Pictures come in by `step`, in the order of the clip.

    max_age_s: how long a track is expected to go on as it went. min_hits: pictures in which a track must have been seen
    to be told; 1, because an animal that runs past is in one picture of a clip looked at twice a second. stitch_s: how
    long after its last sight a track is taken up again where it was, at most; what comes later is another one.
    """

    def __init__(self, max_age_s: float = 2.0, min_hits: int = 1, *, stitch_s: float = 3.0) -> None:
        if not (max_age_s >= 0 and stitch_s >= 0 and min_hits >= 1):
            raise ValueError(
                f"max_age_s and stitch_s must be ≥ 0 and min_hits ≥ 1, got {max_age_s}, {stitch_s}, {min_hits}"
            )
        self._max_age_s, self._stitch_s = max_age_s, max(stitch_s, max_age_s)
        self._min_hits = min_hits
        self._now_s = 0.0
        self._pictures: list[tuple[int, float]] = []
        self._trails: list[_Trail] = []
        self._live: list[_Trail] = []  # one a row of the filters
        self._filters = start(np.empty((0, 4)))
        self._lost: list[_Trail] = []

    def step(
        self, time_s: float, detections: Sequence[Detection], *, number: int | None = None
    ) -> tuple[int | None, ...]:
        """Take in the next picture; the track of each of its detections, which never changes later.

        number: the picture's own, larger than the one before; None: that plus one. A time before the last one's counts
        as no time. The order of the detections has no effect; one with a number that is not finite belongs to no track.
        Raises ValueError for a number or a time that cannot be.
        """
        before = self._pictures[-1][0] if self._pictures else -1
        number = before + 1 if number is None else number
        if number <= before or not math.isfinite(time_s):
            raise ValueError(f"picture {number} at {time_s} s cannot follow picture {before}")
        dt_s = max(0.0, time_s - self._now_s) if self._pictures else 0.0
        self._now_s = max(self._now_s, time_s) if self._pictures else time_s
        self._pictures.append((number, time_s))
        self._retire()
        self._filters = predict(self._filters, dt_s)
        order = [place for place, each in enumerate(detections) if _is_finite(each)]
        order.sort(key=lambda place: _rank(detections[place]))
        trails = self._take_in([detections[place] for place in order])
        ids: list[int | None] = [None] * len(detections)
        for place, trail in zip(order, trails, strict=True):
            ids[place] = trail.id
        return tuple(ids)

    def tracks(self) -> list[Track]:
        """All tracks so far that were seen `min_hits` times, by id."""
        return [self._track(each) for each in self._trails if len(each.seen) >= self._min_hits]

    def _retire(self) -> None:
        stays = [self._now_s - each.seen_s <= self._max_age_s for each in self._live]
        self._lost += [each for each, stay in zip(self._live, stays, strict=True) if not stay]
        self._lost = [each for each in self._lost if self._now_s - each.seen_s <= self._stitch_s]
        self._live = [each for each, stay in zip(self._live, stays, strict=True) if stay]
        self._filters = Filters(self._filters.mean[stays], self._filters.cov[stays])

    def _take_in(self, detections: Sequence[Detection]) -> list[_Trail]:
        """The trail of each detection."""
        boxes = _array(each.xywh_norm for each in detections)
        live = self._live_pairs(detections, boxes)
        taken = {column for _row, column in live}
        rest = [column for column in range(len(detections)) if column not in taken]
        stitched = self._lost_pairs([detections[each] for each in rest], boxes[rest])
        if live:
            rows, columns = map(list, zip(*live, strict=True))
            seen = correct(
                Filters(self._filters.mean[rows], self._filters.cov[rows]),
                measure([detections[column].xywh_norm for column in columns]),
            )
            self._filters.mean[rows], self._filters.cov[rows] = seen.mean, seen.cov
            for row, column in live:
                self._see(self._live[row], detections[column])
        of = {column: self._live[row] for row, column in live}
        begun = self._begin([(stitched.get(place), detections[column]) for place, column in enumerate(rest)])
        of |= dict(zip(rest, begun, strict=True))
        return [of[column] for column in range(len(detections))]

    def _live_pairs(self, detections: Sequence[Detection], boxes: F64) -> list[tuple[int, int]]:
        """Passes one and two: rows of the filters with detections."""
        expected, last = boxes_of(self._filters.mean), _array(each.last for each in self._live)
        same = _same(self._live, detections)
        since = np.array([self._now_s - each.seen_s for each in self._live], np.float64)
        pairs = pair(np.where(same, likeness(expected, last, since, boxes), 0.0))
        for row, column in pairs:
            same[row, :] = same[:, column] = False
        return pairs + pair(np.where(same, nearness(expected, last, since, boxes), 0.0))

    def _lost_pairs(self, detections: Sequence[Detection], boxes: F64) -> dict[int, _Trail]:
        """Pass three: detections that go on with a lost track, by their index."""
        shared = overlaps(_array(each.last for each in self._lost), boxes)
        gains = np.where(_same(self._lost, detections) & (shared >= SAME_PLACE), shared, 0.0)
        return {column: self._lost[row] for row, column in pair(gains)}

    def _begin(self, starts: Sequence[tuple[_Trail | None, Detection]]) -> list[_Trail]:
        """Filters for new and found tracks; these."""
        begun: list[_Trail] = []
        for found, detection in starts:
            trail = found or _Trail(len(self._trails) + 1, detection.category)
            if found is None:
                self._trails.append(trail)
            self._see(trail, detection)
            begun.append(trail)
        self._live += begun
        back = {id(found) for found, _detection in starts if found}
        self._lost = [each for each in self._lost if id(each) not in back]
        new = start(measure([detection.xywh_norm for _found, detection in starts]))
        self._filters = Filters(
            np.concatenate([self._filters.mean, new.mean]), np.concatenate([self._filters.cov, new.cov])
        )
        return begun

    def _see(self, trail: _Trail, detection: Detection) -> None:
        trail.seen.append((len(self._pictures) - 1, detection))
        trail.seen_s = self._now_s

    def _track(self, trail: _Trail) -> Track:
        points: list[TrackPoint] = []
        for place, (index, detection) in enumerate(trail.seen):
            if place:
                before, earlier = trail.seen[place - 1]
                for between in range(before + 1, index):
                    share = (between - before) / (index - before)
                    points.append(TrackPoint(*self._pictures[between], _between(earlier, detection, share), False))
            points.append(TrackPoint(*self._pictures[index], detection, True))
        return Track(trail.id, trail.category, tuple(points))


def _between(one: Detection, other: Detection, share: float) -> Detection:
    """What nobody saw: the box on the straight way from one to the other."""
    left, top, wide, high = (a * (1 - share) + b * share for a, b in zip(one.xywh_norm, other.xywh_norm, strict=True))
    return Detection(one.category, 0.0, (left, top, wide, high))


def _same(trails: Sequence[_Trail], detections: Sequence[Detection]) -> npt.NDArray[np.bool_]:
    same = [[trail.category == each.category for each in detections] for trail in trails]
    return np.array(same, np.bool_).reshape(len(trails), len(detections))


def _array(boxes: Iterable[Box]) -> F64:
    """Boxes (n, 4) as far as they are any: no side is negative, nothing is further than ten pictures away."""
    array = np.array(list(boxes), np.float64).reshape(-1, 4)
    return np.clip(array, [-10.0, -10.0, 0.0, 0.0], 10.0)


def _is_finite(detection: Detection) -> bool:
    return all(map(math.isfinite, (detection.score, *detection.xywh_norm)))


def _rank(detection: Detection) -> tuple[float, Category, Box, str]:
    """One order for the detections of a picture, whatever order they came in; the surest first."""
    rest = repr((detection.label, detection.classifications, detection.answer))
    return -detection.score, detection.category, detection.xywh_norm, rest
