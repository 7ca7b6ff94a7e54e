"""A kernel before it is compiled: a file of kernels/, an entry point, and what is defined for it."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from ..paths import data_dir

INCLUDE: Final = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)

Defines = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One entry point of one file, specialised by macros.

    defines: (name, text), put in front of the file as `#define name text`; a name may carry parameters, "X_AT(i)".
    Two kernels that compare equal compile to the same program.
    """

    file: str
    entry: str
    defines: Defines = ()

    def source(self) -> str:
        """The whole OpenCL C text, includes resolved, that a compiler is given."""
        return "".join(f"#define {name} {text}\n" for name, text in self.defines) + read_source(self.file)


def defines_of(**values: object) -> Defines:
    """Macros by keyword, in the order written; True and False become 1 and 0, floats get an f."""
    return tuple((name, _text(value)) for name, value in values.items())


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return {"inf": "INFINITY", "-inf": "(-INFINITY)", "nan": "NAN"}.get(str(value), f"({value!r}f)")
    return str(value)


@cache
def read_source(file: str) -> str:
    """The text of kernels/FILE with each `#include "other.cl"` replaced by that file's text, once."""
    return _resolve(data_dir("kernels"), file, seen=set())


def _resolve(folder: Path, file: str, *, seen: set[str]) -> str:
    if file in seen:
        return ""
    seen.add(file)
    text = (folder / file).read_text(encoding="utf-8")
    return INCLUDE.sub(lambda found: _resolve(folder, found[1], seen=seen), text)
