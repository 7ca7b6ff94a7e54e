"""The names of a model's classes: where they are found, and which of them are animals, people or vehicles."""

import ast
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ModelError
from ..foreign import foreign
from ..i18n import _
from ..model import Category
from .taxonomy import class_labels

# COCO's own supercategories, and the names that detectors for camera traps use
CATEGORY_OF: Mapping[str, Category] = {
    **dict.fromkeys(
        ("animal", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"), "animal"
    ),
    **dict.fromkeys(("person", "human", "people"), "person"),
    **dict.fromkeys(
        (
            "vehicle",
            "bicycle",
            "car",
            "motorcycle",
            "motorbike",
            "airplane",
            "aeroplane",
            "bus",
            "train",
            "truck",
            "boat",
        ),
        "vehicle",
    ),
}
COCO = Path(__file__).with_name("data") / "coco.txt"  # the 80 classes in the order of YOLO models
EVERY_OTHER = "*"
MAX_LITERAL_CHARS = 1 << 20  # 1000 ImageNet names take 20,000


def read_class_names(source: str) -> tuple[str, ...]:
    """Class names in the order of the model's outputs: "coco", a taxonomy table as "imagenet", or a file's lines.

    Raises ModelError when the file can't be read or names a class twice.
    """
    if source == "coco":
        return tuple(COCO.read_text(encoding="utf-8").splitlines())
    if source.isalnum() and not Path(source).exists():
        try:
            return class_labels(source)
        except ValueError as exc:
            raise ModelError(
                _("{source}: neither a file of class names nor a table: {reason}, and coco").format(
                    source=source, reason=exc
                )
            ) from exc
    try:
        lines = Path(source).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ModelError(
            _("{source}: can't be read as class names, one a line: {reason}").format(source=source, reason=foreign(exc))
        ) from exc
    return unique_names([line.strip() for line in lines if line.strip()], where=source)


def names_in_metadata(metadata: Mapping[str, str], *, where: str) -> tuple[str, ...]:
    """The class names that Ultralytics writes into a model: {0: 'person', …} or a list; () when there are none.

    Raises ModelError when there is something that is neither.
    """
    text = metadata.get("names", "")
    if not text:
        return ()
    try:
        # literal_eval builds numbers, strings and containers only; the length bound keeps its parser shallow
        names = ast.literal_eval(text) if len(text) <= MAX_LITERAL_CHARS else None
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as exc:
        raise ModelError(
            _("{where}: its metadata `names` is no list of classes; pass --classes FILE").format(where=where)
        ) from exc
    if isinstance(names, dict) and sorted(map(str, names)) == sorted(map(str, range(len(names)))):
        names = [names[key] for key in sorted(names, key=int)]
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        raise ModelError(
            _("{where}: its metadata `names` is no list of classes; pass --classes FILE").format(where=where)
        )
    return unique_names(names, where=where)


def unique_names(names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """The names as a tuple. Raises ModelError when one is there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ModelError(
                _("{where}: class {name!r} is there twice; class names must differ").format(where=where, name=name[:80])
            )
        seen.add(name)
    return tuple(names)


def categories_of(classes: Sequence[str], wished: Mapping[str, Category], *, where: str) -> dict[str, Category]:
    """Class name → category, for the classes that have one; `detect` drops the others.

    wished: what the person says, "*" for every class that has none yet. Raises ModelError when no class has one.
    """
    if unknown := [name for name in wished if name not in (*classes, EVERY_OTHER)]:
        raise ModelError(
            _("{where}: --category {name!r}: there is no such class; there are {classes}").format(
                where=where, name=unknown[0], classes=_some(classes)
            )
        )
    found: dict[str, Category] = {}
    for name in classes:
        plain = name.lower().strip(string.punctuation + " ")
        category = wished.get(name) or CATEGORY_OF.get(plain) or wished.get(EVERY_OTHER)
        if category:
            found[name] = category
    if not found:
        raise ModelError(
            _(
                "{where}: none of its classes ({classes}) is known as animal, person or vehicle; say which is "
                "which, as --category {name!r}=animal, or all with --category '*=animal'"
            ).format(where=where, classes=_some(classes), name=classes[0])
        )
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (_(", … {count} in all").format(count=len(names)) if len(names) > 5 else "")
