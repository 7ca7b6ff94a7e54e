"""The row of a sequence: what its frames show together, by the machine and as it counts now. Pure.

Where one name of a kind leads to another (a felid, a puma) it is one animal under the finer name, as for encounters; a
name that a person gave stands above both.

`shows` is what sums are made of: `groups` [[kind, taxon, frames, most at once], …], `frames` [blank, with animals, with
people, with vehicles], `received` of the last to come.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ..alerts.encounters import akin
from ..store.summaries import BoxRow, FrameRow, ReviewRow
from ..sunlight import light_at
from .verdicts import Lineages, Seen, Verdict, verdict

EVENING, MORNING = 18, 6  # local hours of the night where nothing else tells
SHOWN = ("animal", "human", "vehicle")


@dataclass(frozen=True, slots=True)
class Where:
    """Where a station stands, as far as summaries care."""

    zone: ZoneInfo
    latitude: float | None = None
    longitude: float | None = None


@dataclass(slots=True)
class Group:
    """A kind of a sequence. frames: places of those that show it. sure, score: the highest. best: (frame, number)."""

    kind: str
    taxon: str
    lineage: tuple[str, ...]
    by_person: bool = False
    frames: set[int] = field(default_factory=set)
    count: int = 0
    sure: float = 0.0
    score: float = 0.0
    quality: float = -1.0
    best: tuple[int, int] = (0, 0)

    def see(self, frame: int, seen: Seen) -> None:
        """Take what one frame shows of it."""
        self.frames.add(frame)
        self.count = max(self.count, seen.count)
        self.sure = max(self.sure, seen.sure)
        if seen.taxon == self.taxon:
            self.score = max(self.score, seen.score)
        if seen.quality > self.quality:
            self.quality, self.best = seen.quality, (frame, seen.number)


def groups_of(shown: Iterable[tuple[int, Seen]], lineage_of: Lineages) -> list[Group]:
    """The kinds that frames, by position, show; a person's names first, then the finest."""
    found: list[Group] = []

    def rank(one: tuple[int, Seen]) -> tuple[bool, int, float, str]:
        seen = one[1]
        return not (seen.by_person and seen.taxon), -len(lineage_of(seen.taxon)), -seen.score, seen.taxon

    for frame, seen in sorted(shown, key=rank):
        lineage = lineage_of(seen.taxon)
        mine = next((each for each in found if each.kind == seen.kind and akin(each.lineage, lineage)), None)
        if mine is None:
            mine = Group(seen.kind, seen.taxon, lineage)
            found.append(mine)
        mine.by_person = mine.by_person or seen.by_person
        mine.see(frame, seen)
    return found


@dataclass(frozen=True, slots=True)
class Material:
    """What is known of some frames, by their pk."""

    boxes: Mapping[int, Sequence[BoxRow]]
    reviews: Mapping[int, Sequence[ReviewRow]]
    favourites: Collection[int]
    lineage_of: Lineages

    def verdict(self, frame: FrameRow) -> Verdict:
        """What a frame shows."""
        return verdict(self.boxes.get(frame.pk, ()), self.reviews.get(frame.pk, ()), self.lineage_of)


def row_of(frames: Sequence[FrameRow], material: Material, where: Where) -> dict[str, Any]:
    """The row of a sequence: all columns of `sequences`. frames: in the order of its pictures."""
    first = frames[0]
    ended = max(each.at + timedelta(seconds=each.lasts_s) for each in frames)
    return {
        "pk": first.pk,
        "station": first.station,
        "bucket": first.at.astimezone(UTC).date().isoformat(),
        "started_at": first.at,
        "ended_at": ended,
        "timed": first.timed,
        "frames": len(frames),
        "clips": sum(each.is_clip for each in frames),
        "night": is_night(frames, where),
        **shown_in(frames, material),
    }


def shown_in(frames: Sequence[FrameRow], material: Material) -> dict[str, Any]:
    """The columns that observations and reviews make."""
    verdicts = [material.verdict(each) for each in frames]
    machine = groups_of(_spread(each.machine for each in verdicts), material.lineage_of)
    counts = groups_of(_spread(each.counts for each in verdicts), material.lineage_of)
    surest = max(machine, key=lambda each: (each.sure, len(each.frames)), default=None)
    shown = max(counts, key=lambda each: (each.by_person, each.by_person and len(each.frames), each.sure), default=None)
    to_see = shown if shown is not None and shown.quality > 0 else surest
    best, number = to_see.best if to_see else (0, 0)
    by_kind = [sum(any(seen.kind == kind for seen in each.counts) for each in verdicts) for kind in SHOWN]
    return {
        "best_frame_pk": frames[best].pk,
        "best_number": number,
        "kind": surest.kind if surest else "blank",
        "taxon": surest.taxon if surest else "",
        "score": surest.score if surest else 0.0,
        "shown_kind": shown.kind if shown else "blank",
        "shown_taxon": shown.taxon if shown else "",
        "count": shown.count if shown else 0,
        "unreviewed": sum(not each.answered for each in verdicts),
        "disagrees": any(each.disagrees for each in verdicts),
        "people": any(each.people for each in frames) or any(by_kind[1:]),
        "favourite": any(each.pk in material.favourites for each in frames),
        "shows": {
            "groups": [[each.kind, each.taxon, len(each.frames), each.count] for each in counts],
            "frames": [sum(not each.counts for each in verdicts), *by_kind],
            "received": max(each.received for each in frames).isoformat(),
        },
    }


def is_night(frames: Sequence[FrameRow], where: Where) -> bool:
    """Whether a sequence began at night: by the sun, else as the pictures look, else by the clock."""
    first = frames[0]
    light = light_at(first.at if first.timed else None, latitude=where.latitude, longitude=where.longitude)
    if light is not None:
        return light == "night"
    looks = next((each.infrared for each in frames if each.infrared is not None), None)
    if looks is not None or not first.timed:
        return bool(looks)
    return not MORNING <= first.at.astimezone(where.zone).hour < EVENING


def _spread(seen: Iterable[tuple[Seen, ...]]) -> list[tuple[int, Seen]]:
    return [(position, each) for position, of_frame in enumerate(seen) for each in of_frame]


def received_of(shows: Mapping[str, Any]) -> datetime:
    """When the last frame of a sequence came."""
    return datetime.fromisoformat(shows["received"])
