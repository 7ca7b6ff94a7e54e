"""Exporter `camtrap-dp`: a Camera Trap Data Package 1.0.2 (https://camtrap-dp.tdwg.org), as a folder or a zip.

Three tables, written as the frames come; datapackage.json at the end. Where each column comes from: docs/exports.md.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edge.api import Exporter, ExporterSpec, FatalError, Services, _, hookimpl, mark

from .bundle import replace_folder, zip_folder
from .camtrap_columns import COLUMNS, TABLES
from .camtrap_package import PackageWriter
from .found import Table

PACKAGE = "datapackage.json"


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A package that takes the place of `path` when the context is left without an error.

    A zip when `path` ends in .zip, else a folder; a folder that is there is only replaced when it is empty or a
    package. Raises FatalError, OSError.
    """
    zipped = path.suffix.lower() == ".zip"
    if not zipped:
        _check_replaceable(path)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        with ExitStack() as files:
            opened = {name: files.enter_context((folder / f"{name}.csv").open("wb")) for name in TABLES}
            tables = {name: Table(file, COLUMNS[name]) for name, file in opened.items()}
            # rows of events are known late, and stand behind all others
            behind = files.enter_context(tempfile.TemporaryFile(dir=folder))
            writer = PackageWriter(tables, Table(behind, ()), services)
            yield writer
            package = writer.finish(opened["observations"], behind)
        (folder / PACKAGE).write_text(json.dumps(package, indent=2, ensure_ascii=True) + "\n", "ascii")
        if zipped:
            zip_folder(folder, path)
        else:
            replace_folder(folder, path)


def _check_replaceable(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise FatalError(_("{path}: is a file: name a folder, or a file that ends in .zip").format(path=path))
    ours = {PACKAGE, *(f"{name}.csv" for name in TABLES)}
    others = sorted({each.name for each in path.iterdir()} - ours)
    if others:
        raise FatalError(_("{path}: holds other things ({name}): name a new folder").format(path=path, name=others[0]))


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `camtrap-dp`."""
    about = mark("Camera Trap Data Package 1.0.2: a folder, or a zip when the name ends in .zip")
    return [ExporterSpec("camtrap-dp", ".zip", open_export, about, folder=True, raw_classes=False)]
