"""English and Spanish: `_("text")` gives the text in the reader's language.

The English text is the key; edge/locale/es.po has the Spanish. A test fails on a missing or fuzzy entry. It needs the
standard library only, so that a Pi's agent speaks Spanish too. How to mark and translate: docs/translating.md.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "es")
CATALOGUE = Path(__file__).resolve().parent / "locale" / "es.po"
catalogues = [CATALOGUE]
ENTRY = re.compile(r'(^#,.*\n)?^msgid ((?:".*"\n)+)msgstr ((?:".*"\n?)+)', re.MULTILINE)


_spoken: ContextVar[str] = ContextVar("spoken", default="")


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Let `_` speak this language to whoever is served here, whatever the process's own: for the web page's readers."""
    before = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(before)


def speak(language: str) -> None:
    """Let `_` speak this language for what is left of this task, such as one request of the web page."""
    _spoken.set(language)


def user_language() -> str:
    """The language of the person at the terminal: TIGRILLO_LANG, LC_ALL, LC_MESSAGES or LANG; English by default."""
    if spoken := _spoken.get():
        return spoken
    for variable in ("TIGRILLO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable, "")[:2].lower():
            return value if value in LANGUAGES else "en"
    return "en"


def translate(text: str, language: str) -> str:
    """`text` in `language` ("en" or "es"); the English text where the catalogue has none."""
    return _spanish().get(text, text) if language == "es" else text


def _(text: str) -> str:
    """`text` in the language of the person at the terminal."""
    return translate(text, user_language())


def mark(text: str) -> str:
    """`text` as it is: tells the catalogue about a text that is translated elsewhere, such as a constant."""
    return text


def decimal(value: float, *, digits: int = 1, language: str = "") -> str:
    """A number as people write it: 12.5, in Spanish 12,5. language: the reader's when left out.

    For measures. Scores keep the point, as in the site's YAML and in results.
    """
    text = f"{value:.{digits}f}"
    return text.replace(".", ",") if (language or user_language()) == "es" else text


def add_catalogue(path: Path) -> None:
    """Texts of another room, such as the web page's; where both have one, the first catalogue's stays."""
    catalogues.append(path)
    _spanish.cache_clear()


@cache
def _spanish() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in reversed(catalogues):
        found |= read_catalogue(path.read_text("utf-8"))
    return found


def read_catalogue(text: str) -> dict[str, str]:
    """English → translation, from a PO file without plurals and contexts; fuzzy and empty entries are left out."""
    found = ((flags, _unquoted(key), _unquoted(value)) for flags, key, value in ENTRY.findall(text))
    return {key: value for flags, key, value in found if key and value and "fuzzy" not in flags}


def _unquoted(lines: str) -> str:
    # the escapes that a PO file has are those of JSON
    return "".join(json.loads(line, strict=False) for line in lines.splitlines())
