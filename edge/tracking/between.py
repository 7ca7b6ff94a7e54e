"""Boxes between the pictures that were looked at: for an annotated copy, and to hide people in every picture."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..model import Box, Detection, PictureResult

PRIVATE = frozenset({"person", "vehicle"})  # a number plate names a person, too
HELD_S = 1.0  # after the last picture, or where the next is far: how long a box that ends is still drawn


@dataclass(frozen=True, slots=True)
class Between:
    """What is where at any time of a clip. pictures: those looked at, in order, one at least."""

    pictures: Sequence[PictureResult]

    def at(self, time_s: float) -> tuple[Detection, ...]:
        """The detections at a time, as well as one can tell: boxes of a track move evenly from sight to sight.

        What is in one of the two pictures around only is there until halfway, but no longer than HELD_S.
        """
        before, after = self._around(time_s)
        span = after.time_s - before.time_s
        share = (time_s - before.time_s) / span if span > 0 else 0.0
        then = {each.track: each for each in after.detections if each.track is not None}
        now = {each.track for each in before.detections if each.track is not None}
        found = []
        for each in before.detections:
            if each.track in then and each.track is not None and span > 0:
                other = then[each.track].xywh_norm
                moved = tuple(a * (1 - share) + b * share for a, b in zip(each.xywh_norm, other, strict=True))
                found.append(replace(each, xywh_norm=(moved[0], moved[1], moved[2], moved[3])))
            elif share <= 0.5 and time_s - before.time_s <= HELD_S:
                found.append(each)
        if share > 0.5 and after.time_s - time_s <= HELD_S:
            found += [each for each in after.detections if each.track not in now]
        return tuple(found)

    def people(self, time_s: float) -> tuple[Detection, ...]:
        """Everybody who may be there at a time: all people and vehicles of both pictures around it.

        Of one who is in both, a box around both boxes: people do not walk evenly. Who was between two pictures only is
        not among them.
        """
        before, after = self._around(time_s)
        found = [each for each in before.detections if each.category in PRIVATE]
        for each in after.detections if after is not before else ():
            if each.category not in PRIVATE:
                continue
            found.append(each)
            found += [
                replace(each, xywh_norm=_around_both(each.xywh_norm, other.xywh_norm))
                for other in before.detections
                if other.category in PRIVATE and (other.track == each.track or each.track is None)
            ]
        return tuple(found)

    def has_people(self, start_s: float, end_s: float) -> bool:
        """Whether a picture between the two times, or the next one beyond, shows a person or vehicle."""
        first, last = self._around(start_s)[0].time_s, self._around(end_s)[1].time_s
        return any(
            each.category in PRIVATE
            for picture in self.pictures
            if first <= picture.time_s <= last
            for each in picture.detections
        )

    def _around(self, time_s: float) -> tuple[PictureResult, PictureResult]:
        place = bisect_right([each.time_s for each in self.pictures], time_s)
        last = len(self.pictures) - 1
        return self.pictures[max(place - 1, 0)], self.pictures[min(place, last)]


def _around_both(one: Box, other: Box) -> Box:
    left, top = min(one[0], other[0]), min(one[1], other[1])
    right, bottom = max(one[0] + one[2], other[0] + other[2]), max(one[1] + one[3], other[1] + other[3])
    return left, top, right - left, bottom - top
