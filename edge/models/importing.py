"""Make a card for an ONNX file: find out what the file says, take from the person what it does not.

In: a file and wishes. Out: an installed model, or one line that says what is missing, and nothing left behind.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..i18n import _, mark
from ..model import Card, Category
from ..paths import is_safe_name
from .card import check_card, write_card
from .class_names import categories_of, names_in_metadata
from .heads import Head, find_head
from .installed import InstalledModels, sha256_of
from .onnx_facts import OnnxFacts, read_facts
from .place import installing, only_one

EXPORT_HINT = mark(
    "export it to ONNX first (YOLOv5: `python export.py --weights FILE --include onnx`), then import that"
)
# what a detector can't see, as its card notes it
NOTES = {
    ("animal",): mark("Has no animal class, so none are reported."),
    ("person",): mark("Has no person class, so none are reported."),
    ("vehicle",): mark("Has no vehicle class, so none are reported."),
    ("animal", "person"): mark("Has no animal or person class, so none are reported."),
    ("animal", "vehicle"): mark("Has no animal or vehicle class, so none are reported."),
    ("person", "vehicle"): mark("Has no person or vehicle class, so none are reported."),
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person says of a model; "", () and {} leave it to be found out. settings: further card keys."""

    decoder: str = ""
    task: str = ""
    classes: tuple[str, ...] = ()
    categories: Mapping[str, Category] = field(default_factory=dict)
    input_hw: tuple[int, int] | None = None
    taxonomy: str = ""
    licence: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def import_model(path: Path, folder: Path, *, name: str = "", wishes: Wishes | None = None) -> Card:
    """Install a copy of an ONNX file as `folder`/`name` and return its card; the file itself is left alone.

    name: "" takes the file's. Raises ModelError when the file is no model of a supported head, when a class is unknown,
    or when a model of this name is there; nothing is left behind then.
    """
    name = name or path.stem
    if not is_safe_name(name):
        raise ModelError(
            _("{name!r} can't name a model: letters, digits, '_', '-' and '.' only; pass --name").format(name=name[:80])
        )
    if not path.is_file():
        raise ModelError(_("{path}: there is no such file").format(path=path))
    if path.suffix.lower() != ".onnx":
        raise ModelError(_("{path}: not an .onnx file; {hint}").format(path=path, hint=_(EXPORT_HINT)))
    with only_one(folder):
        if name in InstalledModels(folder).names():
            raise ModelError(
                _("model {name!r} is installed already; remove {path}, or pass another --name").format(
                    name=name, path=folder / name
                )
            )
        with installing(name, folder) as work:
            shutil.copyfile(path, work / "model.onnx")
            source = f"imported from {path.name}"
            write_card(describe(work, name=name, source=source, wishes=wishes or Wishes(), where=str(path)))
    return InstalledModels(folder).card(name)


def describe(work: Path, *, name: str, source: str, wishes: Wishes, where: str) -> Card:
    """The card of `work`/model.onnx. Raises ModelError or UnsupportedOpError; `where` names the model in it."""
    facts = read_facts(work / "model.onnx", where=where, input_hw=wishes.input_hw)
    head = find_head(facts, where=where, decoder=wishes.decoder, task=wishes.task)
    classes = _classes(facts, head, wishes, where)
    categories = categories_of(classes, wishes.categories, where=where) if head.task == "detect" else {}
    values: dict[str, Any] = {
        **head.settings,
        "name": name,
        "task": head.task,
        "decoder": head.decoder,
        "licence": wishes.licence or facts.metadata.get("license", "")[:200] or "unknown",
        "source": source,
        "sha256": sha256_of(work / "model.onnx"),
        "input_hw": facts.input_hw,
        "classes": classes,
        "categories": categories,
        "taxonomy": wishes.taxonomy,
        "note": _missing_categories(categories) if head.task == "detect" else "",
        **wishes.settings,
    }
    return replace(check_card(values, where=f"card of {name}"), folder=work)


def _classes(facts: OnnxFacts, head: Head, wishes: Wishes, where: str) -> tuple[str, ...]:
    classes = wishes.classes or names_in_metadata(facts.metadata, where=where)
    if not classes:
        raise ModelError(
            _(
                "{where}: a {decoder} head with {count} classes, but their names are not in the file; pass "
                "--classes FILE (one name a line), --classes coco or --classes imagenet"
            ).format(where=where, decoder=head.decoder, count=head.classes)
        )
    if len(classes) != head.classes:
        raise ModelError(
            _(
                "{where}: its output {shapes} has {count} classes as a {decoder} head, but there are {names} "
                "names; pass the right --classes or --decoder (masks and poses are not supported)"
            ).format(where=where, shapes=facts.shapes, count=head.classes, decoder=head.decoder, names=len(classes))
        )
    return classes


def _missing_categories(categories: Mapping[str, Category]) -> str:
    """What the model can't see, in words."""
    missing = tuple(each for each in ("animal", "person", "vehicle") if each not in categories.values())
    return NOTES.get(missing, "")
