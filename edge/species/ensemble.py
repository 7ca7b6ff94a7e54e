"""What a detector and a classifier say together of one box: pure rules, no pixels.

Two sets of rules. `sum_up`: the finest taxon whose summed probability is sure enough. `decide`: the rules of
SpeciesNet's ensemble, in their published order and with their thresholds, for any classifier that has a taxonomy; those
about blank, human and vehicle classes apply where the classifier has such classes.
Source: google/cameratrapai, ensemble and geofence of SpeciesNet; numbers in docs/field-data.md#species.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..model import RANKS, Answer, Category, Classification, Rank, Taxon
from ..models.taxonomy import MIN_SCORE, Kind, Taxonomy
from .fence import Fence, best_class, climb, mark

Said = Literal["animal", "human", "vehicle", "blank", "unknown"]

# The published thresholds; each is "more than", never "at least".
SURE_DETECTION = 0.7  # 1a, 2b: a person or vehicle on the detector's word alone
FAIR_DETECTION = 0.2  # 1b, 2a, 2c, 4b: with the classifier's agreement
HUMAN_CLASS = 0.5  # 1b, 2a
VEHICLE_CLASS = 0.4  # 2c
BLANK_CLASS = 0.5  # 3a, with a detection below FAIR_DETECTION
SURE_BLANK_CLASS = 0.99  # 3b
SURE_ANIMAL_CLASS = 0.8  # 4a
ANIMAL_CLASS = 0.65  # 4b
ANIMAL_DETECTION = 0.5  # 5b
KINGDOM = "Animalia"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the answers of a site go by. thresholds: scientific name → least probability, instead of `min_score`."""

    taxonomy: Taxonomy
    min_score: float = MIN_SCORE
    thresholds: Mapping[str, float] = field(default_factory=dict)
    fence: Fence | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a box is. answer: of an animal, None for one that is no more than that. rule: which rule said so, "4a"."""

    said: Said
    score: float
    answer: Answer | None = None
    rule: str = ""


def sum_up(classes: Sequence[Classification], rules: Rules, *, skip: frozenset[Rank] = frozenset()) -> Answer | None:
    """The finest taxon that is sure enough; None when not even the kingdom is.

    With a list: what the classifier alone is sure of, and the list does not allow, climbs to what it does, and is
    marked. Else the list's prior may make the answer finer; one that leaves out what was most likely before is marked,
    too. skip: ranks that are no answer. Raises ValueError when a class is not in the taxonomy.
    """
    sums, fence = rules.taxonomy.sums(classes), rules.fence
    plain = _finest(sums, rules, skip)
    if fence is None:
        return plain
    if plain is not None and fence.bars(plain.taxon):
        return climb(plain.taxon, sums, fence, rules.taxonomy, skip=skip)
    weighed = _finest(rules.taxonomy.sums(fence.weigh(classes, rules.taxonomy)), rules, skip)
    if weighed is None or fence.bars(weighed.taxon) or (plain and _depth(weighed) < _depth(plain)):
        return plain
    best = best_class(classes, rules.taxonomy)
    changed = plain is None or plain.taxon != weighed.taxon
    if changed and best and not fence.species.allows(best[0]) and best[0].scientific_name not in weighed.taxon.lineage:
        return mark(weighed, best[0])
    return weighed


def _finest(sums: Mapping[str, float], rules: Rules, skip: frozenset[Rank]) -> Answer | None:
    return rules.taxonomy.finest_sure(
        sums, min_score=rules.min_score, thresholds=rules.thresholds, allows=lambda taxon: taxon.rank not in skip
    )


def _depth(answer: Answer) -> int:
    return RANKS.index(answer.taxon.rank)


def decide(category: Category, score: float, classes: Sequence[Classification], rules: Rules) -> Verdict:
    """What the published rules say of a box.

    category, score: the detector's. classes: most likely first; empty when no classifier looked. The box of a person or
    vehicle becomes an animal only where the classifier could have said human, or vehicle, itself: one that can not must
    not take the blur off a person. Raises ValueError when a class is not in the taxonomy.
    """
    taxonomy = rules.taxonomy
    top = classes[0] if classes else None
    kind: Kind | None = taxonomy.class_of(top.label).kind if top else None
    sure = top.score if top else 0.0
    found = _people_and_vehicles(category, score, kind, sure) or _blank(score, kind, sure)
    if found:
        return found
    if category != "animal" and not {"human", "vehicle"} & taxonomy.kinds:
        return Verdict("unknown", sure)
    animal = taxonomy.class_of(top.label).trusted if top else None
    if top and animal:
        rule = "4a" if sure > SURE_ANIMAL_CLASS else ""
        fair = category == "animal" and score > FAIR_DETECTION
        rule = rule or ("4b" if sure > _least(animal, rules) and fair else "")
        if rule and sure >= rules.thresholds.get(animal.scientific_name, 0.0):
            return _fenced(Answer(animal, min(sure, 1.0)), classes, rules, rule)
    answer = _rolled_up(classes, rules)
    if answer:
        return Verdict("animal", answer.score, answer, "5a")
    if category == "animal" and score > ANIMAL_DETECTION:
        return Verdict("animal", score, Answer(taxonomy.taxon(KINGDOM), score), "5b")
    return Verdict("unknown", sure)


def _least(taxon: Taxon, rules: Rules) -> float:
    return rules.thresholds.get(taxon.scientific_name, ANIMAL_CLASS)


def _people_and_vehicles(category: Category, score: float, kind: Kind | None, sure: float) -> Verdict | None:
    """Rules 1 and 2."""
    if category == "person":
        if score > SURE_DETECTION:
            return Verdict("human", score, rule="1a")
        if score > FAIR_DETECTION and kind in {"human", "vehicle"} and sure > HUMAN_CLASS:
            return Verdict("human", sure, rule="1b")
    if category == "vehicle":
        if score > FAIR_DETECTION and kind == "human" and sure > HUMAN_CLASS:
            return Verdict("human", sure, rule="2a")
        if score > SURE_DETECTION:
            return Verdict("vehicle", score, rule="2b")
        if score > FAIR_DETECTION and kind == "vehicle" and sure > VEHICLE_CLASS:
            return Verdict("vehicle", sure, rule="2c")
    return None


def _blank(score: float, kind: Kind | None, sure: float) -> Verdict | None:
    """Rule 3."""
    if kind == "blank" and score < FAIR_DETECTION and sure > BLANK_CLASS:
        return Verdict("blank", sure, rule="3a")
    if kind == "blank" and sure > SURE_BLANK_CLASS:
        return Verdict("blank", sure, rule="3b")
    return None


def _fenced(answer: Answer, classes: Sequence[Classification], rules: Rules, rule: str) -> Verdict:
    """Rule 4's answer, or what stands above it where the list does not allow it."""
    if rules.fence and rules.fence.bars(answer.taxon):
        sums = rules.taxonomy.sums(classes)
        answer = climb(answer.taxon, sums, rules.fence, rules.taxonomy, skip=frozenset({"species", "genus"}))
        rule += "+geofence"
    return Verdict("animal", answer.score, answer, rule)


def _rolled_up(classes: Sequence[Classification], rules: Rules) -> Answer | None:
    """Rule 5a: genus to kingdom, at more than 0.65, not at just that. With a list as in `sum_up`."""
    answer = sum_up(classes, rules, skip=frozenset({"species"}))
    if answer and answer.score > rules.thresholds.get(answer.taxon.scientific_name, rules.min_score):
        return answer
    return None
