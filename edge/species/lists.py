"""A local species list: CSV → the taxa that live somewhere. Every fault has its line and what was probably meant.

Columns, in either language, comma or semicolon between them: a scientific name, an English or a Spanish name (one is
enough), and for animals that our table does not have their genus, family, order or class. Lines that begin with # and
blank lines do not count. A higher taxon means all below it.
"""

import csv
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..foreign import foreign
from ..i18n import _
from ..model import Rank, Taxon
from ..models.taxa import all_taxa, common_and_scientific_names, fold, taxon_named

MAX_BYTES = 1_000_000  # forty times a list of all mammals and birds of Colombia
ALIKE = 0.85  # of two scientific names: "Leopardus pardallis" is a misspelling, "Leopardus garleppi" is none
SHOWN = 4
HEADERS: Mapping[str, str] = {
    **dict.fromkeys(
        ("scientific name", "scientificname", "nombre cientifico", "especie", "species", "taxon", "taxa"), "scientific"
    ),
    **dict.fromkeys(
        ("english", "english name", "common name", "ingles", "nombre ingles", "nombre en ingles"), "english"
    ),
    **dict.fromkeys(
        ("spanish", "spanish name", "espanol", "nombre comun", "nombre espanol", "nombre en espanol", "nombre"),
        "spanish",
    ),
    **dict.fromkeys(("genus", "genero"), "genus"),
    **dict.fromkeys(("family", "familia"), "family"),
    **dict.fromkeys(("order", "orden"), "order"),
    **dict.fromkeys(("class", "clase"), "class"),
}
NAMES = ("scientific", "english", "spanish")
PARENTS: tuple[Rank, ...] = ("genus", "family", "order", "class")


@dataclass(frozen=True, slots=True)
class Listed:
    """A row. line: counted from 1. written: the name it was found by. known: False where our table lacks the animal."""

    line: int
    written: str
    taxon: Taxon
    known: bool = True


@dataclass(frozen=True, slots=True)
class SpeciesList:
    """What lives somewhere."""

    name: str
    rows: tuple[Listed, ...]
    listed: frozenset[str]
    above: frozenset[str]

    def allows(self, taxon: Taxon) -> bool:
        """Whether this may be there: it is listed, stands below something listed, or something listed below it."""
        return taxon.scientific_name in self.above or not self.listed.isdisjoint(taxon.lineage)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a line, and what would be right."""

    line: int
    message: str


def read_species_list(path: Path) -> SpeciesList:
    """The list in this file. Raises ConfigError with one line for every fault: path:line: message."""
    species, faults = look_at_list(path)
    if faults or species is None:
        raise ConfigError("\n".join(f"{path}:{each.line}: {each.message}" for each in faults))
    return species


def look_at_list(path: Path) -> tuple[SpeciesList | None, list[Fault]]:
    """The list in this file and what is wrong with it; the list is None when there is nothing to go by."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None, [Fault(1, _("larger than {count} bytes: no species list").format(count=MAX_BYTES))]
        text = _decode(path.read_bytes())
    except OSError as exc:
        return None, [Fault(1, _("can't be read: {reason}").format(reason=foreign(exc.strerror or str(exc))))]
    return list_from(text, name=path.stem)


