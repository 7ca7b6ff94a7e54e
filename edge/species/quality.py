"""How good were the answers? Labels and what was recorded → recall, precision, accuracy by rank, calibration error.

One answer a file: the box that the detector was surest of says what it shows, and the surest box with an answer says
which animal. A file that failed is told apart; it counts as not found.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..model import RANKS, Answer, Category, Detection, Outcome, Rank, Taxon
from ..models.taxa import all_taxa
from .labels import Label, Shows
from .reliability import Bin, bins_of, calibration_error

FAILED = "failed"
NO_ANSWER = "–"
SAYS: Mapping[Category, Shows] = {"animal": "animal", "person": "human", "vehicle": "vehicle"}
SCORED: tuple[Shows, ...] = ("animal", "human", "vehicle", "blank")


@dataclass(frozen=True, slots=True)
class Found:
    """What was recorded of a labelled file. said: a `Shows`, or FAILED. answer: of its surest animal, if any."""

    label: Label
    said: str
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class KindScore:
    """Of one kind: files labelled so, said to be so, and both."""

    labelled: int
    said: int
    right: int

    @property
    def recall(self) -> float | None:
        """Share of the labelled that was found; None without any."""
        return self.right / self.labelled if self.labelled else None

    @property
    def precision(self) -> float | None:
        """Share of the said that was right; None without any."""
        return self.right / self.said if self.said else None


@dataclass(frozen=True, slots=True)
class RankScore:
    """Of one rank, over the files whose label is as fine: answers that were right, wrong, or not so fine."""

    right: int = 0
    wrong: int = 0
    silent: int = 0

    @property
    def files(self) -> int:
        """All of them."""
        return self.right + self.wrong + self.silent

    @property
    def accuracy(self) -> float | None:
        """Share that was right, of all; None without a file."""
        return self.right / self.files if self.files else None

    @property
    def precision(self) -> float | None:
        """Share that was right, of those with an answer so fine; None without one."""
        answered = self.right + self.wrong
        return self.right / answered if answered else None


@dataclass(frozen=True, slots=True)
class Quality:
    """All figures. confusion: (labelled, said) → files. species: (labelled taxon, answer) → files."""

    files: int
    failed: int
    kinds: Mapping[Shows, KindScore]
    ranks: Mapping[Rank, RankScore]
    confusion: Mapping[tuple[str, str], int]
    species: Mapping[tuple[str, str], int]
    bins: Sequence[Bin] = field(default_factory=tuple)
    marked: int = 0

    @property
    def calibration_error(self) -> float:
        """Of the answers' scores, over all labelled files with an answer."""
        return calibration_error(self.bins)

    @property
    def answers(self) -> int:
        """Files that the calibration error rests on."""
        return sum(each.count for each in self.bins)


def found_in(label: Label, outcome: Outcome | None) -> Found:
    """What was recorded of a file; None for one that failed."""
    if outcome is None:
        return Found(label, FAILED)
    detections = outcome.detections()
    if not detections:
        return Found(label, "blank")
    best = max(detections, key=lambda each: each.score)
    return Found(label, SAYS[best.category], surest_answer(detections))


def surest_answer(detections: Iterable[Detection]) -> Answer | None:
    """The answer of the animal that the detector was surest of, among those that have one."""
    animals = [each for each in detections if each.category == "animal" and each.answer]
    best = max(animals, key=lambda each: each.score, default=None)
    return best.answer if best else None


def quality_of(found: Sequence[Found]) -> Quality:
    """The figures. Files labelled "unknown" count nowhere but in the confusion."""
    known = [each for each in found if each.label.shows != "unknown"]
    with_answer = [
        each for each in known if each.answer and not (each.label.shows == "animal" and not each.label.taxon)
    ]
    pairs = [(each.answer.score, _is_right(each)) for each in with_answer if each.answer]
    named = [each for each in known if each.label.taxon]
    return Quality(
        files=len(found),
        failed=sum(each.said == FAILED for each in found),
        kinds={kind: _kind_score(kind, known) for kind in SCORED},
        ranks={rank: _rank_score(rank, named) for rank in reversed(RANKS)},
        confusion=Counter((each.label.shows, each.said) for each in found),
        species=Counter((_name(each.label.taxon), _name(each.answer.taxon if each.answer else None)) for each in named),
        bins=bins_of(pairs),
        marked=sum(bool(each.answer and each.answer.remark) for each in found),
    )


def _name(taxon: Taxon | None) -> str:
    return taxon.scientific_name if taxon else NO_ANSWER


def _is_right(each: Found) -> bool:
    """Whether the answer holds what the label says, compared at the coarser of the two."""
    if each.label.taxon is None or each.answer is None:
        return False
    truth, said = each.label.taxon, each.answer.taxon
    return said.scientific_name in truth.lineage or truth.scientific_name in said.lineage


def _kind_score(kind: Shows, found: Sequence[Found]) -> KindScore:
    labelled = [each for each in found if each.label.shows == kind]
    return KindScore(
        len(labelled), sum(each.said == kind for each in found), sum(each.said == kind for each in labelled)
    )


def _rank_score(rank: Rank, found: Sequence[Found]) -> RankScore:
    """An answer that is finer than the rank counts by what stands above it; a coarser one is silent."""
    counts: Counter[str] = Counter()
    for each in found:
        assert each.label.taxon is not None
        truth = at_rank(each.label.taxon, rank)
        if truth is None:
            continue
        said = at_rank(each.answer.taxon, rank) if each.answer else None
        counts["silent" if said is None else "right" if said == truth else "wrong"] += 1
    return RankScore(counts["right"], counts["wrong"], counts["silent"])


def at_rank(taxon: Taxon, rank: Rank) -> str | None:
    """The name at this rank in a taxon's lineage; None where it has none."""
    if taxon.rank == rank:
        return taxon.scientific_name
    known = all_taxa()
    return next((name for name in taxon.lineage if name in known and known[name].rank == rank), None)


def as_json(quality: Quality) -> dict[str, Any]:
    """All figures, rounded to four digits; None where there is nothing to divide by."""
    return {
        "files": quality.files,
        "failed": quality.failed,
        "kinds": {
            kind: {
                "labelled": each.labelled, "said": each.said, "right": each.right,
                "recall": _rounded(each.recall), "precision": _rounded(each.precision),
            }
            for kind, each in quality.kinds.items()
        },
        "ranks": {
            rank: {
                "files": each.files, "right": each.right, "wrong": each.wrong, "silent": each.silent,
                "accuracy": _rounded(each.accuracy), "precision": _rounded(each.precision),
            }
            for rank, each in quality.ranks.items()
        },
        "calibration_error": _rounded(quality.calibration_error),
        "answers": quality.answers,
        "marked": quality.marked,
        "confusion": [[*pair, count] for pair, count in sorted(quality.confusion.items())],
        "species": [[*pair, count] for pair, count in sorted(quality.species.items())],
    }  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
