"""What a frame shows: people's answers before the machine's. Pure.

Of what people said of the same thing (a box, or the whole frame) the newest counts that is not undone. Of a frame that
somebody answered as a whole, that answer counts and the machine's boxes do not; what is said of single boxes later
comes on top of it. Without such an answer each box is what a person said it is, else what the machine said.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..alerts.encounters import akin
from ..models.lineages import HUMAN
from ..store.said import in_force
from ..store.summaries import BoxRow, ReviewRow

Lineages = Callable[[str], tuple[str, ...]]  # scientific name → lineage, kingdom first; () for ""
KINDS = {"animal": "animal", "person": "human", "vehicle": "vehicle"}  # a detector's categories as people's answers
SAID = {"animal": "animal", "human": "human", "vehicle": "vehicle", "unknown": "animal"}  # blank is none


@dataclass(frozen=True, slots=True)
class Seen:
    """A kind on a frame. taxon: "" without a name and for what is no animal. count: the most in one picture.

    sure: the detector's score of its surest box; score: of the name where there is one; both 1 where a person said it.
    quality, number: of the picture that shows it best, as edge.alerts.encounters.quality has it.
    """

    kind: str
    taxon: str
    count: int = 1
    sure: float = 1.0
    score: float = 1.0
    quality: float = 0.0
    number: int = 0
    by_person: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A frame. machine: what the machine says; counts: what counts now; () for blank. answered: by a person."""

    machine: tuple[Seen, ...] = ()
    counts: tuple[Seen, ...] = ()
    answered: bool = False
    disagrees: bool = False


BLANK = Verdict()


def verdict(boxes: Sequence[BoxRow], reviews: Sequence[ReviewRow], lineage_of: Lineages) -> Verdict:
    """What a frame shows. boxes: those that count, without suppressed repeats. reviews: oldest first, none undone."""
    machine = [_seen(each) for each in boxes]
    if not reviews:
        if not boxes:
            return BLANK
        found = _together(zip(boxes, machine, strict=True))
        return Verdict(found, found)
    said = in_force(reviews, about=lambda each: each.observation, imported=lambda each: each.imported)
    whole = [each for each in said if each.observation is None]
    last = max((each.pk for each in whole), default=0)
    of_box = {each.observation: each for each in said if each.observation is not None and each.pk > last}
    at_odds = any(_differs(each, machine, lineage_of) for each in whole)
    shown: list[tuple[BoxRow, Seen]] = []
    for box, seen in zip(boxes, machine, strict=True):
        review = of_box.get(box.pk)
        if review is not None:
            at_odds = at_odds or _differs(review, [seen], lineage_of)
            if review.kind in SAID:
                shown.append((box, _said(review, seen)))
        elif not whole:
            shown.append((box, seen))
    best = max(machine, key=lambda each: each.quality, default=None)
    of_whole = [_said(each, best) for each in whole if each.kind in SAID]
    found = _together(zip(boxes, machine, strict=True))
    return Verdict(found, _merged(of_whole, _together(shown)), answered=True, disagrees=at_odds)


def _seen(box: BoxRow) -> Seen:
    kind, taxon = KINDS.get(box.category, "animal"), box.taxon
    if taxon == HUMAN or kind != "animal":
        kind, taxon = ("human" if taxon == HUMAN else kind), ""
    score = box.score if box.taxon_score is None else box.taxon_score
    return Seen(kind, taxon, 1, box.score, score, box.score * (box.w * box.h) ** 0.5, box.number)


def _said(review: ReviewRow, shown: Seen | None) -> Seen:
    kind = SAID[review.kind]
    taxon = review.taxon if kind == "animal" else ""
    quality, number = (shown.quality, shown.number) if shown else (0.0, 0)
    if taxon == HUMAN:
        kind, taxon = "human", ""
    return Seen(kind, taxon, max(review.count, 1), 1.0, 1.0, quality, number, by_person=True)


def _differs(review: ReviewRow, machine: Sequence[Seen], lineage_of: Lineages) -> bool:
    """Whether a person said something else than the machine; a finer or coarser name is the same."""
    if review.kind not in SAID:
        return bool(machine)
    said = _said(review, None)
    mine = lineage_of(said.taxon)
    return not any(each.kind == said.kind and akin(lineage_of(each.taxon), mine) for each in machine)


def _together(seen: Iterable[tuple[BoxRow, Seen]]) -> tuple[Seen, ...]:
    """Boxes of the same name as one: counted in the picture that has most of them."""
    groups: dict[tuple[str, str], list[tuple[int, Seen]]] = {}
    for box, each in seen:
        groups.setdefault((each.kind, each.taxon), []).append((box.number, each))
    return tuple(_one(kind, taxon, members) for (kind, taxon), members in groups.items())


def _one(kind: str, taxon: str, members: list[tuple[int, Seen]]) -> Seen:
    if len(members) == 1:
        return members[0][1]
    by_picture = Counter[int]()
    for number, each in members:
        by_picture[number] += each.count
    best = max((each for _number, each in members), key=lambda each: each.quality)
    return Seen(
        kind,
        taxon,
        max(by_picture.values()),
        max(each.sure for _number, each in members),
        max(each.score for _number, each in members),
        best.quality,
        best.number,
        by_person=any(each.by_person for _number, each in members),
    )


def _merged(of_whole: Iterable[Seen], of_boxes: Iterable[Seen]) -> tuple[Seen, ...]:
    """What was said of the whole frame, and on top of it what was said of boxes and has another name."""
    found: dict[tuple[str, str], Seen] = {}
    for each in (*of_whole, *of_boxes):
        found.setdefault((each.kind, each.taxon), each)
    return tuple(found.values())
