"""Encounters in HTML: on the page, and for everybody who watches it, once a language."""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from ..page import asset, picture, templates
from ..speech import Speech
from ..web import Web
from .queries import Card, by_pks, cards_of


def render_cards(web: Web, pks: Collection[int], languages: Collection[str]) -> Mapping[int, Mapping[str, str]]:
    """Encounter → language → its card. Raises StoreBusy."""
    with web.readers.read() as connection:
        cards = cards_of(connection, by_pks(connection, pks))
    zone = ZoneInfo(web.plan.file.site.timezone)
    template = templates().get_template("now/card.html")
    found: dict[int, dict[str, str]] = {}
    for language in languages:
        speech = Speech(language, zone)
        known = {"_": speech.text, "speech": speech, "web": web, "now": web.clock.now(), "fresh": True}
        known |= {"asset": asset, "picture": picture, **words()}
        for card in cards:
            found.setdefault(card.encounter.pk, {})[language] = template.render(known | {"card": card})
    return found


@cache
def words() -> Mapping[str, Any]:
    """What cards say things with, beside what every template has."""
    return {"name_of": name_of, "other_name_of": other_name_of, "tone": tone}


def name_of(card: Card, speech: Speech) -> str:
    """What it is, in the reader's language: the species, or the category where nothing has named it."""
    return capital(speech.species(card.taxon) if card.taxon else speech.text(card.encounter.category))


def other_name_of(card: Card, speech: Speech) -> str:
    """Its common name in the other language, "" where that is the same or there is none."""
    names = card.other_names
    other = names.get("en" if speech.language == "es" else "es", "")
    return "" if other in {card.taxon, names.get(speech.language, "")} else other


def capital(text: str) -> str:
    """With a large first letter; the others as they are."""
    return text[:1].upper() + text[1:]


def tone(severity: str) -> str:
    """The class of a severity's chip."""
    return {"critical": "bad", "warning": "warn"}.get(severity, "")
