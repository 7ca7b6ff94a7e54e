"""YAML without its traps, and with the place of every value.

PyYAML reads `no` as False, `22:30` as 1350, `010` as 8 and lets the last of two equal keys win. Here each of these is a
fault with line and column, so that a person mends the file instead of wondering.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from .foreign import foreign
from .i18n import _

Path = tuple[str | int, ...]

SEXAGESIMAL = re.compile(r"[-+]?\d+(:\d\d?)+(\.\d*)?")
YAML_1_1_WORDS = {"yes", "no", "on", "off", "y", "n"}
LEADING_ZERO = re.compile(r"[-+]?0\d+")
INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
FLOAT = re.compile(r"[-+]?(\d[\d_]*(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
NUMBERS = ((INT, int), (FLOAT, float))
NULLS = {"", "~", "null", "Null", "NULL"}
IMPLICIT_TAGS = {
    f"tag:yaml.org,2002:{kind}"
    for kind in ("null", "bool", "int", "float", "timestamp", "merge", "value", "str", "map", "seq")
}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # no name, folder or text of a site has them
MAX_VALUES = 20_000  # ten times a large site; aliases of aliases make millions of a few lines
MAX_DIGITS = 30
BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in the file. line, col: counted from 1."""

    line: int
    col: int
    path: str
    message: str


@dataclass(slots=True)
class Document:
    """The values of a file, where each stands, and what is wrong with it."""

    data: Any = None
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place(self, path: Path) -> tuple[int, int]:
        """Line and column of a value, or of the nearest thing around it that is in the file."""
        while path not in self.marks and path:
            path = path[:-1]
        return self.marks.get(path, (1, 1))

    def fault(self, path: Path, message: str) -> None:
        """Note a fault at the place of `path`."""
        line, col = self.place(path)
        self.faults.append(Fault(line, col, dotted(path), message))


def dotted(path: Path) -> str:
    """`stages[1].model`, as people write it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or _("(file)")


class _TooMuchError(Exception):
    """More values than a site has."""


def parse(text: str) -> Document:
    """Read YAML. Never raises: what is wrong stands in `faults`, and `data` holds what could be read."""
    document = Document()
    try:
        _read_document(text, document)
    except RecursionError:
        document.faults.append(Fault(1, 1, _("(file)"), _("brackets within brackets, too deep to read: write it flat")))
    except _TooMuchError:
        document.faults.append(
            Fault(
                1, 1, _("(file)"), _("more than {count} values: write less, and no `*alias`").format(count=MAX_VALUES)
            )
        )
    return document


def _read_document(text: str, document: Document) -> None:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        document.faults.append(
            Fault(line, col, _("(file)"), _("not YAML: {problem}").format(problem=foreign(exc.problem)))
        )
        return
    except yaml.YAMLError as exc:  # a character that YAML forbids has no mark
        before = text[: getattr(exc, "position", 0)]
        line, col = before.count("\n") + 1, len(before) - before.rfind("\n")
        problem = foreign(str(exc).splitlines()[0])
        document.faults.append(Fault(line, col, _("(file)"), _("not YAML: {problem}").format(problem=problem)))
        return
    if root is not None:
        document.data = _read(root, (), document, frozenset())


def _read(node: yaml.Node, path: Path, document: Document, above: frozenset[int]) -> Any:
    if len(document.marks) >= MAX_VALUES:
        raise _TooMuchError
    document.marks[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if node.tag not in IMPLICIT_TAGS:
        document.fault(path, _("the tag {tag} is not used here: remove it").format(tag=node.tag))
        return None
    if id(node) in above:
        document.fault(path, _("an alias that contains itself: write the value out"))
        return None
    above |= {id(node)}
    if isinstance(node, yaml.MappingNode):
        return _read_mapping(node, path, document, above)
    if isinstance(node, yaml.SequenceNode):
        return [_read(each, (*path, index), document, above) for index, each in enumerate(node.value)]
    return _read_scalar(node, path, document)


def _read_mapping(node: yaml.MappingNode, path: Path, document: Document, above: frozenset[int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        inner = (*path, key)
        if key in result:
            first = document.marks[inner][0]
            document.faults.append(
                Fault(
                    key_node.start_mark.line + 1,
                    key_node.start_mark.column + 1,
                    dotted(inner),
                    _("the key stands here twice, first on line {line}: keep one").format(line=first),
                )
            )
            continue
        result[key] = _read(value_node, inner, document, above)
        document.marks[inner] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
    return result


def _read_scalar(node: yaml.Node, path: Path, document: Document) -> Any:
    text: str = node.value
    quoted = getattr(node, "style", None) is not None  # or a block: always text
    if trap := _unprintable(text) or ("" if quoted else _trap(text)):
        document.fault(path, trap)
        return None
    return text if quoted else _plain_value(text)


def _plain_value(text: str) -> Any:
    if text in NULLS:
        return None
    if text in BOOLS:
        return BOOLS[text]
    for pattern, convert in NUMBERS:
        if pattern.fullmatch(text):
            return convert(text.replace("_", ""))
    return text


def _unprintable(text: str) -> str:
    if not CONTROL.search(text):
        return ""
    return _("{text!r} has a control character in it: remove it").format(text=text[:40])


def _trap(text: str) -> str:
    """What is wrong with a plain scalar that YAML readers disagree about; "" when nothing is."""
    if text.lower() in YAML_1_1_WORDS:
        return _("{text} is a truth value to some readers and text to others: write true, false or '{text}'").format(
            text=text
        )
    if SEXAGESIMAL.fullmatch(text):
        return _("{text} without quotes is a number to YAML: write '{text}'").format(text=text)
    if _is_too_large(text):
        return _("{text} is too large a number").format(text=text[:MAX_DIGITS])
    if LEADING_ZERO.fullmatch(text):
        plain = text.lstrip("+-0") or "0"
        message = _("{text} with a leading zero is octal to YAML: write {plain} or '{text}'")
        return message.format(text=text, plain=plain)
    return ""


def _is_too_large(text: str) -> bool:
    if not any(pattern.fullmatch(text) for pattern, _convert in NUMBERS):
        return False
    return len(text) > MAX_DIGITS or not math.isfinite(float(text.replace("_", "")))
