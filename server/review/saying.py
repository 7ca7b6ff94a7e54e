"""What a form or a program says → `Said`: words and numbers checked, the species known. Errors tell what to write."""

from collections.abc import Collection, Mapping

from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.store.reviews import KINDS, MOST_COUNT, Said

from ..speech import Speech
from .names import species_said

CONFIRM = "confirm"
TAXON = "taxon:"
NO_ANSWER = mark("Say what is there: a species, a kind, or that the machine is right.")
NO_NUMBER = mark("How many: a whole number from 1 to {most}.")


def said_in_form(
    what: str,
    species: str,
    count: str,
    traits: Mapping[str, str],
    speech: Speech,
    *,
    record: Collection[str],
    new: bool = False,
) -> Said | None:
    """What is said; None for "the machine is right".

    what: a kind, "confirm", or "taxon:Puma concolor" of a button. traits: sex, life_stage, behaviour, comments.
    record: names that the site has. Raises HTTPException 422.
    """
    if what == CONFIRM:
        return None
    if what.startswith(TAXON):
        what, species = "animal", what.removeprefix(TAXON)
    if not what and species.strip():
        what = "animal"
    if what not in KINDS:
        raise HTTPException(422, speech.text(NO_ANSWER))
    taxon = species_said(species, speech, record=record, new=new) if what == "animal" else ""
    if what == "blank":
        return Said("blank", count=0, comments=_text(traits.get("comments", "")))
    try:
        return Said(what, taxon, _count(count, speech), **{name: _text(text) for name, text in traits.items()})
    except ValueError as exc:
        raise HTTPException(422, str(exc)) from exc


def _count(text: str, speech: Speech) -> int:
    text = text.strip()
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_COUNT):
        raise HTTPException(422, speech.text(NO_NUMBER).format(most=MOST_COUNT))
    return int(text)


def _text(text: str) -> str:
    """Without what no text has (NUL, halves of characters); lines stay lines."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return "".join(each for each in lines if each == "\n" or (each.isprintable() or each in "\u200d\u200c"))
