"""Which taxa the classes of a model stand for, and what a list of class probabilities says about them.

Class table (data/NAME.csv, one row a class) + taxa (taxa.py) → Taxonomy. Probability enters the tree at the finest
taxon a label may be trusted for (docs/species.md) and is summed up to the kingdom; the answer is the finest level that
is sure enough.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ..errors import ModelError
from ..i18n import _
from ..model import RANKS, Answer, Classification, Taxon
from ..paths import is_safe_name, models_dir
from .card import read_card
from .lineages import is_lineage, taxa_of_label
from .taxa import DATA, all_taxa, common_and_scientific_names, fold, read_rows, taxon_named, to_rank

MIN_SCORE = 0.65  # the threshold at which SpeciesNet's ensemble rolls up
Kind = Literal["animal", "human", "vehicle", "blank", "other"]
# How wildlife classifiers call what is no animal, folded; anything else without a taxon is "other".
KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("blank", "empty", "background", "vide"), "blank"),
    **dict.fromkeys(("human", "person", "people", "homo sapiens", "humain"), "human"),
    **dict.fromkeys(("vehicle", "vehicule"), "vehicle"),
}


@dataclass(frozen=True, slots=True)
class LabelledClass:
    """A class of a model. stands_for: its taxon. trusted: the same, or a coarser one where `answer_rank` limits it.

    note: why it is limited. Both taxa are None for a class that is no animal; `kind` says what it is then.
    """

    label: str
    stands_for: Taxon | None = None
    trusted: Taxon | None = None
    note: str = ""

    @property
    def kind(self) -> Kind:
        """An animal, or which of the things that are none; "other" for all that wildlife classifiers have no word for.

        The last field of a label in SpeciesNet's form is its name.
        """
        return "animal" if self.stands_for else KINDS.get(fold(self.label.rpartition(";")[2]), "other")


class Taxonomy:
    """The tree above the classes of one model. Nothing in it changes: one is shared by all who ask for it."""

    def __init__(self, name: str, classes: Iterable[LabelledClass], taxa: Iterable[Taxon] = ()) -> None:
        """taxa: those above the classes that our table does not have."""
        self.name = name
        self.classes: Mapping[str, LabelledClass] = {each.label: each for each in classes}
        trusted = [each.trusted for each in self.classes.values() if each.trusted]
        self._answers = frozenset(name for taxon in trusted for name in taxon.lineage)
        self._taxa: Mapping[str, Taxon] = {each.scientific_name: each for each in taxa} | dict(all_taxa())
        self.kinds: frozenset[Kind] = frozenset(each.kind for each in self.classes.values())

    def taxon_of(self, label: str) -> Taxon | None:
        """The taxon this class stands for; None when it is no animal.

        Raises ValueError, naming label and taxonomy, when the table has no such class.
        """
        return self.class_of(label).stands_for

    def find(self, name: str) -> Taxon | None:
        """The taxon of this scientific, English or Spanish name, if it can be an answer; read as `taxon_named` does.

        None also for a taxon that no answer can ever reach ("ocelot" where no class can tell one): `suggest` then names
        what the model does tell of it.
        """
        taxon = taxon_named(name)
        return taxon if taxon and taxon.scientific_name in self._answers else None

    def suggest(self, name: str) -> list[str]:
        """At most three names that `find` knows, nearest first.

        For a taxon that can't be an answer this is the nearest one above it that can.
        """
        names = common_and_scientific_names()
        known = taxon_named(name)
        close = [] if known else [names[each] for each in difflib.get_close_matches(fold(name), names, n=3)]
        near = [("", known)] if known else close
        reachable = [(written, taxon, self.finest_answer(taxon)) for written, taxon in near]
        return list(
            dict.fromkeys(
                written if written and taxon == finest else finest.scientific_name
                for written, taxon, finest in reachable
            )
        )

    def finest_answer(self, taxon: Taxon) -> Taxon:
        """What a picture of `taxon` can be answered with at best.

        That is `taxon` itself when some class is trusted that far, else the first above it that holds all its classes.
        """
        inside = [
            each.trusted
            for each in self.classes.values()
            if each.stands_for and each.trusted and taxon.scientific_name in each.stands_for.lineage
        ]
        if taxon.scientific_name in self._answers:
            return taxon
        return next(
            self._taxa[name]
            for name in reversed(taxon.lineage)
            if name in self._answers and all(name in trusted.lineage for trusted in inside)
        )

    def rollup(self, classifications: Iterable[Classification], *, min_score: float = MIN_SCORE) -> Answer | None:
        """The finest taxon whose summed probability reaches `min_score`; None when not even the kingdom's does.

        classifications: classes of the model, each at most once, probabilities 0..1; what is left out counts as 0.
        Goes species, genus, family, order, class, kingdom; of two taxa of one rank (below 0.5 only) the more probable
        one is taken. Raises ValueError as `taxon_of` does.
        Source: the ensemble of SpeciesNet (google/cameratrapai), which sums up the same tree from genus to kingdom.
        """
        return self.finest_sure(self.sums(classifications), min_score=min_score)

    def sums(self, classifications: Iterable[Classification]) -> dict[str, float]:
        """Scientific name → probability of all classes that are trusted to be this taxon or below it.

        Raises ValueError as `taxon_of` does.
        """
        sums: dict[str, float] = {}
        for each in classifications:
            trusted = self.class_of(each.label).trusted
            for name in trusted.lineage if trusted else ():
                sums[name] = sums.get(name, 0.0) + each.score
        return sums

    def finest_sure(
        self,
        sums: Mapping[str, float],
        *,
        min_score: float = MIN_SCORE,
        thresholds: Mapping[str, float] | None = None,
        allows: Callable[[Taxon], bool] = lambda _taxon: True,
    ) -> Answer | None:
        """The finest of the taxa in `sums` whose probability reaches its threshold; None when none does.

        thresholds: of taxa that have their own instead of `min_score`. allows: which taxa may be an answer at all.
        """
        own = thresholds or {}
        sure = [self._taxa[name] for name, score in sums.items() if score >= own.get(name, min_score)]
        finest = max(
            filter(allows, sure),
            key=lambda taxon: (RANKS.index(taxon.rank), sums[taxon.scientific_name]),
            default=None,
        )
        # float32 probabilities can add up to a little more than 1
        return Answer(finest, min(sums[finest.scientific_name], 1.0)) if finest else None

    def taxon(self, scientific_name: str) -> Taxon:
        """The taxon of this very name among those above a class, or in our table. Raises KeyError."""
        return self._taxa[scientific_name]

    def class_of(self, label: str) -> LabelledClass:
        """The class of this label. Raises ValueError as `taxon_of` does."""
        known = self.classes.get(label)
        if known is None:
            raise ValueError(
                f"taxonomy {self.name!r} has no class {label[:80]!r}: it is not the one of this classifier, "
                "whose card (`tigrillo models show`) names the right one"
            )
        return known


@cache
def load_taxonomy(name: str) -> Taxonomy:
    """The taxonomy of this name, read once: a table of ours, or an installed model whose class names are lineages.

    Raises ValueError naming the tables there are.
    """
    taxa = all_taxa()
    if name not in table_names() and (labels := _labels_of_model(name)):
        lineages = {label: taxa_of_label(label) for label in labels}
        finest = {label: lineage[-1] if lineage else None for label, lineage in lineages.items()}
        classes = [LabelledClass(label, taxon, taxon) for label, taxon in finest.items()]
        return Taxonomy(name, classes, [taxon for lineage in lineages.values() for taxon in lineage])
    return Taxonomy(name, [_to_class(row, taxa) for row in _class_rows(name)])


@cache
def class_labels(name: str) -> tuple[str, ...]:
    """The class names of a table in the order of the model's outputs: 1000 for "imagenet". No two are equal.

    Raises ValueError naming the tables there are, when there is none of this name.
    """
    return tuple(row["label"] for row in _class_rows(name))


def table_names() -> list[str]:
    """The tables of ours, the default model's first."""
    names = (path.stem for path in DATA.glob("*.csv") if path.stem != "taxa")
    return sorted(names, key=lambda name: (name != "imagenet", name))


