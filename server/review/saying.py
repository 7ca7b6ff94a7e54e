"""What a form or a program says → `Said`: words and numbers checked, the species known. Errors tell what to write."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.store.reviews import KINDS, MOST_COUNT, Said

from ..speech import Speech
from .names import kind_written, species_said

CONFIRM, SAY = "confirm", "say"
TAXON = "taxon:"
NO_ANSWER = mark("Say what is there: a species, a kind, or that the machine is right.")
NO_NUMBER = mark("How many: a whole number from 1 to {most}.")


@dataclass(frozen=True, slots=True)
class Right:
    """The machine is right, and what is added to what it says. count: None for as many as it counts; rest as `Said`."""

    count: int | None = None
    sex: str = ""
    life_stage: str = ""
    behaviour: str = ""
    comments: str = ""

    def __post_init__(self) -> None:
        self.about(Said("animal"))  # raises ValueError

    def about(self, machine: Said) -> Said:
        """The machine's answer as a person's."""
        if machine.kind == "blank":
            return replace(machine, comments=self.comments)
        traits = {name: getattr(self, name) for name in ("sex", "life_stage", "behaviour", "comments")}
        return replace(machine, count=self.count or machine.count, **traits)


def said_in_form(
    what: str,
    species: str,
    count: str,
    traits: Mapping[str, str],
    speech: Speech,
    *,
    record: Collection[str],
    new: bool = False,
) -> Said | Right:
    """What is said.

    what: a kind, "confirm", "taxon:Puma concolor" of a button, or "say": the species that is written, and where none
    is, that the machine is right but for the number. traits: sex, life_stage, behaviour, comments. record: names that
    the site has. Raises HTTPException 422.
    """
    texts = {name: _text(text) for name, text in traits.items()}
    if what == SAY:
        what = "animal" if species.strip() else CONFIRM if count.strip() else ""
    if what == CONFIRM:
        try:
            return Right(_count(count, speech) if count.strip() else None, **texts)
        except ValueError as exc:
            raise HTTPException(422, str(exc)) from exc
    if what.startswith(TAXON):
        what, species = "animal", what.removeprefix(TAXON)
    if not what and species.strip():
        what = "animal"
    if what == "animal":
        what = kind_written(species)
    if what not in KINDS:
        raise HTTPException(422, speech.text(NO_ANSWER))
    taxon = species_said(species, speech, record=record, new=new) if what == "animal" else ""
    if what == "blank":
        return Said("blank", count=0, comments=texts.get("comments", ""))
    try:
        return Said(what, taxon, _count(count, speech), **texts)
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
