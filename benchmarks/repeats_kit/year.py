"""A synthetic year of one station: stones and branches that are planted, and animals, some of which come back.

Nothing here was fitted to photographs: the distributions are what camera-trap people describe, written down so that
anyone can argue with them. All shares are of the picture, all sizes the longer scale of a box; seeds make it
repeatable.

Triggers. 8 a day in the median (log-normal, σ 0.8, at most 60), each with 1 to 5 pictures 1 s apart. Half show an
animal, half nothing that lives. A fifth of the stations is out for 10 to 60 days; the camera of 15 % is moved once,
by 5 to 30 % of the picture, and that of another 20 % sags by up to 3 % over the year.

Planted. 1.5 things a station (Poisson), each there for 15 to 365 days. Side log-normal around 8 % (σ 0.6, 2 to 50 %),
aspect log-normal (σ 0.35). Each edge jitters by 1 to 4 % of the side and by 0.15 % of the picture, σ. The score has a
mean of 0.15 to 0.6 at noon, changes by up to ±0.3 towards night and by 0.1 (σ) from picture to picture; the detector
tells boxes from 0.2. 40 % are branches: the wind of each trigger shifts them by 2 to 6 % (σ) of their side and
changes that by half as much. A quarter is always taken for the same animal, a third of those surely (0.8 and more) on
most pictures.

Animals. Passers-by: along the station's trail (σ 5 % up and down), side log-normal around 20 % (σ 0.5), moving 1 to
15 % a picture. A fifth of the stations has a salt lick, where two fifths of the animals stop at night for 3 to 40
pictures: each visit lies 25 % of its side off (σ), each picture 10 % more, sizes 20 % and 8 %. A tenth has a bed that
is slept in on 30 to 70 % of the nights for 30 to 120 days: each night lies 10 % off, sizes 10 %, pictures 2 %, and
the sleeper turns (8 %) in every fifth. 3 % have a nest that is sat on for 20 to 40 days, by day: each visit 6 % off,
sizes 8 %. The classifier is sure of 70 % of the animals.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import cos, exp, pi

import numpy as np

from edge.model import Box
from edge.repeats.clusters import Seen

START = datetime(2026, 1, 1, tzinfo=UTC)
FLOOR = 0.2  # what a detector tells
SURE = 0.8
ANIMAL = -1
KINDS = ("Puma concolor", "Leopardus pardalis", "Cuniculus paca", "Mazama temama", "Dasyprocta punctata", "Nasua nasua")


@dataclass(frozen=True, slots=True)
class Thing:
    """What is planted. days: first and last of the year. box: where it is, of a camera that was not moved."""

    number: int
    days: tuple[int, int]
    box: Box
    jitter: float
    noon: float
    night: float
    sway: float
    name: str
    sure: float


@dataclass(slots=True)
class Year:
    """One station's boxes in the order of time. truth: of each, the number of the thing, or ANIMAL."""

    station: int
    seen: list[Seen] = field(default_factory=list)
    truth: list[int] = field(default_factory=list)
    days: list[int] = field(default_factory=list)
    pictures: int = 0


def make_year(station: int, *, seed: int = 1, days: int = 365, busier: float = 1.0) -> Year:
    """A year of a station. busier: times as many triggers."""
    return _Maker(np.random.default_rng([seed, station]), days, busier, Year(station)).made()


