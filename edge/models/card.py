"""Read and write card.toml, the page that says how a model is to be used.

In: a folder with card.toml (and model.onnx beside it). Out: a checked `Card`. Unknown keys are refused: a misspelt
threshold that is silently ignored is a model that is silently used wrongly.
"""

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import TypeAdapter, ValidationError

from ..errors import ModelError
from ..foreign import foreign
from ..i18n import _
from ..model import Card
from ..paths import is_safe_name, write_atomically

FILE_NAME = "card.toml"
SHA256 = re.compile(r"[0-9a-f]{64}")
KEYS = tuple(each.name for each in fields(Card) if each.name != "folder")
REQUIRED = frozenset(each.name for each in fields(Card) if each.default is MISSING and each.default_factory is MISSING)
_ADAPTER = TypeAdapter(Card)


def read_card(folder: Path) -> Card:
    """The card in this folder. Raises ModelError naming the file, the key and what would be right."""
    path = folder / FILE_NAME
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ModelError(
            _("{path}: there is no card; make one with: tigrillo models import FILE.onnx").format(path=path)
        ) from exc
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ModelError(_("{path}: can't be read as TOML: {reason}").format(path=path, reason=exc)) from exc
    return replace(check_card(values, where=str(path)), folder=folder)


def write_card(card: Card) -> Path:
    """Write the card into its folder, whole or not at all, and return the path. Raises ModelError if it is wrong."""
    path = card.folder / FILE_NAME
    values = {key: getattr(card, key) for key in KEYS}
    plain = {key: _plain(value) for key, value in values.items() if value not in ("", (), {})}
    check_card(plain, where=str(path))
    write_atomically(path, tomli_w.dumps(plain).encode())
    return path


def check_card(values: Mapping[str, Any], *, where: str) -> Card:
    """A card from plain values; `folder` is left to the caller. Raises ModelError with the first fault."""
    for key in values:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            hint = (
                _("did you mean {name!r}?").format(name=near[0])
                if near
                else _("known keys: {keys}").format(keys=", ".join(KEYS))
            )
            raise ModelError(_("{where}: unknown key {key!r}; {hint}").format(where=where, key=key, hint=hint))
    if missing := sorted(REQUIRED - set(values)):
        raise ModelError(
            _("{where}: key {key!r} is missing; a card needs {keys}").format(
                where=where, key=missing[0], keys=", ".join(sorted(REQUIRED))
            )
        )
    try:
        card = _ADAPTER.validate_python(dict(values))
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            _("{where}: {key}: {problem}, got {value!r}").format(
                where=where, key=key, problem=foreign(first["msg"]), value=str(first["input"])[:60]
            )
        ) from exc
    for problem in _problems(card):
        raise ModelError(_("{where}: {problem}").format(where=where, problem=problem))
    return card


def _problems(card: Card) -> Iterator[str]:
    """What types can't say; each names the key and what would be right."""
    if not is_safe_name(card.name):
        yield _("name: letters, digits, '_', '-' and '.' only, at most 64, got {name!r}").format(name=card.name[:80])
    if not SHA256.fullmatch(card.sha256):
        yield _("sha256: 64 hexadecimal digits of model.onnx, got {value!r}").format(value=card.sha256[:80])
    yield from _number_problems(card)
    yield from _class_problems(card)


def _number_problems(card: Card) -> Iterator[str]:
    if min(card.input_hw) < 1:
        yield _("input_hw: height and width in pixels, at least 1, got {input_hw}").format(input_hw=card.input_hw)
    if not 0 <= card.fill <= 255:
        yield _("fill: a grey value 0..255, got {fill}").format(fill=card.fill)
    if not all(each > 0 for each in card.std):
        yield _("std: greater than 0, got {std}").format(std=card.std)
    for key in ("min_score", "nms_iou", "crop_margin"):
        if not 0 <= getattr(card, key) <= 1:
            yield _("{key}: 0..1, got {value}").format(key=key, value=getattr(card, key))


def _class_problems(card: Card) -> Iterator[str]:
    twice = [name for name, count in Counter(card.classes).items() if count > 1]
    if twice:
        yield _("classes: each name once, {name!r} is there twice").format(name=twice[0])
    if stray := [each for each in card.categories if each not in card.classes]:
        yield _("categories: {name!r} is none of the classes").format(name=stray[0])
    if card.task == "detect" and not card.categories:
        yield _("categories: a detector needs at least one class that is an animal, person or vehicle")


def _plain(value: Any) -> Any:
    """Tuples and mappings as TOML has them."""
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