def _decode(raw: bytes) -> str:
    """Text as spreadsheets write it: UTF-8, with or without a mark, else the Windows code page of the Americas."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def list_from(text: str, *, name: str) -> tuple[SpeciesList | None, list[Fault]]:
    """The list in this text, and every fault of it, in the order of the lines."""
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip(" \t,;") and not line.lstrip().startswith("#")
    ]
    if not lines:
        return None, [Fault(1, _("is empty: write a header and a line for each animal"))]
    (header_line, header), *body = lines
    separator = max(",;\t", key=header.count)
    columns = _columns(header, separator)
    if not set(columns) & set(NAMES):
        return None, [Fault(header_line, _no_header(header))]
    rows: list[Listed] = []
    faults: list[Fault] = []
    for number, line in body:
        cells = next(csv.reader([line], delimiter=separator), [])
        row = {column: cell.strip() for column, cell in zip(columns, cells, strict=False) if column and cell.strip()}
        found = _read_row(number, row)
        (rows if isinstance(found, Listed) else faults).append(found)  # type: ignore[arg-type]  # because each goes to its own
    if not body:
        faults.append(Fault(header_line, _("has a header and no animals: write a line for each")))
    listed = frozenset(row.taxon.scientific_name for row in rows)
    above = frozenset(each for row in rows for each in row.taxon.lineage)
    return SpeciesList(name, tuple(rows), listed, above), faults


def _columns(header: str, separator: str) -> list[str]:
    """What each column is; "" for those that are of no interest here."""
    cells = next(csv.reader([header], delimiter=separator), [])
    return [HEADERS.get(fold(cell.replace("_", " ")), "") for cell in cells]


def _no_header(header: str) -> str:
    text = _("no column of names in the header {header!r}: call one scientific_name, english or spanish")
    return text.format(header=header[:60])


def _read_row(line: int, row: Mapping[str, str]) -> Listed | Fault:
    """The animal of a row, or what is wrong with it: names that nothing bears, or that mean two animals."""
    named = [(column, row[column]) for column in NAMES if column in row]
    if not named:
        return Fault(line, _("has no name"))
    found = [(written, _find(column, written)) for column, written in named]
    known = [(written, taxon) for written, taxon in found if taxon]
    if known and (odd := _contradiction(known)):
        return Fault(line, odd)
    column, written = named[0]
    if known and (column != "scientific" or found[0][1]):
        return Listed(line, known[0][0], known[0][1])
    if column == "scientific":
        return _unknown_scientific(line, written, row, known)
    return Fault(line, hint_for(written))


def _find(column: str, written: str) -> Taxon | None:
    """The taxon of a name. "Puma" is the genus in a column of scientific names, and the species in the others."""
    if column == "scientific":
        plain = " ".join(written.split())
        return all_taxa().get(plain) or all_taxa().get(plain.capitalize()) or taxon_named(written)
    return common_and_scientific_names().get(fold(written), ("", None))[1]


def _contradiction(known: Sequence[tuple[str, Taxon]]) -> str:
    """Why the names of one row can't be one animal; "" when they can."""
    (first, taxon), *others = known
    for written, other in others:
        if taxon.scientific_name not in other.lineage and other.scientific_name not in taxon.lineage:
            text = _("{first!r} is {taxon} and {written!r} is {other}: which of them is meant?")
            return text.format(first=first, taxon=taxon.scientific_name, written=written, other=other.scientific_name)
    return ""


def _unknown_scientific(
    line: int, written: str, row: Mapping[str, str], known: Sequence[tuple[str, Taxon]]
) -> Listed | Fault:
    """A scientific name that our table lacks: misspelt, or an animal whose place the row has to tell."""
    near = difflib.get_close_matches(written.capitalize(), all_taxa(), n=3, cutoff=ALIKE)
    if near:
        return Fault(line, _("no taxon {name!r}{near}").format(name=written, near=_did_you_mean(near)))
    if known:
        # the common name is of another animal, or our table calls this one otherwise
        text = _("no taxon {name!r}, but {common!r} is {taxon}: write one of them")
        return Fault(line, text.format(name=written, common=known[0][0], taxon=known[0][1].scientific_name))
    parent = next((taxon for each in _parents_in(written, row) if (taxon := all_taxa().get(each))), None)
    if parent is None and len(written.split()) < 2 and (hint := _meant(written)):
        return Fault(line, hint)
    if parent is None:
        text = _(
            "no taxon {name!r} is known here: add a column genus, family, order or class that says where it belongs"
        )
        return Fault(line, text.format(name=written))
    name = written[:1].upper() + written[1:].lower()
    rank: Rank = "species" if " " in name else "genus"
    english, spanish = row.get("english", ""), row.get("spanish", "")
    return Listed(line, written, Taxon(name, rank, (*parent.lineage, name), english, spanish), known=False)


def _parents_in(written: str, row: Mapping[str, str]) -> Iterator[str]:
    """Names of what stands above it, nearest first: a species says its genus itself."""
    if " " in written:
        yield written.split(maxsplit=1)[0].capitalize()
    for rank in PARENTS:
        if rank in row:
            yield row[rank].strip().capitalize()


def hint_for(written: str) -> str:
    """What is wrong with a name that nothing bears."""
    return _meant(written) or _("no taxon {name!r}: write its scientific name beside it").format(name=written)


def _meant(written: str) -> str:
    """The fault of a name that is a part of several, or near to some; "" when it is neither."""
    names, words = common_and_scientific_names(), set(fold(written).split())
    parts = {names[each][1].scientific_name: names[each][0] for each in names if words and words <= set(each.split())}
    if len(parts) > 1:
        shown = ", ".join(f"{written} ({scientific})" for scientific, written in list(parts.items())[:SHOWN])
        more = ", …" if len(parts) > SHOWN else ""
        return _("{name!r} may be {names}: write which").format(name=written, names=shown + more)
    near = list(parts.values()) or [names[each][0] for each in difflib.get_close_matches(fold(written), names, n=3)]
    return _("no taxon {name!r}{near}").format(name=written, near=_did_you_mean(near)) if near else ""


def _did_you_mean(near: Sequence[str]) -> str:
    return _("; did you mean {names}?").format(names=", ".join(map(repr, near))) if near else ""
