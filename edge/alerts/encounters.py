"""Encounters: what one animal (or group of its kind), person or vehicle does before one camera, as one event.

An encounter takes in what is of its kind and comes within a gap of its times; it knows the finest name and the best
picture so far. Pure: the rows are edge/store/encounters.py's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..model import Category, Detection, Outcome, PictureResult

CLOSER = 2.0  # a picture in which the animal takes this much more of the area is closer, and worth an update
FIRST_CLOSE_AREA = 0.01  # share of the picture; below it twice as large is still a speck


@dataclass(frozen=True, slots=True)
class Sighted:
    """A detection and the picture it stands in."""

    picture: PictureResult
    detection: Detection


@dataclass(frozen=True, slots=True)
class Group:
    """What a frame shows of one kind. lineage: the finest of its names, kingdom first, () when none has a name."""

    category: Category
    lineage: tuple[str, ...]
    sighted: tuple[Sighted, ...]

    @property
    def best(self) -> Sighted:
        """The one to show: see `quality`."""
        return max(self.sighted, key=lambda each: quality(each.detection))


def groups_in(outcome: Outcome) -> list[Group]:
    """The kinds in a frame, finest names first; a box without a fine name counts with the kind it may be of.

    Pictures that a stage rejected don't count.
    """
    found = [
        Sighted(picture, detection)
        for picture in outcome.pictures
        if not picture.rejected
        for detection in picture.detections
    ]
    kinds: dict[tuple[Category, tuple[str, ...]], list[Sighted]] = {}
    for each in sorted(found, key=lambda each: -len(lineage_of(each.detection))):
        category, lineage = each.detection.category, lineage_of(each.detection)
        kind = next((key for key in kinds if key[0] == category and akin(key[1], lineage)), (category, lineage))
        kinds.setdefault(kind, []).append(each)
    return [Group(category, lineage, tuple(members)) for (category, lineage), members in kinds.items()]


def lineage_of(detection: Detection) -> tuple[str, ...]:
    """Scientific names from the kingdom down to the answer; () when nothing has named it."""
    return detection.answer.taxon.lineage if detection.answer else ()


def akin(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two lineages may be of the same animal: one leads to the other, or says nothing."""
    shorter = min(len(one), len(other))
    return tuple(one[:shorter]) == tuple(other[:shorter])


def quality(detection: Detection) -> float:
    """How much a picture of it shows, 0..1: its score times the root of the share of the picture it takes."""
    return float(detection.score * area(detection) ** 0.5)


def area(detection: Detection) -> float:
    """Share of the picture, 0..1."""
    return detection.xywh_norm[2] * detection.xywh_norm[3]


def is_closer(new: Detection, old: Detection) -> bool:
    """Whether `new` shows so much more of it that who has seen `old` wants to see it."""
    return area(new) >= CLOSER * max(area(old), FIRST_CLOSE_AREA / CLOSER)


def is_finer(new: Detection, old: Detection) -> bool:
    """Whether `new` has a finer name than `old`."""
    return len(lineage_of(new)) > len(lineage_of(old))


def seen_at(outcome: Outcome) -> datetime:
    """When it was there: as captured, or as received where the camera did not say."""
    return outcome.spooled.captured.utc or outcome.spooled.received_at


def together(sighted: Iterable[Sighted], one: Sighted) -> int:
    """How many of its kind stand in the same picture, itself included."""
    return sum(each.picture.number == one.picture.number for each in sighted)
