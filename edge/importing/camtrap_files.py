"""A Camtrap DP on disk: a folder, its datapackage.json, or a zip; rows are read one by one."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import FatalError
from ..foreign import foreign
from ..i18n import _

PACKAGE = "datapackage.json"
MOST_DESCRIBED = 50_000_000  # bytes of datapackage.json; a list of every species there is has fewer
MOST_FIELD = 10_000_000  # characters of a cell; exifData is JSON of a whole header
TABLES = ("deployments", "media", "observations")


@dataclass(frozen=True, slots=True)
class Package:
    """An opened package. folder: what its paths start from, and where its pictures would lie.

    described: datapackage.json. paths: table → file inside. archive: None for a folder.
    """

    path: Path
    folder: Path
    described: Mapping[str, Any]
    paths: Mapping[str, str]
    archive: zipfile.ZipFile | None = None
    inside: str = "."

    def rows(self, table: str) -> Iterator[tuple[int, list[str]]]:
        """(number, cells) of each row, the header's number is 1. Raises FatalError where it is no CSV."""
        name = self.paths[table]
        csv.field_size_limit(MOST_FIELD)
        with self._open(name) as file:
            text = io.TextIOWrapper(file, "utf-8-sig", newline="")
            number = 0
            try:
                for number, cells in enumerate(csv.reader(text, strict=True), 1):
                    yield number, cells
            except (csv.Error, UnicodeDecodeError, OSError, zipfile.BadZipFile, EOFError) as exc:
                text_of = _("{path}: {file}, after row {number}: can't be read: {reason}")
                raise FatalError(text_of.format(path=self.path, file=name, number=number, reason=foreign(exc))) from exc

    def find(self, file_path: str) -> Path | None:
        """Where a medium lies, when it lies in the package's folder."""
        if "://" in file_path or "\x00" in file_path:
            return None
        found = self.folder / file_path
        try:
            return found if found.is_file() else None
        except OSError:  # a name that no file system takes
            return None

    @contextmanager
    def _open(self, name: str) -> Iterator[Any]:
        try:
            if self.archive is not None:
                with self.archive.open(str(PurePosixPath(self.inside) / name)) as file:
                    yield file
            else:
                with (self.folder / name).open("rb") as file:
                    yield file
        except (KeyError, FileNotFoundError, IsADirectoryError) as exc:
            raise FatalError(_("{path}: has no file {file}").format(path=self.path, file=name)) from exc


@contextmanager
def open_package(path: Path) -> Iterator[Package]:
    """The package at a path. Raises FatalError, with what is wrong, when it is none."""
    with ExitStack() as stack:
        archive, inside = None, "."
        if path.is_dir() or path.name == PACKAGE:
            folder = path if path.is_dir() else path.parent
            if not (folder / PACKAGE).is_file():
                raise FatalError(_("{path}: has no datapackage.json: is it a Camtrap DP?").format(path=path))
            with (folder / PACKAGE).open("rb") as file:
                body = file.read(MOST_DESCRIBED + 1)
        else:
            try:
                archive = stack.enter_context(zipfile.ZipFile(path))
                at = next((each for each in archive.namelist() if PurePosixPath(each).name == PACKAGE), None)
                body = archive.open(at).read(MOST_DESCRIBED + 1) if at else b""
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as exc:
                raise FatalError(
                    _("{path}: is neither a folder nor a zip that can be read: {reason}").format(
                        path=path, reason=foreign(exc)
                    )
                ) from exc
            if at is None:
                raise FatalError(_("{path}: has no datapackage.json: is it a Camtrap DP?").format(path=path))
            inside, folder = str(PurePosixPath(at).parent), path.with_suffix("")
        described = _described(body, path)
        yield Package(path, folder.absolute(), described, _paths(described, path), archive, inside)


def _described(body: bytes, path: Path) -> Mapping[str, Any]:
    try:
        described = json.loads(body[: MOST_DESCRIBED + 1])
    except (ValueError, RecursionError) as exc:
        text = _("{path}: datapackage.json: is no JSON: {reason}")
        raise FatalError(text.format(path=path, reason=foreign(exc))) from exc
    profile = described.get("profile") if isinstance(described, dict) else None
    if not isinstance(profile, str) or not re.search(r"camtrap-dp.*1\.0", profile):
        text = _("{path}: datapackage.json, profile: {profile!r} is not that of Camtrap DP 1.0")
        raise FatalError(text.format(path=path, profile=profile))
    return dict(described)


def _paths(described: Mapping[str, Any], path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    resources = described.get("resources")
    for each in resources if isinstance(resources, list) else ():
        name, file = (each.get("name"), each.get("path")) if isinstance(each, dict) else (None, None)
        if name not in TABLES:
            continue
        odd = each.get("compression") or (each.get("dialect") or {}).get("delimiter", ",") != ","
        encoding = str(each.get("encoding") or "utf-8").lower().replace("_", "-")
        ours = isinstance(file, str) and not file.startswith(("/", "\\", "~")) and ".." not in file
        if odd or encoding not in {"utf-8", "utf8"} or not ours or "://" in str(file):
            text = _("{path}: datapackage.json, resource {name}: only a CSV file inside the package, in UTF-8, is read")
            raise FatalError(text.format(path=path, name=name))
        found[name] = str(file)
    for name in TABLES:
        if name not in found:
            text = _("{path}: datapackage.json, resources: there is no {name}")
            raise FatalError(text.format(path=path, name=name))
    return found
