"""Several files as one export: a zip when the path ends in .zip, else a folder; whole, or not at all.

A folder that is there is only replaced when it is empty or an export of the same format: its MARK says so.
"""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edge.api import FatalError, _, open_atomically, sync_dir

MARK = ".tigrillo-export"  # in a folder, with the format's name; not in a zip
ALREADY_SMALL = frozenset({".jpg", ".jpeg", ".png", ".webp", ".mp4", ".mov", ".mkv", ".avi"})


@contextmanager
def open_bundle(path: Path, name: str) -> Iterator[Path]:
    """A folder to write files into; they take the place of `path` when the context is left without an error.

    name: of the format. Raises FatalError when something else is at `path`, OSError.
    """
    zipped = path.suffix.lower() == ".zip"
    if not zipped:
        _check_replaceable(path, name)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder
        if zipped:
            zip_folder(folder, path)
        else:
            (folder / MARK).write_text(f"{name}\n", "ascii")
            replace_folder(folder, path)


def _check_replaceable(path: Path, name: str) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise FatalError(_("{path}: is a file: name a folder, or a file that ends in .zip").format(path=path))
    mark = path / MARK
    if mark.is_file() and mark.read_text("utf-8", "replace").strip() == name:
        return
    if others := sorted(each.name for each in path.iterdir()):
        raise FatalError(_("{path}: holds other things ({name}): name a new folder").format(path=path, name=others[0]))


def zip_folder(folder: Path, path: Path) -> None:
    """One file of all, by name and with no time of day in it, so that the same content gives the same bytes."""
    names = sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())
    with open_atomically(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name)
            small = Path(name).suffix.lower() in ALREADY_SMALL
            entry.compress_type = zipfile.ZIP_STORED if small else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def replace_folder(folder: Path, path: Path) -> None:
    """Put the folder at `path`; what was there goes once the new one is in place."""
    folder.chmod(0o755)
    sync_dir(folder)
    old = path.with_name(f"{folder.name}.old")
    if path.exists():
        path.rename(old)
    try:
        folder.rename(path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise
    sync_dir(path.parent)
    shutil.rmtree(old, ignore_errors=True)