class _Maker:
    def __init__(self, rng: np.random.Generator, days: int, busier: float, year: Year) -> None:
        self.rng, self.days, self.year, self.pk = rng, days, year, 0
        self.rate = min(60.0, 8 * exp(rng.normal(0, 0.8))) * busier
        self.moved_on = int(rng.integers(60, 300)) if rng.random() < 0.15 else days
        self.moved_by = rng.choice([-1, 1], 2) * rng.uniform(0.05, 0.3, 2)
        self.sag = rng.uniform(0, 0.03) if rng.random() < 0.2 else 0.0
        begin = int(rng.integers(0, days)) if rng.random() < 0.2 else days
        self.out = range(begin, begin + int(rng.integers(10, 61)))
        self.trail = rng.uniform(0.4, 0.8)
        self.things = [self._thing(number) for number in range(rng.poisson(1.5))]
        self.lick = self._spot() if rng.random() < 0.2 else None
        self.bed = self._spot() if rng.random() < 0.1 else None
        self.bed_days = (int(first := rng.integers(0, 250)), int(first + rng.integers(30, 121)))
        self.bed_share = rng.uniform(0.3, 0.7)
        self.nest = self._spot(0.08) if rng.random() < 0.03 else None
        self.nest_days = (int(first := rng.integers(0, 320)), int(first + rng.integers(20, 41)))

    def made(self) -> Year:
        for day in range(self.days):
            if day not in self.out:
                self._one_day(day)
        order = sorted(range(len(self.year.seen)), key=lambda index: self.year.seen[index].at)
        self.year.seen = [self.year.seen[index] for index in order]
        self.year.truth = [self.year.truth[each.pk] for each in self.year.seen]
        return self.year

    def _one_day(self, day: int) -> None:
        rng = self.rng
        count = int(rng.poisson(self.rate))
        night = self.bed is not None and self.bed_days[0] <= day <= self.bed_days[1] and rng.random() < self.bed_share
        sits = self.nest is not None and self.nest_days[0] <= day <= self.nest_days[1]
        if count or night or sits:
            self.year.days.append((date(2026, 1, 1) + timedelta(days=day)).toordinal())
        for hour in sorted(rng.uniform(0, 24, count)):
            self._trigger(day, hour)
        if night and self.bed:
            self._stay(day, rng.uniform(0, 5), self.bed, int(rng.integers(2, 20)), visit=0.10, turn=0.08)
        for _visit in range(int(rng.integers(1, 5)) if sits and self.nest else 0):
            self._stay(day, rng.uniform(6, 18), self.nest, int(rng.integers(1, 6)), visit=0.06, turn=0.04)

    def _trigger(self, day: int, hour: float) -> None:
        rng = self.rng
        is_night = hour < 6 or hour > 18
        if rng.random() < 0.5:
            self._pictures(day, hour, [None] * int(rng.integers(1, 6)))
        elif self.lick and is_night and rng.random() < 0.4:
            self._stay(day, hour, self.lick, int(rng.integers(3, 41)), visit=0.25, turn=0.10)
        else:
            self._pictures(day, hour, self._passing())

    def _passing(self) -> list[Box | None]:
        rng = self.rng
        side = min(0.8, 0.2 * exp(rng.normal(0, 0.5)))
        wide, high = side * exp(rng.normal(0, 0.2)), side * 0.75 * exp(rng.normal(0, 0.2))
        x, step = rng.uniform(0, 1), rng.choice([-1, 1]) * rng.uniform(0.01, 0.15)
        y = self.trail + rng.normal(0, 0.05)
        boxes: list[Box | None] = []
        for number in range(int(rng.integers(1, 6))):
            sway = rng.normal(0, 0.04, 4)
            w, h = wide * exp(sway[0]), high * exp(sway[1])
            at = x + number * step
            boxes.append(_cut((at - w / 2, y - h / 2 + 0.01 * sway[2], w, h)))
        return boxes

    def _stay(self, day: int, hour: float, spot: Box | None, count: int, *, visit: float, turn: float) -> None:
        assert spot is not None
        rng = self.rng
        size = 0.2 if visit > 0.2 else 0.08 if visit < 0.1 else 0.1
        lies = _shifted(spot, rng.normal(0, visit, 2), rng.normal(0, size, 2))
        boxes: list[Box | None] = []
        for _number in range(count):
            if turn == 0.10 or rng.random() < 0.2:
                lies = _shifted(lies, rng.normal(0, turn, 2), rng.normal(0, turn * 0.8, 2))
            boxes.append(_cut(_shifted(lies, rng.normal(0, 0.02, 2), rng.normal(0, 0.02, 2))))
        self._pictures(day, hour, boxes, every_s=float(rng.choice([1, 30, 300])))

    def _pictures(self, day: int, hour: float, boxes: list[Box | None], *, every_s: float = 1.0) -> None:
        rng = self.rng
        name = str(rng.choice(KINDS)) if rng.random() < 0.7 else ""
        score = float(np.clip(rng.normal(0.75, 0.15), FLOOR, 0.99))
        wind = rng.normal(0, 1, 4)
        for number, box in enumerate(boxes):
            at = START + timedelta(days=day, hours=hour, seconds=number * every_s)
            self.year.pictures += 1
            if box is not None:
                shaken = float(np.clip(score + rng.normal(0, 0.05), FLOOR, 0.99))
                self._add(at, shaken, box, name if rng.random() < 0.9 else "", ANIMAL)
            for thing in self.things:
                self._show(thing, at, day, hour, wind)

    def _show(self, thing: Thing, at: datetime, day: int, hour: float, wind: np.ndarray) -> None:
        rng = self.rng
        light = (1 - cos(2 * pi * hour / 24)) / 2
        score = thing.noon + thing.night * (1 - light) + rng.normal(0, 0.1)
        if score < FLOOR or not thing.days[0] <= day <= thing.days[1]:
            return
        x, y, w, h = thing.box
        if day >= self.moved_on:
            x, y = x + self.moved_by[0], y + self.moved_by[1]
        y += self.sag * day / 365
        x, y = x + thing.sway * wind[0] * w, y + thing.sway * wind[1] * h
        w, h = w * exp(thing.sway / 2 * wind[2]), h * exp(thing.sway / 2 * wind[3])
        edges = rng.normal(0, 1, 4) * (thing.jitter * np.array([w, h, w, h]) + 0.0015)
        box = _cut((x + edges[0], y + edges[1], w + edges[2] - edges[0], h + edges[3] - edges[1]))
        if box is not None:
            name = thing.name if rng.random() < thing.sure else ""
            self._add(at, float(min(score, 0.99)), box, name, thing.number)

    def _add(self, at: datetime, score: float, box: Box, name: str, truth: int) -> None:
        seen = Seen(self.pk, self.pk, at, at.date().toordinal(), at.hour, "animal", score, box, name)
        self.year.seen.append(seen)
        self.year.truth.append(truth)
        self.pk += 1

    def _thing(self, number: int) -> Thing:
        rng = self.rng
        side = float(np.clip(0.08 * exp(rng.normal(0, 0.6)), 0.02, 0.5))
        aspect = exp(rng.normal(0, 0.35) / 2)
        length = int(rng.integers(15, 366))
        first = int(rng.integers(0, max(1, self.days - length + 1)))
        taken_for_one, sure = rng.random() < 0.25, rng.random() < 1 / 3
        return Thing(
            number=number,
            days=(first, first + length),
            box=(rng.uniform(0, 1 - side), rng.uniform(0.2, 1 - side * 0.8), side * aspect, side / aspect),
            jitter=rng.uniform(0.01, 0.04),
            noon=rng.uniform(0.15, 0.6),
            night=rng.uniform(-0.3, 0.3),
            sway=rng.uniform(0.02, 0.06) if rng.random() < 0.4 else 0.0,
            name=str(rng.choice(KINDS)) if taken_for_one else "",
            sure=0.7 if sure else 0.2,
        )

    def _spot(self, side: float = 0.25) -> Box:
        rng = self.rng
        wide, high = side * exp(rng.normal(0, 0.3)), side * 0.7 * exp(rng.normal(0, 0.3))
        return rng.uniform(0.05, 0.95 - wide), rng.uniform(0.3, 0.95 - high), wide, high


def _shifted(box: Box, by: np.ndarray, grown: np.ndarray) -> Box:
    """by: of the centre, in sides; grown: logarithms."""
    x, y, w, h = box
    wide, high = w * exp(grown[0]), h * exp(grown[1])
    return x + w / 2 + by[0] * w - wide / 2, y + h / 2 + by[1] * h - high / 2, wide, high


def _cut(box: Box) -> Box | None:
    """What of a box lies in the picture; None when next to nothing does."""
    x, y, w, h = box
    x0, y0, x1, y1 = max(0.0, x), max(0.0, y), min(1.0, x + w), min(1.0, y + h)
    return (
        (x0, y0, x1 - x0, y1 - y0) if x1 - x0 > 0.01 and y1 - y0 > 0.01 else None
    )  # because a detector finds nothing smaller
