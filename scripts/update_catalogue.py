#!/usr/bin/env python3
"""Bring the catalogues up to the texts that code and templates mark: `python scripts/update_catalogue.py`.

Code, models/catalog.toml and the page's templates → marked texts → edge/locale/es.po, and server/locale/es.po for what
the web page alone says; in the order of files and of texts in them; without line numbers, so that moving code changes
nothing. Translations stay; a reworded text keeps its old one, marked fuzzy; unused ones go. See docs/translating.md.
"""

import ast
import difflib
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from babel.messages.pofile import read_po
from jinja2 import Environment

REPO = Path(__file__).resolve().parent.parent
CATALOGUE = REPO / "edge" / "locale" / "es.po"
PAGES = REPO / "server" / "locale" / "es.po"
ROOMS = ("edge", "plugins", "raspberry_pi")
TEMPLATES = REPO / "server" / "templates"
MARKS = frozenset({"_", "translate", "mark"})
MODELS = Path("edge/models/catalog.toml")
SIMILAR = 0.75  # of difflib; above it a new text is an old one reworded
HEADER = """\
# Spanish (Latin America, usted). Made by scripts/update_catalogue.py; write translations here, and nothing else.
msgid ""
msgstr ""
"Project-Id-Version: tigrillo\\n"
"Language: es\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"""


def marked_texts(rooms: tuple[str, ...] = ROOMS) -> dict[str, list[str]]:
    """Every text that is marked for translation in these rooms → the files it stands in, in a fixed order."""
    found: dict[str, list[str]] = {}
    for room in rooms:
        for path in sorted((REPO / room).rglob("*.py")):
            for text in _texts_of_code(ast.parse(path.read_text("utf-8"))):
                _add(found, text, path.relative_to(REPO).as_posix())
    if "edge" not in rooms:
        return found
    for text in _texts_of_models(tomllib.loads((REPO / MODELS).read_text("utf-8"))):
        _add(found, text, MODELS.as_posix())
    return found


def page_texts() -> dict[str, list[str]]:
    """The same for the web page: what its code and its templates say and the other rooms do not."""
    found = marked_texts(("server",))
    reader = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    for path in sorted(TEMPLATES.rglob("*.html")):
        for _line, _function, text in reader.extract_translations(path.read_text("utf-8")):
            if isinstance(text, str):
                _add(found, text, path.relative_to(REPO).as_posix())
    elsewhere = marked_texts()
    return {text: places for text, places in found.items() if text not in elsewhere}


def _texts_of_code(tree: ast.AST) -> Iterator[str]:
    """The first arguments of `_`, `translate` and `mark` that are plain text, as they stand one below the other.

    Not babel's extractor: on Python 3.11 that one is blind inside f-strings, and takes the key of `_(row["key"])`.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value
        yield from _texts_of_code(node)


def _add(found: dict[str, list[str]], text: str, place: str) -> None:
    places = found.setdefault(text, [])
    if place not in places:
        places.append(place)


def _texts_of_models(entries: Mapping[str, Any]) -> Iterator[str]:
    """What the catalogue of models says to people; a licence only where it is a sentence."""
    for entry in entries.values():
        yield from (text for key in ("summary", "not_yet", "accept") if (text := entry.get(key)))
        if " " in entry.get("licence", ""):
            yield entry["licence"]
        if note := entry.get("card", {}).get("note"):
            yield note


def merged(texts: Mapping[str, list[str]], translations: Mapping[str, tuple[str, bool]]) -> Iterator[str]:
    """The lines of the new catalogue. translations: English → (Spanish, whether it is fuzzy)."""
    yield HEADER
    free = {text: spanish for text, (spanish, _fuzzy) in translations.items() if text not in texts and spanish}
    for text, places in texts.items():
        spanish, fuzzy = translations.get(text, ("", False))
        if not spanish and (near := difflib.get_close_matches(text, free, n=1, cutoff=SIMILAR)):
            spanish, fuzzy = free.pop(near[0]), True
        flags = "#, fuzzy\n" if fuzzy else ""
        yield f"\n#: {' '.join(places)}\n{flags}msgid {_quoted(text)}\nmsgstr {_quoted(spanish)}\n"


def _quoted(text: str) -> str:
    """As PO files have it: one line a paragraph."""
    lines = text.splitlines(keepends=True) or [""]
    quoted = [json.dumps(line, ensure_ascii=False) for line in lines]
    return quoted[0] if len(quoted) == 1 else "\n".join(['""', *quoted])


def read_translations(catalogue: Path = CATALOGUE) -> dict[str, tuple[str, bool]]:
    """What a catalogue has now: English → (Spanish, whether it is fuzzy)."""
    if not catalogue.exists():
        return {}
    with catalogue.open("rb") as file:
        return {str(each.id): (str(each.string), each.fuzzy) for each in read_po(file, locale="es") if each.id}


def update(catalogue: Path, texts: Mapping[str, list[str]]) -> bool:
    """Write one catalogue and say what is left to translate; True when nothing is."""
    before = read_translations(catalogue)
    catalogue.write_text("".join(merged(texts, before)), "utf-8")
    after = read_translations(catalogue)
    left = [text for text, (spanish, fuzzy) in after.items() if fuzzy or not spanish]
    gone = len(before.keys() - after.keys())
    print(f"{catalogue.relative_to(REPO)}: {len(after)} texts, {len(left)} to translate, {gone} dropped")
    return not left


def main() -> int:
    """Write both catalogues. Exit 1 when something is left to translate."""
    whole = [update(CATALOGUE, marked_texts()), update(PAGES, page_texts())]
    return 0 if all(whole) else 1


if __name__ == "__main__":
    sys.exit(main())
