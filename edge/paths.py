"""Where things lie: the repository's own data folders, installed models, and names that may become files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .crash import reached
from .wire import NAME


def data_dir(name: str) -> Path:
    """The folder `kernels`, `configs` or `systemd`: the repository's own, else the one inside the installed wheel.

    Raises FileNotFoundError when neither is there.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package.parent / name, package / f"_{name}"):
        if candidate.is_dir() and (package.parent / "pyproject.toml").is_file() == (candidate.parent != package):
            return candidate
    raise FileNotFoundError(f"data folder {name!r} is neither in {package.parent} nor in {package}: reinstall tigrillo")


def models_dir() -> Path:
    """Where models are installed: $TIGRILLO_MODELS, else tigrillo/models in the user's data folder (XDG)."""
    if chosen := os.environ.get("TIGRILLO_MODELS"):
        return Path(chosen).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "tigrillo" / "models"


def cache_dir() -> Path:
    """Where compiled kernels and measurements are kept: the service's own folder, else tigrillo in the user's cache.

    systemd names the service's in $CACHE_DIRECTORY. Everything in it may be deleted at any time.
    """
    if given := os.environ.get("CACHE_DIRECTORY"):
        return Path(given.partition(":")[0])
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tigrillo"


def is_safe_name(name: str) -> bool:
    """Whether a station name or frame id can be a file name and a topic level: no separators, no leading dot, ≤ 64."""
    return NAME.fullmatch(name) is not None


def write_atomically(path: Path, body: bytes, *, mode: int | None = None) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut.

    mode: its permissions, from its first byte on; None leaves them to the umask. Raises OSError as the file system
    gives it; nothing is left behind then.
    """
    with open_atomically(path, mode=mode) as file:
        file.write(body)


@contextmanager
def open_atomically(path: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `path`, whole, when the context is left without an error.

    Otherwise what was at `path` stays, and nothing is left behind. Raises OSError as the file system gives it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
            reached("file.synced", path.name)
        temporary.replace(path)
        reached("file.renamed", path.name)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_dir(path.parent)
    reached("file.kept", path.name)


def sync_dir(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
