"""What the report counts while frames come: captures by kind, hour, month and station, and the best picture of a kind.

Memory holds numbers by kind and station, and nothing of single frames but the best of each kind.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edge.api import Box, Category, Outcome, Services, Taxon

from .captures import Capture, Captures, kind_of
from .copies import shows_people, why_not
from .found import blank_or_why, local
from .stays import Stays

HOURS = 24


@dataclass(slots=True)
class Best:
    """The picture that shows a kind best. quality: score × square root of the box's share of the picture."""

    quality: float
    path: str
    box: Box
    station: str
    at: str


@dataclass(slots=True)
class Kind:
    """What was recorded of one kind. individuals: the most in one picture, summed over captures. hours: of captures."""

    category: Category
    taxon: Taxon | None = None
    captures: int = 0
    individuals: int = 0
    stations: Counter[str] = field(default_factory=Counter)
    hours: list[int] = field(default_factory=lambda: [0] * HOURS)
    months: Counter[str] = field(default_factory=Counter)
    first: str = ""
    last: str = ""
    best: Best | None = None


class Tally:
    """Takes frames, station by station in the order of time. independent: the pause that ends a capture."""

    def __init__(self, services: Services, independent: timedelta, *, pictures: bool) -> None:
        self.stays = Stays(services)
        self.kinds: dict[str, Kind] = {}
        self.frames: Counter[str] = Counter()  # by station
        self.blank = self.unlooked = self.with_people = self.unknown_times = self.failures = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._pictures = pictures
        self._captures = Captures(independent, self._capture)

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        spooled = outcome.spooled
        stay = self.stays.of(outcome)
        self.frames[spooled.station] += 1
        self.with_people += shows_people(outcome)
        at = spooled.captured.utc
        if at is None:
            self.unknown_times += 1
        else:
            self.first = at if self.first is None else min(self.first, at)
            self.last = at if self.last is None else max(self.last, at)
        if not any(picture.detections for picture in outcome.pictures):
            self.blank += blank_or_why(outcome)[0] == "blank"
            self.unlooked += blank_or_why(outcome)[0] != "blank"
            return
        for each in outcome.detections():
            kind = self.kinds.get(kind_of(each))
            if kind is None:
                taxon = each.answer.taxon if each.answer else None
                kind = self.kinds[kind_of(each)] = Kind(each.category, taxon)
        self._captures.add(outcome, stay)
        if self._pictures and spooled.kind == "still" and not outcome.damage:
            self._keep_best(outcome)

    def fail(self) -> None:
        """Take one file that could not be processed."""
        self.failures += 1

    def finish(self) -> None:
        """No frame comes any more."""
        self._captures.finish()

    def _capture(self, capture: Capture) -> None:
        kind = self.kinds[capture.kind]
        there = local(capture.start, capture.timezone)
        kind.captures += 1
        kind.individuals += capture.count
        kind.stations[capture.stay.station] += 1
        kind.hours[int(there[11:13])] += 1
        kind.months[there[:7]] += 1
        kind.first = min(kind.first or there[:10], there[:10])
        kind.last = max(kind.last, there[:10])

    def _keep_best(self, outcome: Outcome) -> None:
        captured = outcome.spooled.captured
        for each in outcome.detections():
            kind = self.kinds[kind_of(each)]
            score = each.answer.score if each.answer else each.score
            quality = score * (each.xywh_norm[2] * each.xywh_norm[3]) ** 0.5
            better = kind.best is None or quality > kind.best.quality
            if better and each.category == "animal" and not why_not(outcome, people=False):
                at = local(captured.utc, captured.timezone)[:16].replace("T", " ") if captured.utc else ""
                path = str(outcome.spooled.path)
                kind.best = Best(quality, path, each.xywh_norm, outcome.spooled.station, at)
