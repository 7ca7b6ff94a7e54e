"""A YAML file as sections of checked values: each fault is one line, `file:line:col path: what is wrong`.

The standard library and PyYAML only. What a section holds is said in config.py and hardware_config.py.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

import yaml

from edge.foreign import foreign
from edge.i18n import _, mark
from edge.wire import WireError, checked_station

# What YAML 1.1 makes of an unquoted word, in words a person knows.
READS_AS = {
    "bool": mark("yes or no"),
    "int": mark("a number"),
    "float": mark("a number"),
    "null": mark("nothing"),
    "timestamp": mark("a date"),
}


@dataclass(frozen=True, slots=True)
class Faults:
    """The lines so far. file: as it is written in front of each."""

    file: str
    lines: list[str] = field(default_factory=list)

    def add(self, node: yaml.Node, place: tuple[str, ...], what: str) -> None:
        """One more fault, at this node of the file; place: the keys that lead to it."""
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        self.lines.append(f"{self.file}:{line}:{column} {'.'.join(place) or _('the file')}: {what}")


class Readable(Protocol):
    """Something that reads a node with others below it."""

    def read(self, node: yaml.Node, place: tuple[str, ...], *, base: Path, faults: Faults) -> object:
        """The value, or None and a line more in `faults` for each fault. base: folder of relative paths."""


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping that becomes a dataclass; fields without a default must be there.

    A ValueError of the dataclass itself is a fault of the whole section.
    """

    build: type
    checks: Mapping[str, "Callable[[yaml.Node], object] | Readable"]

    def read(self, node: yaml.Node, place: tuple[str, ...], *, base: Path, faults: Faults) -> object:
        """The dataclass; see Readable."""
        needed = [
            each.name for each in fields(self.build) if each.default is MISSING and each.default_factory is MISSING
        ]
        if not isinstance(node, yaml.MappingNode):
            names = ", ".join(needed or self.checks)
            faults.add(node, place, _("must be a section with {names}").format(names=names))
            return None
        before, values = len(faults.lines), dict[str, object]()
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in values:
                faults.add(key_node, (*place, key), _("stands here twice; keep one of the two"))
            elif key not in self.checks:
                known = get_close_matches(key, self.checks, n=1) or self.checks
                what = _("unknown key, known: {names}").format(names=", ".join(known))
                faults.add(key_node, (*place, key), what)
            else:
                values[key] = read_value(self.checks[key], value_node, (*place, key), base=base, faults=faults)
        for key in needed:
            if key not in values:
                faults.add(node, (*place, key), _("is missing"))
        if len(faults.lines) > before:
            return None
        try:
            return self.build(**values)
        except ValueError as exc:
            faults.add(node, place, str(exc))
            return None


