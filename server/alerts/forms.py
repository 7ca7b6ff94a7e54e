"""A rule as a form's fields, and back; what the form has no field for stays as it is in the site's YAML."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.datastructures import FormData

from edge.alerts.hours import parse_weekday
from edge.i18n import _, mark

TEXTS = ("name", "severity")
LISTS = ("taxon", "group", "hours")  # one field, names with commas
CHOICES = ("category", "sun", "weekdays", "stations", "zones", "to", "channels")  # several of one name
ALWAYS_LISTS = ("to", "channels", "stations", "zones")
NUMBERS = ("min_score", "min_count", "first_in_days", "cooldown_min", "max_age_min")
FLAGS = {"shows_people": False, "enabled": True}  # name → what it is where nothing is said
DEFAULTS = {"severity": "warning"}
LABELS = {  # of the form's fields, for what is wrong with one
    "name": mark("Name"),
    "taxon": mark("Animals"),
    "group": mark("Groups"),
    "category": mark("Or anything that is"),
    "min_score": mark("Least score"),
    "min_count": mark("Least number in the picture"),
    "first_in_days": mark("Only the first in so many days"),
    "hours": mark("Hours"),
    "sun": mark("Light"),
    "weekdays": mark("Weekdays"),
    "stations": mark("Stations"),
    "zones": mark("Zones"),
    "to": mark("Whom it tells"),
    "channels": mark("Channels with addressees of their own"),
    "severity": mark("Severity"),
    "cooldown_min": mark("Pause, minutes"),
    "max_age_min": mark("Not live when older than, minutes"),
}
_PLACE = re.compile(r"(?:\d+:\d+ )?rules\[\d+\](?:\.(\w+)(?:\[\d+\])?)?: ")  # where a fault of the file is
FIELDS = (*TEXTS, *LISTS, *CHOICES, *NUMBERS, *FLAGS)
LONGEST = 2000  # characters of one field
MOST = 500  # values of one field
NEW: Mapping[str, Any] = {"name": "", "cooldown_min": 30}


def entry_from(old: Mapping[str, Any], form: FormData) -> dict[str, Any]:
    """The rule that a form says; `old`: as the YAML has it, whose other keys stay.

    What can't be read as a number stays a text: the check of the site says what is wrong with it, and where.
    """
    said: dict[str, Any] = {}
    for name in TEXTS:
        said[name] = _text(form, name)
    for name in LISTS:
        said[name] = [each.strip() for each in _text(form, name).split(",") if each.strip()]
    for name in CHOICES:
        said[name] = list(dict.fromkeys(str(each)[:LONGEST] for each in form.getlist(name)[:MOST] if str(each)))
    for name in NUMBERS:
        said[name] = _number(_text(form, name))
    for name, usual in FLAGS.items():
        said[name] = None if (form.get(name) == "1") == usual else not usual
    found: dict[str, Any] = {}
    for name in dict.fromkeys((*old, *FIELDS)):
        if name not in FIELDS:
            found[name] = old[name]
            continue
        value = said[name]
        if value in (None, "", []) or value == DEFAULTS.get(name):
            continue
        single = isinstance(value, list) and len(value) == 1 and name not in ALWAYS_LISTS
        found[name] = value[0] if single else value
        if name in old and _as_list(old[name]) == _as_list(found[name]):
            found[name] = old[name]  # written another way, it means the same
    return found


def values_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the form's fields show for a rule as the YAML has it."""
    shown: dict[str, Any] = {name: str(entry.get(name, DEFAULTS.get(name, ""))) for name in TEXTS}
    shown |= {name: ", ".join(map(str, _as_list(entry.get(name)))) for name in LISTS}
    shown |= {name: [str(each) for each in _as_list(entry.get(name))] for name in CHOICES}
    shown["weekdays"] = [_weekday(each) for each in shown["weekdays"]]
    shown |= {name: "" if entry.get(name) is None else str(entry[name]) for name in NUMBERS}
    shown |= {name: bool(entry.get(name, usual)) for name, usual in FLAGS.items()}
    return shown


def of_field(fault: str) -> str:
    """A fault of the site's file with the label of its field in the place of line, column and key.

    One of the rule as a whole has neither; one of a key that the form has no field for stays as it is.
    """
    found = _PLACE.match(fault)
    if found is None or (found[1] and found[1] not in LABELS):
        return fault
    said = fault[found.end() :]
    return f"{_(LABELS[found[1]])}: {said}" if found[1] else said


def others_of(entry: Mapping[str, Any]) -> list[str]:
    """Keys that the form has no field for."""
    return [name for name in entry if name not in FIELDS]


def _text(form: FormData, name: str) -> str:
    return str(form.get(name) or "").strip()[:LONGEST]


def _number(text: str) -> float | int | str | None:
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return text
    return int(value) if value.is_integer() and abs(value) < 1e9 else value


def _weekday(text: str) -> str:
    with suppress(ValueError):  # the check of the site says that it is none
        return parse_weekday(text)
    return text


def _as_list(value: Any) -> Sequence[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
