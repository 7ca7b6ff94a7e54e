"""What people want to know of tracks: how long, which way, how many at once, and which pictures show it best."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Literal

from ..model import Box, PictureResult
from .tracker import Track, TrackPoint

Direction = Literal["toward", "away", "left", "right"]

MIN_SHIFT = 0.1  # of the picture's width: less is a sway of the head or of the box
MIN_GROWTH = 1.25  # of the box's height: by then the way to the camera is a fifth shorter


def tracks_of(pictures: Iterable[PictureResult]) -> list[Track]:
    """The tracks of a clip that was looked at, by number; only sights, nothing between them."""
    points: dict[int, list[TrackPoint]] = {}
    for picture in pictures:
        for each in picture.detections:
            if each.track is not None:
                points.setdefault(each.track, []).append(TrackPoint(picture.number, picture.time_s, each, True))
    return [Track(number, seen[0].detection.category, tuple(seen)) for number, seen in sorted(points.items())]


def duration_s(track: Track) -> float:
    """Seconds from the first sight to the last; 0 when it was seen once."""
    times = [point.time_s for point in track.points]
    return max(times) - min(times)  # and not last less first: clocks of damaged clips step back


def boxes_seen(track: Track) -> tuple[Box, ...]:
    """The detector's own boxes, in the order of the clip."""
    return tuple(point.detection.xywh_norm for point in track.points if point.matched)


def directions(track: Sequence[Box]) -> frozenset[Direction]:
    """Where a track leads: left or right as the picture shows it, toward or away from the camera; none, one or two.

    The ends are medians of a third of the boxes each, so that one bad box turns nothing.
    """
    if len(track) < 2:
        return frozenset()
    third = math.ceil(len(track) / 3)
    first, last = track[:third], track[-third:]
    found: set[Direction] = set()
    shift = median(x + w / 2 for x, _y, w, _h in last) - median(x + w / 2 for x, _y, w, _h in first)
    if abs(shift) >= MIN_SHIFT:
        found.add("right" if shift > 0 else "left")
    # the height, because at the sides of the picture a box gets narrower without going away
    before, after = median(box[3] for box in first), median(box[3] for box in last)
    if before > 0 and after > 0:
        if after >= before * MIN_GROWTH:
            found.add("toward")
        elif before >= after * MIN_GROWTH:
            found.add("away")
    return frozenset(found)


def most_at_once(tracks: Iterable[Track]) -> int:
    """The greatest number of tracks in one picture: individuals that were there for certain, unless one was doubled.

    One that the detector lost for a moment and found again was there meanwhile. 0 without tracks.
    """
    return max(Counter(point.number for track in tracks for point in track.points).values(), default=0)


def best_points(
    track: Track, count: int, *, sharpness: Callable[[TrackPoint], float] = lambda _point: 1.0
) -> list[TrackPoint]:
    """Up to `count` points that show the animal best, the best first: score × area × sharpness, spread over time.

    The track's time is cut into `count` equal spans and the best of each is taken, so that not all are of one
    moment and one pose; what empty spans leave is filled with the best of the rest. sharpness: 0..1, of the box in its
    picture, called once a point; points that the detector did not see are never taken.
    """
    if count < 1:
        raise ValueError(f"count must be ≥ 1, got {count}")
    seen = [point for point in track.points if point.matched]
    worth = {point.number: _worth(point) * sharpness(point) for point in seen}
    ranked = sorted(seen, key=lambda point: (-worth[point.number], point.number))
    first = min((point.time_s for point in seen), default=0.0)
    span = duration_s(track) / count if seen else 0.0
    best: dict[int, TrackPoint] = {}
    for point in ranked:
        place = min(count - 1, int((point.time_s - first) / span)) if span > 0 else 0
        best.setdefault(place, point)
    taken = {point.number for point in best.values()}
    fill = [point for point in ranked if point.number not in taken][: count - len(best)]
    chosen = taken | {point.number for point in fill}
    return [point for point in ranked if point.number in chosen]


def _worth(point: TrackPoint) -> float:
    _left, _top, wide, high = point.detection.xywh_norm
    return point.detection.score * min(max(wide, 0.0), 1.0) * min(max(high, 0.0), 1.0)
