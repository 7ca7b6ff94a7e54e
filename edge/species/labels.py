"""LABELS.csv: what people said files show. One row a file; a file's row is its whole truth.

Columns: file (beside the table or below it), observation_type (animal, human, vehicle, blank, unknown) and
scientific_name; common_name is used where the scientific name is missing or not known here.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..errors import ConfigError
from ..foreign import foreign
from ..i18n import _
from ..model import Taxon
from ..models.taxa import all_taxa, fold, taxon_named

Shows = Literal["animal", "human", "vehicle", "blank", "unknown"]
KINDS: tuple[Shows, ...] = get_args(Shows)
COLUMNS = ("file", "observation_type", "scientific_name", "common_name")


@dataclass(frozen=True, slots=True)
class Label:
    """What a file shows. taxon: of an animal, as finely as the table says. written: a name that is unknown here."""

    file: str
    shows: Shows
    taxon: Taxon | None = None
    written: str = ""


def read_labels(path: Path) -> list[Label]:
    """The rows of LABELS.csv. Raises ConfigError with one line for every fault: path:line: message."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = [each or "" for each in reader.fieldnames or ()]
            rows = [(reader.line_num, {key or "": value or "" for key, value in row.items()}) for row in reader]
    except OSError as exc:
        reason = foreign(exc.strerror or str(exc))
        raise ConfigError(_("{path}: can't be read: {reason}").format(path=path, reason=reason)) from exc
    except (UnicodeDecodeError, csv.Error, AttributeError) as exc:
        raise ConfigError(_("{path}: no CSV in UTF-8: {reason}").format(path=path, reason=foreign(str(exc)))) from exc
    if missing := [name for name in COLUMNS[:2] if name not in header]:
        text = _("{path}:1: column {name!r} is missing: a table of labels has {columns}")
        raise ConfigError(text.format(path=path, name=missing[0], columns=", ".join(COLUMNS)))
    faults = [f"{path}:{line}: {fault}" for line, row in rows for fault in _faults(row)]
    if faults:
        raise ConfigError("\n".join(faults))
    return [_label(row) for _line, row in rows]


def _faults(row: Mapping[str, str]) -> Iterator[str]:
    if not row["file"].strip():
        yield _("names no file")
    if row["observation_type"].strip().lower() not in KINDS:
        text = _("observation_type {value!r}: write one of {kinds}")
        yield text.format(value=row["observation_type"][:40], kinds=", ".join(KINDS))


def _label(row: Mapping[str, str]) -> Label:
    shows = next(each for each in KINDS if each == row["observation_type"].strip().lower())
    scientific, common = row.get("scientific_name", "").strip(), row.get("common_name", "").strip()
    taxon = taxon_of(scientific, common) if shows == "animal" else None
    return Label(row["file"].strip(), shows, taxon, "" if taxon else scientific or common)


def taxon_of(scientific: str, common: str = "") -> Taxon | None:
    """The taxon of a person's answer. A species that our table lacks stands below its genus, where that is known."""
    found = all_taxa().get(scientific) or (taxon_named(scientific) if scientific else None)
    if found:
        return found
    named = taxon_named(common) if common else None
    above = all_taxa().get(scientific.split(maxsplit=1)[0]) if " " in scientific else None
    above = above or (named if named and named.rank != "species" else None)
    if above and scientific:
        return Taxon(scientific, "species", (*above.lineage, scientific), common)
    return named if named and fold(named.english) == fold(common) else above
