"""What counts of a frame as detections, for exporters that state what is there and not who said it. Pure.

The same rules as verdicts.py. A person's answer takes over the machine's boxes of its kind, the surest first, under the
name that the person gave and with score 1; what is said to be there and has no box stands for the whole picture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..model import Answer, Category, Detection, Outcome, PictureResult, Review, Taxon
from ..models.lineages import HUMAN
from ..models.taxa import all_taxa
from .verdicts import SAID

CATEGORIES: dict[str, Category] = {"animal": "animal", "human": "person", "vehicle": "vehicle"}
WHOLE = (0.0, 0.0, 1.0, 1.0)  # as edge/importing/camtrap_words.py has what came without a box
REVIEWED = "reviewed:"  # of a remark, before the name of who said it


def as_counted(outcome: Outcome) -> Outcome:
    """The outcome with the detections that count now; itself where nobody said anything of it."""
    beside = outcome.beside
    if beside is None or not beside.reviews:
        return outcome
    whole = [each for each in beside.reviews if each.observation is None]
    last = max((each.pk for each in whole), default=0)
    of_box = {each.observation: each for each in beside.reviews if each.observation is not None and each.pk > last}
    numbers = iter([each.pk for each in beside.observed])
    machine = outcome.pictures or (PictureResult(0, 0.0, ()),)
    pictures = []
    for picture in machine:
        mine = [(each, of_box.get(next(numbers, -1))) for each in picture.detections]
        kept = tuple(each if said is None else _as_said(each, said) for each, said in mine if _stands(said, whole))
        pictures.append(replace(picture, detections=kept))
    for said in whole:
        if said.kind in SAID:
            pictures = _with(pictures, machine, said)
    return replace(outcome, pictures=tuple(pictures), beside=replace(beside, reviews=(), observed=()))


def _stands(said: Review | None, whole: Sequence[Review]) -> bool:
    return said.kind in SAID if said is not None else not whole


def _with(kept: list[PictureResult], machine: Sequence[PictureResult], said: Review) -> list[PictureResult]:
    """Pictures with what is said of the whole frame: in each the surest boxes of its kind, in the fullest one all."""
    category, count = CATEGORIES[SAID[said.kind]], max(said.count, 1)
    boxes = [sorted(_of(category, each), key=lambda one: -one.score)[:count] for each in machine]
    fullest = max(range(len(boxes)), key=lambda place: len(boxes[place]))
    bare = Detection(category, 1.0, WHOLE)
    boxes[fullest] += [bare] * (count - len(boxes[fullest]))
    return [
        # a person looked at what a stage had put aside
        replace(each, detections=(*(_as_said(box, said) for box in more), *each.detections), rejected="")
        if more
        else each
        for each, more in zip(kept, boxes, strict=True)
    ]


def _of(category: Category, picture: PictureResult) -> Iterator[Detection]:
    return (each for each in picture.detections if each.category == category)


def _as_said(box: Detection, said: Review) -> Detection:
    kind = SAID[said.kind]
    taxon = said.taxon if kind == "animal" else ""
    if taxon == HUMAN:
        kind, taxon = "human", ""
    answer = Answer(_taxon(taxon), 1.0, f"{REVIEWED}{said.by}") if taxon else None
    return replace(box, category=CATEGORIES[kind], score=1.0, answer=answer, classifications=())


def _taxon(name: str) -> Taxon:
    """The taxon of a scientific name; one that our table has not stands alone."""
    return all_taxa().get(name) or Taxon(name, "species" if " " in name else "genus", (name,))
