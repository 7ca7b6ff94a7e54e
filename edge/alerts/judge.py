"""A condition and a detection → whether it holds, and why. Pure but for `Past`, which looks into the records.

A condition holds when all its fields do, and every field leaves its reason, those of conditions inside too. What can't
be told (the hour of a frame without a time, the way of a still) does not hold; `not` turns that around like any other.

The score is compared where a condition names a thing or a `min_score`, or where nothing around it did; a `min_score`
beside `any` or `all` is for those inside. Inside a `not` only a `min_score` that stands there counts, so that
`not: {taxon: Felis catus}` also keeps back a cat that is hardly sure.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .because import Because, Verdict
from .before import past_leaves
from .conditions import DEFAULT_MIN_SCORE, Condition
from .sight import NoPast, Past, Sight
from .what import count_leaf, score_leaf, what_leaves
from .where_and_when import place_leaves, time_leaves, way_leaves

__all__ = ["NoPast", "Past", "Sight", "judge"]


@dataclass(frozen=True, slots=True)
class _Around:
    """What a condition has from those around it.

    min_score: in force. scored: a score was compared already. asked: the nearest one that says what was seen.
    inside_not: within an odd number of `not`; named: a min_score stands within the innermost of these.
    ask: nothing has spoken against it, so that records make a difference.
    """

    depth: int
    min_score: float
    scored: bool = False
    asked: Condition | None = None
    inside_not: bool = False
    named: bool = False
    ask: bool = True


def judge(condition: Condition, sight: Sight, past: Past, *, min_score: float = DEFAULT_MIN_SCORE) -> Verdict:
    """Judge one detection. Raises nothing but what `past` raises.

    condition: resolved, else its zones and groups are unknown and do not hold. min_score: where it names none.
    Pictures that a stage rejected are the caller's to leave out.
    """
    reasons: list[Because] = []
    holds = _judge(condition, sight, past, _Around(0, min_score), reasons)
    by_answer = any(each.code == "min_score" and each.holds for each in reasons)
    answer = sight.detection.answer
    return Verdict(holds, tuple(reasons), answer.score if by_answer and answer else sight.detection.score)


def _judge(condition: Condition, sight: Sight, past: Past, around: _Around, reasons: list[Because]) -> bool:
    while condition.not_ and condition.not_.not_ and condition.is_not_only and condition.not_.is_not_only:
        condition = condition.not_.not_  # a double `not` says nothing
    around = replace(
        around,
        min_score=around.min_score if condition.min_score is None else condition.min_score,
        named=around.named or condition.min_score is not None,
        asked=condition if condition.says_what else around.asked,
    )
    compares = _compares_score(condition, around)
    own = list(_leaves(condition, sight, around, compares=compares))
    around = replace(around, scored=around.scored or compares, ask=around.ask and all(each.holds for each in own))
    own += past_leaves(condition, sight, past, asked=around.asked, ask=around.ask)
    reasons += (replace(each, depth=around.depth) for each in own)
    around = replace(around, ask=around.ask and all(each.holds for each in own))
    # a list, because every part leaves its reasons
    return all([each.holds for each in own] + list(_nested(condition, sight, past, around, reasons)))


def _compares_score(condition: Condition, around: _Around) -> bool:
    if around.inside_not and not around.named:
        return False
    if condition.says_what:
        return True
    if condition.any or condition.all:  # each of those compares
        return False
    return condition.min_score is not None or not around.scored


def _leaves(condition: Condition, sight: Sight, around: _Around, *, compares: bool) -> Iterator[Because]:
    """The reasons that the detection, its place and its time give."""
    what = list(what_leaves(condition, sight.detection))
    yield from what
    if all(each.holds for each in what):  # of something else, score and number say nothing
        if compares:
            yield score_leaf(condition, sight.detection, around.min_score)
        if condition.min_count is not None:
            yield count_leaf(condition.min_count, sight, around.asked, around.min_score)
    yield from place_leaves(condition, sight)
    yield from time_leaves(condition, sight)
    yield from way_leaves(condition, sight)


def _nested(condition: Condition, sight: Sight, past: Past, around: _Around, reasons: list[Because]) -> Iterator[bool]:
    """Whether `any`, `all` and `not` hold, as far as they are there."""
    inside = replace(around, depth=around.depth + 1)
    for code, branches, combine in (("any", condition.any, any), ("all", condition.all, all)):
        if branches:
            below: list[Because] = []
            holds = combine([_branch(each, sight, past, inside, below) for each in branches])
            reasons += [Because(code, holds, {}, around.depth), *below]
            yield holds
    if condition.not_ is not None:
        below = []
        turned = replace(inside, inside_not=not around.inside_not, named=False)
        holds = not _judge(condition.not_, sight, past, turned, below)
        reasons += [Because("not", holds, {}, around.depth), *below]
        yield holds


def _branch(condition: Condition, sight: Sight, past: Past, around: _Around, reasons: list[Because]) -> bool:
    """Judge one entry of a list; where it has more than one reason, a line of its own holds them together."""
    below: list[Because] = []
    holds = _judge(condition, sight, past, around, below)
    if sum(each.depth == around.depth for each in below) == 1:
        reasons += below
    else:
        reasons += [
            Because("together", holds, {}, around.depth),
            *(replace(each, depth=each.depth + 1) for each in below),
        ]
    return holds
