"""Single values of a site's YAML, changed in its text: comments, order, quotes and line breaks stay.

A place is a path of keys and numbers, ("limits", "spool_bytes") or ("rules", 0, "taxon"); in a list whose entries have
names, a name stands for the entry: ("rules", "cats", "taxon"). Nothing is checked here; `propose` does that.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

from ..errors import ConfigError
from ..foreign import foreign
from ..i18n import _
from ..yaml_marks import dotted, parse

Place = Sequence[str | int]
NEVER_FOLD = 10_000  # characters; a line that was long stays one line


def set_value(text: str, place: Place, value: Any) -> str:
    """The text with this value at a place; keys on the way that are not there are made. Raises ConfigError.

    value: what YAML can hold: texts, numbers, truth values, None, lists and mappings of them.
    """

    def change(root: Any) -> None:
        *way, last = place
        holder = root
        for step, following in zip(way, [*way[1:], last], strict=True):
            holder = _step_into(holder, step, place, make=[] if following == 0 else {})
        holder[_index(holder, last, place)] = _plain(value)

    return _changed(text, change)


def remove_value(text: str, place: Place) -> str:
    """The text without what stands at a place. Raises ConfigError when nothing stands there."""

    def change(root: Any) -> None:
        holder = _follow(root, place[:-1])
        key = _index(holder, place[-1], place)
        if isinstance(holder, CommentedMap) and key not in holder:
            raise _nothing_at(place)
        del holder[key]

    return _changed(text, change)


def add_item(text: str, place: Place, item: Any) -> str:
    """The text with one more entry at the end of the list at a place; the list is made where there is none."""

    def change(root: Any) -> None:
        holder = root
        for step in place[:-1]:
            holder = _step_into(holder, step, place, make={})
        found = _step_into(holder, place[-1], place, make=[])
        if not isinstance(found, CommentedSeq):
            raise _nothing_at(place)
        found.append(_plain(item))

    return _changed(text, change)


def replace_item(text: str, place: Place, item: Any) -> str:
    """The text with another entry at a place of a list; of a mapping, keys that stay keep their comments."""

    def change(root: Any) -> None:
        holder = _follow(root, place[:-1])
        key = _index(holder, place[-1], place)
        old = holder[key]
        if not isinstance(old, CommentedMap) or not isinstance(item, Mapping):
            holder[key] = _plain(item)
            return
        for gone in [each for each in old if each not in item]:
            del old[gone]
        for name, value in item.items():
            if name not in old or old[name] != value:
                old[name] = _plain(value)

    return _changed(text, change)


def remove_item(text: str, place: Place) -> str:
    """The text without an entry of a list, by number or name. Raises ConfigError when there is none."""
    return remove_value(text, place)


def _changed(text: str, change: Callable[[Any], None]) -> str:
    crlf, text = "\r\n" in text, text.replace("\r\n", "\n")
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = NEVER_FOLD
    yaml.brace_single_entry_mapping_in_flow_sequence = True  # [{use: motion}] stays so
    mapping, sequence, offset = _indents(text)
    yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
    try:
        root = yaml.load(text)
    except YAMLError as exc:
        raise ConfigError(_("not YAML: {problem}").format(problem=foreign(str(exc).splitlines()[0]))) from exc
    root = CommentedMap() if root is None else root
    if not isinstance(root, CommentedMap):
        raise ConfigError(_("a site is a mapping of keys such as `sources:` and `stages:`"))
    change(root)
    out = io.StringIO()
    yaml.dump(root, out)
    return out.getvalue().replace("\n", "\r\n") if crlf else out.getvalue()


def _indents(text: str) -> tuple[int, int, int]:
    """(of mappings, of sequences, of their dashes) as the text has them; ours where it does not tell."""
    mapping, offset = 2, 2
    before = ""
    for line in text.split("\n"):
        bare = line.lstrip(" ")
        if not bare or bare.startswith("#"):
            continue
        depth = len(line) - len(bare)
        if before.partition(" #")[0].rstrip().endswith(":") and not before.startswith((" ", "-")):
            if bare.startswith("- "):
                offset = depth
                break
            mapping = depth or mapping
        before = line
    return mapping, offset + 2, offset


def _follow(root: Any, place: Place) -> Any:
    found = root
    for step in place:
        key = _index(found, step, place)
        if isinstance(found, CommentedMap) and key not in found:
            raise _nothing_at(place)
        found = found[key]
    return found


def _step_into(holder: Any, step: str | int, place: Place, *, make: Any) -> Any:
    key = _index(holder, step, place)
    if isinstance(holder, CommentedMap) and holder.get(key) is None:
        holder[key] = CommentedSeq() if isinstance(make, list) else CommentedMap()
    return holder[key]


def _index(holder: Any, step: str | int, place: Place) -> str | int:
    """The key or number by which `step` is found in a mapping or list."""
    if isinstance(holder, CommentedMap):
        return str(step)
    if isinstance(holder, CommentedSeq):
        if isinstance(step, int):
            if -len(holder) <= step < len(holder):
                return step
        else:
            for number, entry in enumerate(holder):
                if isinstance(entry, Mapping) and entry.get("name") == step:
                    return number
    raise _nothing_at(place)


def _nothing_at(place: Place) -> ConfigError:
    return ConfigError(_("nothing stands at {place}").format(place=dotted(tuple(place))))


def _plain(value: Any) -> Any:
    """The value as ruamel is to write it: texts that a reader may take for something else in quotes."""
    if isinstance(value, Mapping):
        return CommentedMap((str(key), _plain(each)) for key, each in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        inner = CommentedSeq(_plain(each) for each in value)
        if all(not isinstance(each, CommentedMap | CommentedSeq) for each in inner):
            inner.fa.set_flow_style()
        return inner
    if isinstance(value, str) and not _reads_as_text(value):
        return DoubleQuotedScalarString(value) if not value.isprintable() else SingleQuotedScalarString(value)
    return value


def _reads_as_text(value: str) -> bool:
    """Whether it is read as the same text without quotes, also inside brackets."""
    for around in ("x: {}\n", "x: [{}]\n"):
        read = parse(around.format(value))
        if read.faults or read.data != {"x": [value] if "[" in around else value}:
            return False
    return True
