"""YAML without its traps, and with the place of every value.

PyYAML reads `no` as False, `22:30` as 1350, `010` as 8 and lets the last of two equal keys win. Here each of these is a
fault with line and column, so that a person mends the file instead of wondering.
"""

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
NULLS = {"", "~", "null", "Null", "NULL"}
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
    return text.lstrip(".") or "(file)"


def parse(text: str) -> Document:
    """Read YAML. Never raises: what is wrong stands in `faults`, and `data` holds what could be read."""
    document = Document()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        document.faults.append(
            Fault(line, col, "(file)", _("not YAML: {problem}").format(problem=foreign(exc.problem)))
        )
        return document
    except yaml.YAMLError as exc:  # a character that YAML forbids has no mark
        document.faults.append(Fault(1, 1, "(file)", _("not YAML: {problem}").format(problem=foreign(exc))))
        return document
    if root is not None:
        document.data = _read(root, (), document, frozenset())
    return document


def _read(node: yaml.Node, path: Path, document: Document, above: frozenset[int]) -> Any:
    document.marks[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
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
    if getattr(node, "style", None) is not None:  # quoted or a block: always text
        return text
    if trap := _trap(text, node.tag):
        document.fault(path, trap)
        return None
    if text in NULLS:
        return None
    if text in BOOLS:
        return BOOLS[text]
    for pattern, convert in ((INT, int), (FLOAT, float)):
        if pattern.fullmatch(text):
            return convert(text.replace("_", ""))
    return text


def _trap(text: str, tag: str) -> str:
    """What is wrong with a plain scalar that YAML readers disagree about; "" when nothing is."""
    if not tag.startswith("tag:yaml.org,2002:") or "python" in tag:
        return _("the tag {tag} is not used here: remove it").format(tag=tag)
    if text.lower() in YAML_1_1_WORDS:
        return _("{text} is a truth value to some readers and text to others: write true, false or '{text}'").format(
            text=text
        )
    if SEXAGESIMAL.fullmatch(text):
        return _("{text} without quotes is a number to YAML: write '{text}'").format(text=text)
    if LEADING_ZERO.fullmatch(text):
        plain = text.lstrip("+-0") or "0"
        message = _("{text} with a leading zero is octal to YAML: write {plain} or '{text}'")
        return message.format(text=text, plain=plain)
    return ""
