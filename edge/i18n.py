"""English and Spanish: `_("text")` gives the text in the reader's language.

The English text is the key; edge/locale/es.po has the Spanish. A test fails on a missing or fuzzy entry.
"""

import os
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "es")
CATALOGUE = Path(__file__).resolve().parent / "locale" / "es.po"


def user_language() -> str:
    """The language of the person at the terminal: TIGRILLO_LANG, LC_ALL, LC_MESSAGES or LANG; English by default."""
    for variable in ("TIGRILLO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable, "")[:2].lower():
            return value if value in LANGUAGES else "en"
    return "en"


@cache
def _spanish() -> dict[str, str]:
    from babel.messages.pofile import read_po  # noqa: PLC0415  # because English needs no catalogue and should start fast

    with CATALOGUE.open("rb") as file:
        catalogue = read_po(file, locale="es")
    return {str(message.id): str(message.string) for message in catalogue if message.id and message.string}


def translate(text: str, language: str) -> str:
    """`text` in `language` ("en" or "es"); the English text where the catalogue has none."""
    return _spanish().get(text, text) if language == "es" else text


def _(text: str) -> str:
    """`text` in the language of the person at the terminal."""
    return translate(text, user_language())
