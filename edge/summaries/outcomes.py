"""What counts of a frame as detections, for exporters that state what is there and not who said it. Pure.

The same rules as verdicts.py. A person's answer takes over the machine's boxes of its kind, the surest first, under the
name that the person gave and with score 1; what is said to be there and has no box stands for the whole picture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..model import Answer, Category, Detection, Observed, Outcome, PictureResult, Review, Taxon
from ..models.lineages import HUMAN
from ..models.taxa import all_taxa
from .verdicts import SAID

CATEGORIES: dict[str, Category] = {"animal": "animal", "human": "person", "vehicle": "vehicle"}
WHOLE = (0.0, 0.0, 1.0, 1.0)  # as edge/importing/camtrap_words.py has what came without a box
Shown = tuple[Detection, Review | None]  # and who said so; None: the machine
REVIEWED = "reviewed:"  # of a remark, before the name of who said it


def as_counted(outcome: Outcome) -> Outcome:
    """The outcome with the detections that count now, each with who said it; itself where nobody said anything."""
    beside = outcome.beside
    if beside is None or not beside.reviews:
        return outcome
    whole = [each for each in beside.reviews if each.observation is None]
    last = max((each.pk for each in whole), default=0)
    of_box = {each.observation: each for each in beside.reviews if each.observation is not None and each.pk > last}
    numbers = iter([each.pk for each in beside.observed])
    machine = outcome.pictures or (PictureResult(0, 0.0, ()),)
    shown: list[list[Shown]] = []
    for picture in machine:
        mine = [(each, of_box.get(next(numbers, -1))) for each in picture.detections]
        shown.append([(_as_said(each, said), said) for each, said in mine if _stands(said, whole)])
    for said in whole:
        if said.kind in SAID:
            shown = [[*more, *kept] for more, kept in zip(_of_whole(machine, said), shown, strict=True)]
    pictures = tuple(_with(each, boxes) for each, boxes in zip(machine, shown, strict=True))
    observed = tuple(Observed(0, review=said) for boxes in shown for _box, said in boxes)
    return replace(outcome, pictures=pictures, beside=replace(beside, reviews=(), observed=observed))


def _stands(said: Review | None, whole: Sequence[Review]) -> bool:
    return said.kind in SAID if said is not None else not whole


def _with(picture: PictureResult, boxes: Sequence[Shown]) -> PictureResult:
    # a person looked at what a stage had put aside
    rejected = "" if any(said is not None and said.observation is None for _box, said in boxes) else picture.rejected
    return replace(picture, detections=tuple(box for box, _said in boxes), rejected=rejected)


def _of_whole(machine: Sequence[PictureResult], said: Review) -> list[list[Shown]]:
    """What is said of the whole frame, by picture: the surest boxes of its kind, in the fullest one all."""
    category, count = CATEGORIES[SAID[said.kind]], max(said.count, 1)
    boxes = [sorted(_of(category, each), key=lambda one: -one.score)[:count] for each in machine]
    fullest = max(range(len(boxes)), key=lambda place: len(boxes[place]))
    boxes[fullest] += [Detection(category, 1.0, WHOLE)] * (count - len(boxes[fullest]))
    return [[(_as_said(box, said), said) for box in each] for each in boxes]


def _of(category: Category, picture: PictureResult) -> Iterator[Detection]:
    return (each for each in picture.detections if each.category == category)


def _as_said(box: Detection, said: Review | None) -> Detection:
    if said is None:
        return box
    kind = SAID[said.kind]
    taxon = said.taxon if kind == "animal" else ""
    if taxon == HUMAN:
        kind, taxon = "human", ""
    answer = Answer(_taxon(taxon), 1.0, f"{REVIEWED}{said.by}") if taxon else None
    return replace(box, category=CATEGORIES[kind], score=1.0, answer=answer, classifications=())


def _taxon(name: str) -> Taxon:
    """The taxon of a scientific name; one that our table has not stands alone."""
    return all_taxa().get(name) or Taxon(name, "species" if " " in name else "genus", (name,))