@dataclass(frozen=True, slots=True)
class Kinds:
    """A mapping whose `use:` says which section it is."""

    sections: Mapping[str, Section]

    def read(self, node: yaml.Node, place: tuple[str, ...], *, base: Path, faults: Faults) -> object:
        """The dataclass of that section; see Readable."""
        if not isinstance(node, yaml.MappingNode):
            faults.add(node, place, _("must be a section with {names}").format(names="use"))
            return None
        use = next((value for key, value in node.value if key.value == "use"), None)
        if use is None:
            faults.add(node, (*place, "use"), _("is missing"))
            return None
        name = read_value(one_of(*self.sections), use, (*place, "use"), base=base, faults=faults)
        return self.sections[str(name)].read(node, place, base=base, faults=faults) if name else None


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list that becomes a tuple. Where one value stands alone it is a list of one, if `alone` allows."""

    item: "Callable[[yaml.Node], object] | Readable"
    alone: bool = False

    def read(self, node: yaml.Node, place: tuple[str, ...], *, base: Path, faults: Faults) -> object:
        """The tuple; see Readable."""
        if not isinstance(node, yaml.SequenceNode):
            if self.alone:
                return (read_value(self.item, node, place, base=base, faults=faults),)
            faults.add(node, place, _("must be a list"))
            return None
        places = ((*place[:-1], f"{place[-1]}[{number}]") for number in range(len(node.value)))
        pairs = zip(node.value, places, strict=True)
        return tuple(read_value(self.item, each, where, base=base, faults=faults) for each, where in pairs)


@dataclass(frozen=True, slots=True)
class Plainly:
    """A mapping of names to numbers, true or false, handed on as it is (a camera's own controls)."""

    def read(self, node: yaml.Node, place: tuple[str, ...], *, base: Path, faults: Faults) -> object:
        """Pairs of name and value; see Readable."""
        del base
        if not isinstance(node, yaml.MappingNode):
            faults.add(node, place, _("must be a section of names and values"))
            return None
        pairs = list[tuple[str, float | bool]]()
        for key_node, value_node in node.value:
            kind = value_node.tag.rpartition(":")[2]
            if kind not in {"int", "float", "bool"}:
                faults.add(value_node, (*place, str(key_node.value)), _("must be a number, true or false"))
            else:
                pairs.append((str(key_node.value), yaml.safe_load(value_node.value)))
        return tuple(pairs)


def read_value(
    check: "Callable[[yaml.Node], object] | Readable",
    node: yaml.Node,
    place: tuple[str, ...],
    *,
    base: Path,
    faults: Faults,
) -> object:
    """What this check makes of the node, or None and a fault. Relative paths begin at `base`."""
    if not callable(check):
        return check.read(node, place, base=base, faults=faults)
    try:
        value = check(node)
    except ValueError as exc:
        faults.add(node, place, str(exc))
        return None
    return base / value if isinstance(value, Path) else value


def node_at(root: yaml.Node, *place: str | int) -> yaml.Node:
    """The node at these keys and numbers; the last one on the way that is there."""
    for step in place:
        if isinstance(root, yaml.MappingNode) and isinstance(step, str):
            found = next((value for key, value in root.value if key.value == step), None)
        elif isinstance(root, yaml.SequenceNode) and isinstance(step, int):
            found = root.value[step] if step < len(root.value) else None
        else:
            found = None
        if found is None:
            return root
        root = found
    return root


def plain(node: yaml.Node, what: str) -> str:
    """The value as it is written. Raises ValueError where it is no single value; what: what it must be."""
    if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null":
        raise ValueError(_("must be {what}").format(what=what))
    return str(node.value)


def text(node: yaml.Node) -> str:
    """Text that YAML reads as text: an unquoted `no` or 22:30 is a fault that says so."""
    value = plain(node, _("text"))
    kind = node.tag.rpartition(":")[2]
    if kind in READS_AS:
        raise ValueError(_('{value} reads as {kind}, write "{value}"').format(value=value, kind=_(READS_AS[kind])))
    if not value.strip():
        raise ValueError(_("must not be empty"))
    return value


def file(node: yaml.Node) -> Path:
    """A path; ~ is the home folder."""
    return Path(text(node)).expanduser()


def station(node: yaml.Node) -> str:
    """A station's name."""
    try:
        return checked_station(text(node))
    except WireError as exc:
        raise ValueError(foreign(str(exc).removeprefix("station "))) from exc


def yes_or_no(node: yaml.Node) -> bool:
    """True or false."""
    value = plain(node, _("true or false"))
    if value.lower() not in {"true", "false"}:
        raise ValueError(_("must be {what}, got {value!r}").format(what=_("true or false"), value=value))
    return value.lower() == "true"


def whole(least: int, most: int = 2**63) -> Callable[[yaml.Node], int]:
    """A whole number in these bounds."""

    def check(node: yaml.Node) -> int:
        bounded = _("a whole number, {least} to {most}").format(least=least, most=most)
        what = _("a whole number of at least {least}").format(least=least) if most == 2**63 else bounded
        value = plain(node, what)
        # digits in groups, as people write sizes; no octal 010, no sexagesimal 22:30, no 1e9
        if not re.fullmatch(r"0|[1-9][0-9]{0,18}|[1-9][0-9]{0,2}(_[0-9]{3}){1,6}", value):
            raise ValueError(_("must be {what}, got {value!r}").format(what=what, value=value))
        if not least <= int(value) <= most:
            raise ValueError(_("must be {what}, got {value}").format(what=what, value=value))
        return int(value)

    return check


def seconds(node: yaml.Node) -> float:
    """A time of up to a day."""
    what = _("seconds, more than 0 and at most 86400")
    value = plain(node, what)
    try:
        seconds = float(value)
    except ValueError as exc:
        raise ValueError(_("must be {what}, got {value!r}").format(what=what, value=value)) from exc
    if not 0 < seconds <= 86_400:
        raise ValueError(_("must be {what}, got {value!r}").format(what=what, value=value))
    return seconds


def one_of(*names: str) -> Callable[[yaml.Node], str]:
    """One of these words."""

    def check(node: yaml.Node) -> str:
        value = plain(node, _(" or ").join(names))
        if value not in names:
            raise ValueError(_("{value!r} is unknown; known: {names}").format(value=value, names=", ".join(names)))
        return value

    return check


def number(least: float, most: float) -> Callable[[yaml.Node], float]:
    """A number in these bounds."""

    def check(node: yaml.Node) -> float:
        what = _("a number, {least} to {most}").format(least=f"{least:g}", most=f"{most:g}")
        value = plain(node, what)
        # no sexagesimal 22:30, no .inf, no 1_0.5
        if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", value) or not least <= float(value) <= most:
            raise ValueError(_("must be {what}, got {value!r}").format(what=what, value=value))
        return float(value)

    return check


def size(node: yaml.Node) -> tuple[int, int]:
    """Width and height in pixels, written 1920x1080; both even, as video encoders and YUV want it."""
    value = plain(node, _("a size such as 1920x1080"))
    found = re.fullmatch(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})", value)
    if not found or int(found[1]) % 2 or int(found[2]) % 2:
        what = _("a size such as 1920x1080, both numbers even")
        raise ValueError(_("must be {what}, got {value!r}").format(what=what, value=value))
    return int(found[1]), int(found[2])
