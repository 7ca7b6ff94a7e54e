"""Which species a person means: a known name in either language, one of the record, or a new one that can be a name."""

import difflib
import re
from collections.abc import Collection

from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.models.taxa import all_taxa, common_and_scientific_names, fold
from edge.store.reviews import LONGEST

from ..speech import Speech
from .filters import taxon_meant

# A genus, or one and an epithet or two, "Mazama", "Mazama rufa", "Leopardus sp."; letters of any alphabet's Latin part.
_NAME = re.compile(r"[A-ZÀ-Þ][a-zß-ÿ-]{2,40}(?: (?:[a-zß-ÿ-]{2,40}|sp\.)){0,2}")
NEAR = 0.8  # of difflib: nearer than that, a new name is more likely a slip
# What people write for people and vehicles where an animal's name is asked for: pictures of those are hidden.
_NO_ANIMALS = {
    "human": ("Homo sapiens", "Homo", "human", "humano", "humana", "person", "persona", "people", "personas", "gente"),
    "vehicle": ("vehicle", "vehículo", "car", "carro", "motorcycle", "moto", "motocicleta"),
}
_KIND_OF = {fold(word): kind for kind, words in _NO_ANIMALS.items() for word in words}
UNKNOWN = mark("Nobody here knows the name {name}.")
MEANT = mark("Did you mean: {names}?")
ANYWAY = mark("If it is right, send it again with “a new name”.")
FORM = mark("A new name is written as science does: Genus species.")


class UnknownName(HTTPException):
    """A name that is none, or most likely a slip. near: scientific names that may be meant."""

    def __init__(self, text: str, near: Collection[str], detail: str) -> None:
        super().__init__(422, detail)
        self.text, self.near = text, tuple(near)


def kind_written(species: str) -> str:
    """The kind that is meant: human or vehicle where that is written in the place of a species, else animal."""
    return _KIND_OF.get(fold(" ".join(species.split())), "animal")


def species_said(text: str, speech: Speech, *, record: Collection[str], new: bool) -> str:
    """The scientific name that is meant; "" for none. record: names that the site has already. new: it is meant so.

    Raises UnknownName, with what is near.
    """
    name = " ".join(taxon_meant(text).split())
    if not name or name in all_taxa() or name in record:
        return name
    near = near_names(name, record)
    fits = _NAME.fullmatch(name) is not None and len(name) <= LONGEST["taxon"]
    if fits and (new or not near):
        return name
    said = [speech.text(UNKNOWN).format(name=f"“{name[:80]}”")]
    if near:
        said.append(speech.text(MEANT).format(names=", ".join(both_names(each, speech) for each in near)))
    said.append(speech.text(ANYWAY if fits else FORM))
    raise UnknownName(name, near, " ".join(said))


def near_names(name: str, record: Collection[str] = ()) -> list[str]:
    """Scientific names whose own or common names are like this, the nearest first; at most three."""
    names = common_and_scientific_names()
    known = {key: taxon.scientific_name for key, (_written, taxon) in names.items()} | {
        fold(each): each for each in record
    }
    close = difflib.get_close_matches(fold(name), known, n=6, cutoff=NEAR)
    return list(dict.fromkeys(known[each] for each in close))[:3]


def both_names(taxon: str, speech: Speech) -> str:
    """As fields offer it and understand it: "puma (Puma concolor)"."""
    common = speech.species(taxon)
    return taxon if common == taxon else f"{common} ({taxon})"


def all_names(record: Collection[str]) -> list[tuple[str, str, str]]:
    """(scientific, English, Spanish) of every name that is offered, those of the record first."""
    known = all_taxa()
    rest = [each for each in known if each not in record and known[each].rank != "kingdom"]
    found = []
    for name in (*record, *sorted(rest)):
        taxon = known.get(name)
        found.append((name, taxon.name("en") if taxon else name, taxon.name("es") if taxon else name))
    return found
