"""Captures: frames of one kind at one station with no longer pause than `gap` between them, as they come."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge.api import Detection, Outcome

from .stays import Stay


@dataclass(slots=True)
class Capture:
    """A kind at a station for a while. count: the most of it in one picture."""

    stay: Stay
    kind: str
    timezone: str
    start: datetime
    end: datetime
    frames: int = 0
    count: int = 0


def kind_of(detection: Detection) -> str:
    """What a detection is called: its answer's scientific name, else its category."""
    return detection.answer.taxon.scientific_name if detection.answer else detection.category


class Captures:
    """Takes frames, station by station in the order of time, and hands on each capture that is over."""

    def __init__(self, gap: timedelta, done: Callable[[Capture], None]) -> None:
        self._gap = gap
        self._done = done
        self._station = ""
        self._open: dict[str, Capture] = {}

    def add(self, outcome: Outcome, stay: Stay) -> None:
        """Take a frame; one of unknown time belongs to no capture."""
        at = outcome.spooled.captured.utc
        if outcome.spooled.station != self._station:
            self.finish()
            self._station = outcome.spooled.station
        if at is None:
            return
        for kind in [kind for kind, each in self._open.items() if at - each.end > self._gap]:
            self._done(self._open.pop(kind))
        for kind, count in most_together(outcome).items():
            zone = outcome.spooled.captured.timezone
            capture = self._open.setdefault(kind, Capture(stay, kind, zone, at, at))
            capture.end = max(capture.end, at)
            capture.frames += 1
            capture.count = max(capture.count, count)

    def finish(self) -> None:
        """Hand on what is still open."""
        for each in self._open.values():
            self._done(each)
        self._open.clear()


def most_together(outcome: Outcome) -> dict[str, int]:
    """Kind → the most of it that one picture of the frame shows."""
    most: Counter[str] = Counter()
    for picture in outcome.pictures:
        if picture.detections:
            most |= Counter(kind_of(each) for each in picture.detections)
    return dict(most)
