"""What was seen: taxon, group and category of a detection, its score, and how many of them a picture shows."""

from collections.abc import Iterator
from functools import lru_cache

from ..model import Detection, Taxon
from ..models.taxa import fold
from .because import JOINT, Because
from .conditions import Condition
from .sight import Sight


@lru_cache(maxsize=4096)
def names_of(taxon: Taxon) -> frozenset[str]:
    """All names, folded, by which a condition may mean this taxon or one above it."""
    return frozenset(
        fold(name) for name in (*taxon.lineage, taxon.scientific_name, taxon.english, taxon.spanish) if name
    )


def score_of(condition: Condition, detection: Detection) -> tuple[float, bool] | None:
    """(score, whether it is the answer's) by which a condition's own taxon, group and category take a detection.

    The answer's where a taxon, or a group by one of its taxa, is what it is about; else the detector's. None when the
    detection is not what the condition is about.
    """
    by_answer = False
    if condition.category and detection.category not in condition.category:
        return None
    if condition.taxon:
        by_answer = _is_of(detection, condition.taxon)
        if not by_answer:
            return None
    if condition.group:
        group = _of_group(condition, detection)
        if group is None:
            return None
        by_answer = by_answer or group
    return (detection.answer.score, True) if by_answer and detection.answer else (detection.score, False)


def what_leaves(condition: Condition, detection: Detection) -> Iterator[Because]:
    """The reasons that taxon, group and category give."""
    answer = detection.answer
    got = answer.taxon.scientific_name if answer else detection.category
    if condition.taxon:
        fields = {"got": got, "wanted": JOINT.join(condition.taxon)}
        yield Because("taxon" if answer else "taxon.none", _is_of(detection, condition.taxon), fields)
    if condition.group:
        fields = {"got": got, "wanted": JOINT.join(condition.group)}
        known = any(condition.members(each) is not None for each in condition.group)
        yield Because("group" if known else "group.unknown", _of_group(condition, detection) is not None, fields)
    if condition.category:
        fields = {"got": detection.category, "wanted": JOINT.join(condition.category)}
        yield Because("category", detection.category in condition.category, fields)


def score_leaf(condition: Condition, detection: Detection, least: float) -> Because:
    """The reason that the score gives."""
    score, by_answer = score_of(condition, detection) or (detection.score, False)
    fields = {"got": f"{score:.3f}", "wanted": f"{least:g}"}
    return Because("min_score" if by_answer else "min_score.box", score >= least, fields)


def count_leaf(least: int, sight: Sight, asked: Condition | None, min_score: float) -> Because:
    """The reason that the number of them in the picture gives.

    asked: the condition that says what they are; without one they are of the detection's category.
    """
    about = asked or Condition(category=(sight.detection.category,))
    found = [each for detection in sight.picture.detections if (each := score_of(about, detection))]
    count = sum(score >= min_score for score, _by_answer in found)
    return Because("min_count", count >= least, {"got": str(count), "wanted": str(least)})


def _is_of(detection: Detection, taxa: tuple[str, ...] | frozenset[str]) -> bool:
    if detection.answer is None:
        return False
    names = names_of(detection.answer.taxon)
    return any(fold(each) in names for each in taxa)


def _of_group(condition: Condition, detection: Detection) -> bool | None:
    """Whether it is by its answer that the detection is of one of the groups; None when it is of none."""
    members = [found for each in condition.group if (found := condition.members(each))]
    if any(_is_of(detection, each.taxa) for each in members):
        return True
    return False if any(detection.category in each.categories for each in members) else None
