"""Whether a Camtrap DP holds by its format: description, columns, cells, unique ids, references. In bounded memory.

Ids are kept in a file of their own, as long as the import takes.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import FatalError
from ..i18n import _
from .camtrap_files import TABLES, Package
from .camtrap_rules import MISSING, RULES

SHOWN = 10  # faults that are named
DESIGNS = ("simpleRandom", "systematicRandom", "clusteredRandom", "experimental", "targeted", "opportunistic")
METHODS = frozenset({"activityDetection", "timeLapse"})
IDS = {"deployments": "deploymentID", "media": "mediaID", "observations": "observationID"}
TAKE = {
    "deployments": "INSERT OR IGNORE INTO deployments (id) VALUES (?)",
    "media": "INSERT OR IGNORE INTO media (id) VALUES (?)",
    "observations": "INSERT OR IGNORE INTO observations (id) VALUES (?)",
}
KNOWN = {
    "deployments": "SELECT 1 FROM deployments WHERE id = ?",
    "media": "SELECT 1 FROM media WHERE id = ?",
}
SCRATCH = """
CREATE TABLE deployments (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE media (id TEXT PRIMARY KEY, pk INTEGER, timestamp TEXT) WITHOUT ROWID;
CREATE TABLE observations (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE others (pk INTEGER, row TEXT);
CREATE TABLE looked (pk INTEGER, number INTEGER, time_s REAL, UNIQUE (pk, number));
CREATE TABLE people (pk INTEGER PRIMARY KEY);
CREATE TABLE of_event (event TEXT, pk INTEGER, PRIMARY KEY (event, pk)) WITHOUT ROWID;
CREATE TABLE known_events (event TEXT PRIMARY KEY) WITHOUT ROWID;
"""


@contextmanager
def open_scratch() -> Iterator[sqlite3.Connection]:
    """A database for ids, gone afterwards."""
    with TemporaryDirectory(prefix="tigrillo-import-") as folder:
        scratch = sqlite3.connect(Path(folder) / "ids.sqlite", isolation_level=None)
        try:
            scratch.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-32000;")
            scratch.executescript(SCRATCH)
            scratch.execute("BEGIN")
            yield scratch
        finally:
            scratch.close()


def rows_of(package: Package, table: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(number, row) with the columns that are not empty, of a table that was checked."""
    rows = package.rows(table)
    _number, header = next(rows)
    for number, cells in rows:
        yield number, {column: cell for column, cell in zip(header, cells, strict=True) if cell}


def check(package: Package, scratch: sqlite3.Connection) -> dict[str, int]:
    """How many rows each table has. Raises FatalError with the first faults: file, row, column, why."""
    faults = list(_described(package.described))
    counts: dict[str, int] = {}
    for table in TABLES:
        counts[table] = 0
        for fault in _faults_in(package, table, scratch, counts):
            faults.append(fault)
            if len(faults) > SHOWN:
                break
        if len(faults) > SHOWN:
            break
    if faults:
        lines = [f"{package.path}: {each}" for each in faults[:SHOWN]]
        more = _("{path}: there are more faults").format(path=package.path)
        nothing = _("{path}: nothing was imported").format(path=package.path)
        raise FatalError("\n".join([*lines, *([more] if len(faults) > SHOWN else []), nothing]))
    return counts


def _faults_in(package: Package, table: str, scratch: sqlite3.Connection, counts: dict[str, int]) -> Iterator[str]:
    file, rules = package.paths[table], RULES[table]
    rows = package.rows(table)
    _number, header = next(rows, (1, []))
    faults = list(_faults_of_header(header, file, table))
    yield from faults
    if faults:
        return
    checks = [(index, column, rules[column]) for index, column in enumerate(header)]
    checks = [each for each in checks if each[2].required or each[2].check]
    own, refers = header.index(IDS[table]), _references(table, header)
    place = _("{file}, row {number}, {column}: {why}")
    for number, cells in rows:
        if len(cells) != len(header):
            why = _("{count} cells where the header has {wanted}").format(count=len(cells), wanted=len(header))
            yield _("{file}, row {number}: {why}").format(file=file, number=number, why=why)
            continue
        counts[table] += 1
        for index, column, rule in checks:
            if wrong := rule.fault(cells[index]):
                yield place.format(file=file, number=number, column=column, why=wrong)
        if not scratch.execute(TAKE[table], (cells[own],)).rowcount:
            why = _("{text!r} is there twice").format(text=cells[own][:60])
            yield place.format(file=file, number=number, column=IDS[table], why=why)
        for index, other in refers:
            if cells[index] not in MISSING and scratch.execute(KNOWN[other], (cells[index],)).fetchone() is None:
                why = _("there is no {text!r} in {table}").format(text=cells[index][:60], table=other)
                yield place.format(file=file, number=number, column=header[index], why=why)


def _faults_of_header(header: list[str], file: str, table: str) -> Iterator[str]:
    for column in dict.fromkeys(header):
        if column not in RULES[table] or header.count(column) > 1:
            text = _("{file}, row 1: {column!r} is no column of this table, or is there twice")
            yield text.format(file=file, column=column[:60])
    for column, rule in RULES[table].items():
        if rule.required and column not in header:
            yield _("{file}, row 1: the column {column} is missing").format(file=file, column=column)


def _references(table: str, header: list[str]) -> list[tuple[int, str]]:
    """(column, table that it names a row of)."""
    wanted = {"deploymentID": "deployments", "mediaID": "media"}
    found = [(header.index(column), other) for column, other in wanted.items() if column in header]
    return [(index, other) for index, other in found if other != table]


def _described(described: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with datapackage.json."""
    place = "datapackage.json, {key}: {why}"
    for key, kind in {"created": str, "contributors": list, "project": dict, "spatial": dict, "temporal": dict}.items():
        if not isinstance(described.get(key), kind):
            yield place.format(key=key, why=_("is missing"))
    taxa = described.get("taxonomic")
    if not isinstance(taxa, list) or any(
        not isinstance(each, dict) or not isinstance(each.get("scientificName"), str) for each in taxa
    ):
        yield place.format(key="taxonomic", why=_("is no list of taxa with a scientificName"))
    project = described.get("project")
    if not isinstance(project, dict):
        return
    if project.get("samplingDesign") not in DESIGNS:
        why = _("{got!r} is not one of {expected}").format(
            got=project.get("samplingDesign"), expected=", ".join(DESIGNS)
        )
        yield place.format(key="project.samplingDesign", why=why)
    methods = project.get("captureMethod")
    if not isinstance(methods, list) or not methods or not METHODS.issuperset(map(str, methods)):
        why = _("{got!r} is not one of {expected}").format(got=methods, expected=", ".join(sorted(METHODS)))
        yield place.format(key="project.captureMethod", why=why)
    for key, kinds in {"title": str, "individualAnimals": bool, "observationLevel": list}.items():
        if not isinstance(project.get(key), kinds):
            yield place.format(key=f"project.{key}", why=_("is missing"))
