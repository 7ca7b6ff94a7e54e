"""What the categories and classes of a MegaDetector results file mean here."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..model import RANKS, Category, Rank, Taxon
from ..models.taxa import all_taxa, describe_lineage, taxon_named
from ..models.taxonomy import MIN_SCORE

CATEGORY_OF: Mapping[str, Category] = {
    **dict.fromkeys(("animal", "animals"), "animal"),
    **dict.fromkeys(("person", "people", "human", "humans"), "person"),
    **dict.fromkeys(("vehicle", "vehicles", "car", "truck", "bicycle", "motorcycle"), "vehicle"),
}
PARTS_OF_LABEL = 7  # uuid;class;order;family;genus;species;common
RANKS_OF_LABEL: tuple[Rank, ...] = RANKS[1:]


@dataclass(frozen=True, slots=True)
class Named:
    """A class of the file. taxon: None where its name says none. least: the answer must be so sure; 0..1."""

    label: str
    taxon: Taxon | None
    least: float


class Names:
    """The file's ids → what they mean."""

    def __init__(self, head: Mapping[str, Any]) -> None:
        """head: the members of the document that are no images. Raises ValueError with what is wrong."""
        self._categories = _texts(head, "detection_categories")
        classes = _texts(head, "classification_categories")
        descriptions = _texts(head, "classification_category_descriptions")
        self._classes = {number: _named(name, descriptions.get(number, "")) for number, name in classes.items()}

    def category(self, number: object) -> tuple[Category, str] | None:
        """(category, the file's word) of an id; None when there is no such id, or it means nothing that lives."""
        name = self._categories.get(str(number))
        if name is None:
            return None
        found = CATEGORY_OF.get(name.strip().lower())
        if found is None and taxon_named(name) is not None:  # a detector that was trained on species
            found = "animal"
        return None if found is None else (found, name)

    def word(self, number: object) -> str:
        """The file's own word for a category's id, "" when it has none."""
        return self._categories.get(str(number), "")

    def class_of(self, number: object) -> Named | None:
        """The class of an id."""
        return self._classes.get(str(number))


def _texts(head: Mapping[str, Any], key: str) -> dict[str, str]:
    found = head.get(key) or {}
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise ValueError(f"{key}: must be an object of texts")
    return found


def _named(name: str, description: str) -> Named:
    taxon = _taxon_described(description)
    if taxon is not None:
        # our own answers carry our own id, and were sure enough when they were given
        ours = describe_lineage(taxon) == description
        return Named(name, taxon, 0.0 if ours else MIN_SCORE)
    return Named(name, None if description else taxon_named(name), MIN_SCORE)


@cache
def _taxon_described(description: str) -> Taxon | None:
    """The taxon of "uuid;class;order;family;genus;species;common"; None when it names none: blank, vehicle, animal."""
    parts = description.split(";")
    if len(parts) != PARTS_OF_LABEL or not any(parts[1:6]):
        return None
    *above, epithet = (part.strip() for part in parts[1:6])
    names = [each.capitalize() for each in above]
    names.append(f"{names[-1]} {epithet.lower()}" if epithet and names[-1] else "")
    lineage = ("Animalia", *(each for each in names if each))
    if known := all_taxa().get(lineage[-1]):
        return known
    rank = next(rank for rank, name in zip(reversed(RANKS_OF_LABEL), reversed(names), strict=True) if name)
    return Taxon(lineage[-1], rank, lineage, parts[6].strip())
