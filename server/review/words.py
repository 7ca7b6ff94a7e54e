"""How kinds, traits and answers are called, and which keys do what: marked for translation, said by templates."""

from collections.abc import Mapping, Sequence
from typing import Any

from edge.i18n import mark

from ..speech import Speech
from .filters import KIND_WORDS, LIGHTS, SWITCHES, UNNAMED

SEX_WORDS = {"female": mark("Female"), "male": mark("Male")}
STAGE_WORDS = {"adult": mark("Adult"), "subadult": mark("Subadult"), "juvenile": mark("Juvenile")}
# What is offered; anything else may be written. Camtrap DP leaves the vocabulary of `behavior` open.
BEHAVIOURS = (
    mark("walking"),
    mark("running"),
    mark("foraging"),
    mark("feeding"),
    mark("drinking"),
    mark("resting"),
    mark("grooming"),
    mark("scent marking"),
    mark("mating"),
    mark("with young"),
    mark("fighting"),
    mark("carrying prey"),
    mark("looking at the camera"),
)
# (keys, what they do), as the dialog has them; a key that is written "1–9" is not one key.
GRID_KEYS = (
    (("←", "↑", "→", "↓", "h", "j", "k", "l"), mark("Move from picture to picture")),
    (("Space", "x"), mark("Choose, or choose no more")),
    (("Shift + ←", "Shift + →"), mark("Choose as far as here")),
    (("a",), mark("Choose all on the page, or none")),
    (("Enter",), mark("Open the sequence")),
)
ANSWER_KEYS = (
    (("i",), mark("The machine is right")),
    (("1–9",), mark("The species with this number")),
    (("s",), mark("Write another species")),
    (("c",), mark("How many there are")),
    (("b",), mark("Blank: nothing is there")),
    (("p",), mark("Person")),
    (("v",), mark("Vehicle")),
    (("f",), mark("Favourite, or no more")),
    (("u", "Ctrl + Z"), mark("Take the last answer back")),
)
ONE_KEYS = (
    (("←", "→", "h", "l"), mark("The picture before, the next one")),
    (("[", "]"), mark("The sequence before, the next one")),
    (("+", "-", "0"), mark("Nearer, farther, whole")),
    (("o",), mark("Boxes on or off")),
    (("t",), mark("Lighter, for dark pictures")),
)
LAST_KEYS = ((("Esc",), mark("Choose none; leave a field; close this")), (("?",), mark("These keys")))
KEY_NAMES = (mark("Space"), mark("Enter"), mark("Esc"))  # the others are the same in every language


def capital(text: str) -> str:
    """With a large first letter; the others as they are."""
    return text[:1].upper() + text[1:]


def name_of(kind: str, taxon: str, speech: Speech) -> str:
    """What is there, in the reader's language: the species, or the kind where nobody named it."""
    return capital(speech.species(taxon)) if taxon and kind == "animal" else speech.text(KIND_WORDS.get(kind, kind))


def chip_text(name: str, value: str, speech: Speech) -> str:
    """How a filter that is set is called."""
    if name in SWITCHES:
        return speech.text(SWITCHES[name])
    if name == "kind":
        return speech.text(KIND_WORDS[value])
    if name == "light":
        return speech.text(LIGHTS[value])
    if name == "species":
        return speech.text(mark("Animal without a name")) if value == UNNAMED else capital(speech.species(value))
    said = {
        "score": mark("Score {value}"),
        "from": mark("From {value}"),
        "to": mark("Until {value}"),
        "station": "{value}",
    }
    return speech.text(said[name]).format(value=value)


def many(count: int, one: str, more: str, speech: Speech) -> str:
    """`one` for 1, else `more` with {count}; both marked."""
    return speech.text(one) if count == 1 else speech.text(more).format(count=speech.number(count))


def sequences_said(count: int, speech: Speech) -> str:
    """As in "3 sequences"."""
    return many(count, mark("1 sequence"), mark("{count} sequences"), speech)


def pictures_said(count: int, speech: Speech) -> str:
    """As in "10 pictures"."""
    return many(count, mark("1 picture"), mark("{count} pictures"), speech)


def words(speech: Speech) -> Mapping[str, Any]:
    """What the templates of this area say things with."""
    return {
        "name_of": name_of,
        "capital": capital,
        "kind_words": KIND_WORDS,
        "sex_words": SEX_WORDS,
        "stage_words": STAGE_WORDS,
        "switches": SWITCHES,
        "lights": LIGHTS,
        "unnamed": UNNAMED,
        "behaviours": tuple(speech.text(each) for each in BEHAVIOURS),
        "pictures_said": pictures_said,
        "sequences_said": sequences_said,
        "key_names": KEY_NAMES,
    }


def keys_for(groups: Sequence[str]) -> list[tuple[tuple[str, ...], str]]:
    """The keys of a page: "grid" or "one"; then those that both have."""
    known = {"grid": GRID_KEYS, "one": ONE_KEYS}
    return [*(each for group in groups for each in known[group]), *ANSWER_KEYS, *LAST_KEYS]
