"""The taxa that models can name, their places in the tree and their names in three languages. Table: data/taxa.csv.

One row a taxon: scientific name, rank, parent, English and Spanish names. The first common name is the one shown, the
others (separated by ";") are understood too. Where the data come from: data/SOURCE.md.
"""

import csv
import unicodedata
import uuid
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

from ..model import RANKS, Rank, Taxon

DATA = Path(__file__).resolve().parent / "data"
# uuid5(NAMESPACE_URL, "tigrillo:taxon"): ids of ours, not those of Wildlife Insights
TAXON_NAMESPACE = uuid.UUID("190ff1f0-aeb9-5409-9b0a-cd8b27959f25")


@cache
def all_taxa() -> Mapping[str, Taxon]:
    """Every taxon by scientific name, parents first; also those that no model of ours can tell."""
    taxa: dict[str, Taxon] = {}
    for row in read_rows(DATA / "taxa.csv"):
        name, english, spanish = row["scientific_name"], row["english"], row["spanish"]
        above = taxa[row["parent"]].lineage if row["parent"] else ()
        taxa[name] = Taxon(name, to_rank(row["rank"]), (*above, name), english.split(";")[0], spanish.split(";")[0])
    return taxa


@cache
def common_and_scientific_names() -> Mapping[str, tuple[str, Taxon]]:
    """Folded name → (the name as it is written, its taxon). Where both agree the common name's taxon is taken."""
    taxa = all_taxa()
    names: dict[str, tuple[str, Taxon]] = {}
    for row in read_rows(DATA / "taxa.csv"):
        for name in (*row["english"].split(";"), *row["spanish"].split(";")):
            names.setdefault(fold(name), (name, taxa[row["scientific_name"]]))
    for name, taxon in taxa.items():
        names.setdefault(fold(name), (name, taxon))
    return names


def taxon_named(name: str) -> Taxon | None:
    """The taxon of a scientific, English or Spanish name; None when the table has none.

    A name spelt exactly as a scientific name is that one ("Puma" is the genus). Otherwise case, accents and blanks
    don't count and a common name comes before a scientific one ("puma" is the species).
    """
    exact = all_taxa().get(name.strip())
    return exact or common_and_scientific_names().get(fold(name), ("", None))[1]


@lru_cache(maxsize=4096)  # an export asks for the same ones a million times
def describe_lineage(taxon: Taxon) -> str:
    """The taxon as the field's label "uuid;class;order;family;genus;species;common", lower case, gaps empty.

    species: the epithet alone. common: English. uuid: made from the scientific name, the same on every machine.
    """
    taxa = all_taxa()
    by_rank = {taxa[name].rank: name for name in taxon.lineage if name in taxa} | {taxon.rank: taxon.scientific_name}
    ranks = [by_rank.get(rank, "") for rank in RANKS if rank not in {"kingdom", "species"}]
    epithet = by_rank.get("species", "").partition(" ")[2]
    identity = str(uuid.uuid5(TAXON_NAMESPACE, taxon.scientific_name))
    return ";".join([identity, *ranks, epithet, taxon.name("en")]).lower()


def fold(name: str) -> str:
    """A name as it is compared: no case, no accents, single blanks."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    return " ".join(plain.casefold().split())


def to_rank(text: str) -> Rank:
    """The rank of this name. Raises ValueError when it is none."""
    return RANKS[RANKS.index(text)]


def read_rows(table: Path) -> Iterator[dict[str, str]]:
    """The rows of a table with a header line."""
    with table.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
