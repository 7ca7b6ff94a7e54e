"""Independent captures: of what passes a camera again and again within a while, the first counts.

An animal that feeds in front of a camera for an hour is one capture, not sixty. A record is independent when the same
species was not recorded at the station during the interval before it (O'Brien et al. 2003 took 0.5 h; the time since
the last record counts, not that since the last independent one). Frames come station by station in the order of time,
so memory holds one time for each kind of animal of one station.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from ..model import Category, Detection, Outcome

Key = tuple[Category, tuple[str, ...]]  # category, lineage of the answer, () without one


class Independence:
    """Tells the independent records of frames that come station by station in the order of time."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self._station: str | None = None
        self._last: dict[Key, datetime] = {}

    def keeper(self, outcome: Outcome) -> Callable[[Detection], bool]:
        """Which of the frame's detections are part of an independent record; the frame is taken note of.

        Several of a kind on one frame are one record and stay together. Where one answer is above another's (a felid, a
        puma), they are the same kind. Of a frame of unknown time none is.
        """
        spooled = outcome.spooled
        at = spooled.captured.utc
        if at is None:
            return lambda _detection: False
        if spooled.station != self._station:
            self._station = spooled.station
            self._last.clear()
        # in a clip the time of its begin stands for all of it
        keys = {_key(each) for each in outcome.detections()}
        independent = {key for key in keys if self._is_independent(key, at)}
        # what is over is forgotten; what goes on goes on from now
        self._last = {key: last for key, last in self._last.items() if at - last < self._interval}
        self._last |= dict.fromkeys(keys, at)
        return lambda detection: _key(detection) in independent

    def _is_independent(self, key: Key, at: datetime) -> bool:
        return not any(_same(key, other) and at - last < self._interval for other, last in self._last.items())


def _key(detection: Detection) -> Key:
    return detection.category, detection.answer.taxon.lineage if detection.answer else ()


def _same(one: Key, other: Key) -> bool:
    return one[0] == other[0] and all(a == b for a, b in zip(one[1], other[1], strict=False))


def keep_only(outcome: Outcome, keep: Callable[[Detection], bool]) -> Outcome | None:
    """The frame with these detections and what the record says of them; None when none is left."""
    pictures = tuple(
        replace(each, detections=tuple(filter(keep, each.detections))) if each.detections else each
        for each in outcome.pictures
    )
    if not any(each.detections for each in pictures):
        return None
    beside = outcome.beside
    if beside is not None and beside.observed:
        pairs = zip(outcome.detections(), beside.observed, strict=True)
        beside = replace(beside, observed=tuple(observed for detection, observed in pairs if keep(detection)))
    return replace(outcome, pictures=pictures, beside=beside)
