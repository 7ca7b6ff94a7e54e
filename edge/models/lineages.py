"""Class names that say themselves where their animal stands in the tree: the labels of SpeciesNet and its like.

"id;class;order;family;genus;species;common name", lower case, gaps empty → taxa from the kingdom down. Where our own
table has a taxon its place there is taken, so that rules, lists and labels mean the same.
"""

from ..model import RANKS, Rank, Taxon
from .taxa import all_taxa, fold

FIELDS = 7
KINGDOM = "Animalia"
# of labels whose fields are all empty: these stand for animals, all others for none
KINGDOM_NAMES = ("animal",)
HUMAN = "Homo sapiens"  # an animal to biologists; here a category of its own
# Names of ranks that labels have and our table calls otherwise; source: edge/models/data/SOURCE.md.
SYNONYMS = {"Cetartiodactyla": "Artiodactyla"}
_LABELLED: tuple[Rank, ...] = RANKS[1:]


def is_lineage(label: str) -> bool:
    """Whether a class name has the form of SpeciesNet's labels."""
    return label.count(";") == FIELDS - 1


def taxa_of_label(label: str) -> tuple[Taxon, ...]:
    """The taxa of a label, kingdom first, its own last; () for blank, vehicle, human and what is no lineage."""
    if not is_lineage(label):
        return ()
    _identity, *fields, common = (field.strip() for field in label.split(";"))
    named = list(_names(fields))
    if not named and fold(common) not in KINGDOM_NAMES:
        return ()
    if named and named[-1][1] == HUMAN:
        return ()
    return _placed(named, common)


def _names(fields: list[str]) -> list[tuple[Rank, str]]:
    """(rank, scientific name) of the fields that are not empty; a species has its genus before it."""
    found: list[tuple[Rank, str]] = []
    for rank, field in zip(_LABELLED, fields, strict=True):
        if field:
            name = f"{fields[-2].capitalize()} {field.lower()}".strip() if rank == "species" else field.capitalize()
            found.append((rank, SYNONYMS.get(name, name)))
    return found


def _placed(named: list[tuple[Rank, str]], common: str) -> tuple[Taxon, ...]:
    """From the finest taxon that our table knows, its own place; below it what the label says."""
    known = all_taxa()
    placed = [known[KINGDOM]]
    for number, (rank, name) in enumerate(named):
        if name in known:
            placed = [known[each] for each in known[name].lineage]
            continue
        english = common if number == len(named) - 1 else ""
        placed.append(Taxon(name, rank, (*placed[-1].lineage, name), english))
    return tuple(placed)
