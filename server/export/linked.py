"""What a link to the form says, as the pages of species make it; what can't be used is left out, and told."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from edge.errors import EdgeError
from edge.export import read_interval
from edge.models.taxa import taxon_named

from .asking import CATEGORIES
from .jobs import Asked

USUAL = Asked("report")
LONGEST, MOST = 200, 50  # of a value, and of values
YEARS = range(1970, 2200)  # of a date that is no slip
FIELDS = frozenset(
    {"format", "station", "taxon", "since", "until", "category", "min_score", "independent", "suppressed"}
)


@dataclass(frozen=True, slots=True)
class Known:
    """What this person may ask for. taxa: names of the record that our table has not."""

    formats: Collection[str]
    stations: Collection[str]
    taxa: Collection[str] = ()


def read_link(pairs: Iterable[tuple[str, str]], known: Known) -> tuple[Asked, tuple[str, ...]]:
    """(the form as the link fills it in, the values that it can't use). pairs: of the query string."""
    asked, left_out = USUAL, []
    for name, text in list(pairs)[:MOST]:
        value = text.strip()
        if not value or name not in FIELDS:
            continue
        try:
            asked = _with(asked, name, value, known)
        except (ValueError, EdgeError):
            left_out.append(f"{name}={value[:LONGEST]}")
    return asked, tuple(left_out)


def _with(asked: Asked, name: str, value: str, known: Known) -> Asked:
    """Raises ValueError, EdgeError for what can't be used."""
    fields: dict[str, Any] = {name: value}
    match name:
        case "format":
            fields = {"format": _one_of(value, known.formats)}
        case "station":
            fields = {"stations": _more(asked.stations, _one_of(value, known.stations))}
        case "taxon":
            taxa = [each if taxon_named(each) else _one_of(each, known.taxa) for each in _parts(value)]
            fields = {"taxa": _more(asked.taxa, *taxa)}
        case "category":
            fields = {"categories": _more(asked.categories, _one_of(value, CATEGORIES))}
        case "since" | "until":
            fields = {name: _day(value)}
        case "min_score":
            fields = {"min_score": _share(value)}
        case "independent":
            read_interval(value)
        case "suppressed":
            fields = {"suppressed": bool(_one_of(value, ("1",)))}
    return replace(asked, **fields)


def _parts(value: str) -> list[str]:
    return [each.strip() for each in value.split(",") if each.strip()]


def _more(before: tuple[str, ...], *values: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *values)))


def _one_of(value: str, known: Collection[str]) -> str:
    if value not in known:
        raise ValueError(value)
    return value


def _day(value: str) -> str:
    day = date.fromisoformat(value)
    if day.year not in YEARS:
        raise ValueError(value)
    return day.isoformat()


def _share(value: str) -> float:
    share = float(value.replace(",", "."))
    if not 0 <= share <= 1:
        raise ValueError(value)
    return share