def _labels_of_model(name: str) -> tuple[str, ...]:
    """The class names of the installed model of this name, when they are lineages; () when there is no such model."""
    folder = models_dir() / name
    if not is_safe_name(name) or not folder.is_dir():
        return ()
    try:
        classes = read_card(folder).classes
    except ModelError as exc:
        raise ValueError(str(exc)) from exc
    return classes if any(map(is_lineage, classes)) else ()


def _class_rows(name: str) -> Iterator[dict[str, str]]:
    known = table_names()
    if name not in known:
        text = _("no taxonomy is called {name!r}: there is {names}")
        raise ValueError(text.format(name=name[:80], names=", ".join(known)))
    return read_rows(DATA / f"{name}.csv")


def _to_class(row: Mapping[str, str], taxa: Mapping[str, Taxon]) -> LabelledClass:
    if not row["scientific_name"]:
        return LabelledClass(row["label"])
    taxon = taxa[row["scientific_name"]]
    limit = RANKS.index(to_rank(row["answer_rank"] or taxon.rank))
    # lineages skip ranks: the finest one above that is not finer than the limit
    trusted = next(taxa[name] for name in reversed(taxon.lineage) if RANKS.index(taxa[name].rank) <= limit)
    return LabelledClass(row["label"], taxon, trusted, row["note"])
