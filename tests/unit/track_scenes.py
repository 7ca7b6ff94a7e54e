"""Boxes with known identities for the tests of the tracker: (number, time_s, [(box, score, identity)]) a picture."""

import json
from pathlib import Path

import numpy as np

from edge.model import Detection
from edge.tracking.tracker import Tracker
from tests.unit.sort_reference import Sort, iou

# The default detector's boxes of the 30 fps clip chimp.mp4, all 450 pictures. Identities by eye, on 23 pictures, then
# for all by overlap with places; "pair" is a box around two, between which and its two the detector wavers, "rock" a
# false one, "" nobody known.
CLIP = Path(__file__).parents[1] / "data" / "track_boxes.json"


def clip(every=1):
    pictures = json.loads(CLIP.read_text("utf-8"))
    return [
        (number, number / 30, [(tuple(box), score, who) for *box, score, who in pictures.get(str(number), [])])
        for number in range(0, 450, every)
    ]


def crossing(seed, rate_hz, animals=4, seconds=6.0):
    """Animals that cross the picture both ways, hidden behind each other, missed in a tenth of the pictures.

    Odd seeds have a variable frame rate.
    """
    random = np.random.default_rng(seed)
    herd = [_walker(random) for _ in range(animals)]
    pictures, time_s = [], 0.0
    while time_s < seconds:
        seen = []
        for who, (size, at, speed) in enumerate(herd):
            centre = at + speed * time_s
            if 0 <= centre[0] <= 1 and random.random() >= 0.1:
                wobble = 1 + random.normal(0, 0.04, 2)
                middle = centre + random.normal(0, 0.04, 2) * size
                box = tuple(map(float, (*(middle - size / 2), *(size * wobble))))
                if all(iou(box, other) <= 0.6 for other, _score, _who in seen):
                    seen.append((box, float(random.uniform(0.4, 0.9)), f"animal {who}"))
        pictures.append((len(pictures), time_s, seen))
        time_s += (random.uniform(0.5, 1.5) if seed % 2 else 1.0) / rate_hz
    return pictures


def _walker(random):
    wide = random.uniform(0.06, 0.2)
    way = random.choice([-1, 1])
    size = np.array([wide, wide * random.uniform(0.8, 1.6)])
    at = np.array([(0 if way > 0 else 1) - way * random.uniform(0, 0.3), random.uniform(0.3, 0.5)])
    return size, at, np.array([way * random.uniform(0.08, 0.45), random.uniform(-0.02, 0.02)])


def ours(pictures):
    """The track of every box."""
    tracker = Tracker()
    for number, time_s, seen in pictures:
        named = [Detection("animal", score, box, label=str(place)) for place, (box, score, _who) in enumerate(seen)]
        tracker.step(time_s, named, number=number)
    ids = {
        (point.number, int(point.detection.label)): track.id
        for track in tracker.tracks()
        for point in track.points
        if point.matched
    }
    return [[ids[number, place] for place in range(len(seen))] for number, _time_s, seen in pictures]


def reference(pictures, max_age=1, min_hits=3):
    """The same of SORT, None where it tells no track yet."""
    sort = Sort(max_age=max_age, min_hits=min_hits)
    return [sort.step([box for box, _score, _who in seen]) for _number, _time_s, seen in pictures]


def merged_away(pictures):
    """Boxes around two animals are nobody's identity."""
    return [
        (number, time_s, [(box, score, "" if who == "pair" else who) for box, score, who in seen])
        for number, time_s, seen in pictures
    ]


def where_told(ids, others):
    """ids, None where the other tracker tells no track."""
    return [
        [one if other is not None else None for one, other in zip(these, those, strict=True)]
        for these, those in zip(ids, others, strict=True)
    ]


def switches(pictures, ids):
    """How often a known identity goes on under another id than before."""
    last, switched = {}, 0
    for (_number, _time_s, seen), these in zip(pictures, ids, strict=True):
        for (_box, _score, who), one in zip(seen, these, strict=True):
            if who and one is not None:
                switched += last.get(who, one) != one
                last[who] = one
    return switched
