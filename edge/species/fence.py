"""What a species list does to an answer: what does not live here is less likely, and no answer without a mark.

Two things, each for itself. The prior makes the unlisted less likely before anything is summed up. The geofence looks
at what the classifier alone is sure of, and climbs from there to the first taxon that the list allows. Nothing is
dropped: what was seen stays inside the answer, and the mark names it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..model import Answer, Classification, Rank, Taxon
from ..models.taxonomy import Taxonomy
from .lists import SpeciesList

UNLISTED_WEIGHT = 0.1  # how likely the unlisted is beside the listed; a judgement, docs/field-data.md#species
NOT_LISTED = "not-listed:"


@dataclass(frozen=True, slots=True)
class Fence:
    """A list at work. weight: of what it does not allow, 1 for no prior. closed: whether it fences answers in."""

    species: SpeciesList
    weight: float = UNLISTED_WEIGHT
    closed: bool = True

    def weigh(self, classes: Sequence[Classification], taxonomy: Taxonomy) -> tuple[Classification, ...]:
        """The classes, their order kept, with the unlisted made less likely; they sum up to no more than before.

        classes: probabilities 0..1; what they leave of 1 belongs to classes that were not kept, and weighs as listed.
        """
        weights = [self._weight_of(taxonomy.class_of(each.label).trusted) for each in classes]
        rest = max(0.0, 1.0 - sum(each.score for each in classes))
        total = rest + sum(each.score * weight for each, weight in zip(classes, weights, strict=True))
        if total <= 0:
            return tuple(classes)
        return tuple(
            replace(each, score=each.score * weight / total) for each, weight in zip(classes, weights, strict=True)
        )

    def _weight_of(self, taxon: Taxon | None) -> float:
        return 1.0 if taxon is None or self.species.allows(taxon) else self.weight

    def bars(self, taxon: Taxon) -> bool:
        """Whether this must not be an answer here."""
        return self.closed and not self.species.allows(taxon)


def mark(answer: Answer, impossible: Taxon) -> Answer:
    """The answer with the reason why it is not the classifier's own."""
    return replace(answer, remark=f"{NOT_LISTED}{impossible.scientific_name}")


def climb(
    taxon: Taxon, sums: Mapping[str, float], fence: Fence, taxonomy: Taxonomy, *, skip: frozenset[Rank] = frozenset()
) -> Answer:
    """The first taxon above `taxon` that may be an answer here, marked; the kingdom always may.

    sums: probability by scientific name, without the prior. As the published ensemble does, no threshold is asked for:
    what stands above holds at least as much. skip: ranks that are passed over.
    """
    lineage = [above for name in taxon.lineage[:-1] if (above := taxonomy.taxon(name)).rank not in skip]
    allowed = next((each for each in reversed(lineage) if not fence.bars(each)), lineage[0] if lineage else taxon)
    return mark(Answer(allowed, min(sums.get(allowed.scientific_name, 0.0), 1.0)), taxon)


def best_class(classes: Sequence[Classification], taxonomy: Taxonomy) -> tuple[Taxon, float] | None:
    """(taxon, probability) of the most likely class that is an animal, as far as its label is trusted; else None."""
    animals = [
        (trusted, each.score) for each in classes if (trusted := taxonomy.class_of(each.label).trusted) is not None
    ]
    return max(animals, key=lambda each: each[1], default=None)
