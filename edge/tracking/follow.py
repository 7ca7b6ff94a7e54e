"""The tracks of a clip while it is being looked at: every detection gets its track, every track its best crops.

What a classifier says of one picture of an animal that turns, runs and hides is a guess; what it says of its best crops
together is an answer. Combined are probabilities, as their mean with the crops' worth as weights: a class must be
likely in most of them to be sure, and crops that contradict each other end at what they have in common (the rollup).
A mean of logarithms would let one crop veto all others: the classifier gives 0.0000 to what it does not see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..model import F32, Classification, Detection
from .tracker import Tracker

BEST_CROPS = 8  # of a track that have a say: more say the same again
APART_S = 1.0  # between two of them: neighbouring pictures show one pose twice


@dataclass(frozen=True, slots=True)
class _Crop:
    """A classified box. shares: float32, probability of each class that was known by then."""

    time_s: float
    worth: float
    detection: Detection
    shares: F32


@dataclass(slots=True)
class Following:
    """Who is who in one clip. Pictures come in by `look`, in order; memory is bounded by tracks, not by pictures."""

    tracker: Tracker = field(default_factory=Tracker)
    _crops: dict[int, list[_Crop]] = field(default_factory=dict)
    _columns: dict[str, int] = field(default_factory=dict)

    def look(self, number: int, time_s: float, detections: Sequence[Detection]) -> tuple[Detection, ...]:
        """The detections of the next picture, each with its track. number, time_s: as of edge.model.Frame."""
        ids = self.tracker.step(time_s, detections, number=number)
        for track, detection in zip(ids, detections, strict=True):
            if track is not None and detection.classifications:
                self._keep(track, time_s, detection)
        return tuple(replace(each, track=track) for track, each in zip(ids, detections, strict=True))

    def combined(self) -> Mapping[int, Detection]:
        """Of each track that was classified: its best detection with what all its best crops say together.

        Classifications are sorted, most likely first; there is no answer yet.
        """
        return {track: self._combine(track, crops) for track, crops in self._crops.items()}

    def _keep(self, track: int, time_s: float, detection: Detection) -> None:
        """Keep a crop if it is among the best, of those of one moment the best one."""
        crops, worth = self._crops.setdefault(track, []), worth_of(detection)
        rival = next((each for each in crops if abs(each.time_s - time_s) < APART_S), None)
        if rival is None and len(crops) >= BEST_CROPS:
            rival = min(crops, key=lambda each: each.worth)
        if rival is not None:
            if worth <= rival.worth:
                return
            crops.remove(rival)
        crops.append(_Crop(time_s, worth, detection, self._shares(detection)))

    def _shares(self, detection: Detection) -> F32:
        columns = [self._columns.setdefault(each.label, len(self._columns)) for each in detection.classifications]
        shares = np.zeros(len(self._columns), np.float32)
        shares[columns] = [each.score for each in detection.classifications]
        return shares

    def _combine(self, track: int, crops: Sequence[_Crop]) -> Detection:
        total = np.zeros(len(self._columns), np.float64)
        for crop in crops:
            total[: len(crop.shares)] += crop.worth * crop.shares
        total /= sum(crop.worth for crop in crops)
        labels = list(self._columns)
        order = [index for index in np.argsort(-total, kind="stable") if total[index] > 0]
        said = tuple(Classification(labels[index], float(total[index])) for index in order)
        best = max(crops, key=lambda each: each.worth).detection
        return replace(best, classifications=said, answer=None, track=track)


def worth_of(detection: Detection) -> float:
    """How much a crop is worth: the detector's score × the box's length as a share of the picture's; above 0."""
    _left, _top, wide, high = detection.xywh_norm
    area = min(max(wide, 0.0), 1.0) * min(max(high, 0.0), 1.0)
    return max(float(detection.score * area**0.5), 1e-6)
