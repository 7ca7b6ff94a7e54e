"""Which sequences are meant: the query string of the page and of the API → `Filters`, and back."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Depends, Query
from starlette.exceptions import HTTPException

from edge.i18n import _, mark
from edge.models.taxa import taxon_named

KINDS = ("animal", "human", "vehicle", "blank")
KIND_WORDS = {
    "animal": mark("Animal"),
    "human": mark("Person"),
    "vehicle": mark("Vehicle"),
    "blank": mark("Blank"),
    "unknown": mark("Not recognisable"),
}
SWITCHES = {
    "unreviewed": mark("Not reviewed"),
    "disagrees": mark("People and machine disagree"),
    "favourite": mark("Favourites"),
    "people": mark("People or vehicles"),
}
LIGHTS = {"day": mark("By day"), "night": mark("At night")}
UNNAMED = "-"  # as a species: animals that nobody has named
ON = frozenset({"1", "on", "true", "yes"})
MOST_STATIONS = 500
YEARS = range(1970, 2200)  # of a date that is no slip
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_IN_BRACKETS = re.compile(r"\(([^()]+)\)\s*$")  # "puma (Puma concolor)", as the field offers it


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for. stations: () for all. taxon: what counts now, itself or finer. low, high: the machine's score.

    since, until: local days of the site, both included. oldest: the oldest come first, else the newest.
    """

    stations: tuple[str, ...] = ()
    taxon: str = ""
    kind: str = ""
    low: float | None = None
    high: float | None = None
    light: Literal["", "day", "night"] = ""
    unreviewed: bool = False
    disagrees: bool = False
    favourite: bool = False
    people: bool = False
    since: date | None = None
    until: date | None = None
    oldest: bool = False

    def pairs(self) -> list[tuple[str, str]]:
        """As name and value of the query string, in a fixed order."""
        found = [("station", each) for each in self.stations]
        texts = {"species": self.taxon, "kind": self.kind, "light": self.light}
        numbers = {"score_from": self.low, "score_to": self.high}
        dates = {"from": self.since, "to": self.until}
        found += [(name, text) for name, text in texts.items() if text]
        found += [(name, f"{value:g}") for name, value in numbers.items() if value is not None]
        found += [(name, "1") for name in SWITCHES if getattr(self, name)]
        found += [(name, day.isoformat()) for name, day in dates.items() if day]
        return [*found, *([("order", "oldest")] if self.oldest else [])]

    def query(self) -> str:
        """As a query string; "" for none."""
        return urlencode(self.pairs())

    def without(self) -> Iterator[tuple[str, str, "Filters"]]:
        """(name, value, the others) of each filter that is set, to be shown as chips."""
        for each in self.stations:
            yield "station", each, replace(self, stations=tuple(other for other in self.stations if other != each))
        if self.taxon:
            yield "species", self.taxon, replace(self, taxon="")
        if self.kind:
            yield "kind", self.kind, replace(self, kind="")
        if self.low is not None or self.high is not None:
            yield (
                "score",
                f"{self.low or 0:g}–{1 if self.high is None else self.high:g}",
                replace(self, low=None, high=None),
            )
        if self.light:
            yield "light", self.light, replace(self, light="")
        for name in SWITCHES:
            if getattr(self, name):
                yield name, "", replace(self, **{name: False})  # type: ignore[arg-type]  # because they are switches
        if self.since:
            yield "from", self.since.isoformat(), replace(self, since=None)
        if self.until:
            yield "to", self.until.isoformat(), replace(self, until=None)

    def span(self, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
        """When sequences may have begun: from … before."""
        since = datetime.combine(self.since, time(), zone).astimezone(UTC) if self.since else None
        until = datetime.combine(self.until + timedelta(days=1), time(), zone).astimezone(UTC) if self.until else None
        return since, until

    def stations_for(self, scope: Collection[str] | None) -> tuple[str, ...] | None:
        """The stations that are meant and may be seen; None for all."""
        if scope is None:
            return self.stations or None
        return tuple(sorted(set(self.stations) & set(scope) if self.stations else scope))


def read_filters(
    station: Annotated[list[str] | None, Query(description="names of stations; several may be given")] = None,
    species: Annotated[str, Query(description="a scientific or common name, or - for animals without one")] = "",
    kind: Annotated[str, Query(description="what counts now: animal, human, vehicle or blank")] = "",
    score_from: Annotated[str, Query(description="the machine's score, 0 to 1, at least")] = "",
    score_to: Annotated[str, Query(description="the machine's score, 0 to 1, at most")] = "",
    light: Annotated[str, Query(description="day or night")] = "",
    unreviewed: Annotated[str, Query(description="1: only with frames that nobody has answered")] = "",
    disagrees: Annotated[str, Query(description="1: only where a person said something else than the machine")] = "",
    favourite: Annotated[str, Query(description="1: only with a favourite")] = "",
    people: Annotated[str, Query(description="1: only with people or vehicles")] = "",
    since: Annotated[str, Query(alias="from", description="first day, 2026-11-22, in the site's zone")] = "",
    until: Annotated[str, Query(alias="to", description="last day, in the site's zone")] = "",
    order: Annotated[str, Query(description="oldest or newest (the default) first")] = "",
) -> Filters:
    """The filters of a request; an empty value is none. Raises HTTPException 422 with what is wrong."""
    stations = tuple(dict.fromkeys(_clean("station", each)[:64] for each in station or () if each.strip()))
    if len(stations) > MOST_STATIONS:
        raise HTTPException(422, _("{name}: at most {most}").format(name="station", most=MOST_STATIONS))
    return Filters(
        stations=stations,
        taxon=taxon_meant(_clean("species", species)[:120]),
        kind=_one_of("kind", kind, KINDS),
        low=_share("score_from", score_from),
        high=_share("score_to", score_to),
        light=_one_of("light", light, LIGHTS),  # type: ignore[arg-type]  # because it is one of them
        unreviewed=unreviewed.lower() in ON,
        disagrees=disagrees.lower() in ON,
        favourite=favourite.lower() in ON,
        people=people.lower() in ON,
        since=_day("from", since),
        until=_day("to", until),
        oldest=_one_of("order", order, ("oldest", "newest")) == "oldest",
    )


Asked = Annotated[Filters, Depends(read_filters)]


def taxon_meant(text: str) -> str:
    """The scientific name that a text stands for, "puma", "Puma concolor" or both; the text where none is known."""
    inside = _IN_BRACKETS.search(text)
    name = (inside[1] if inside else text).strip()
    known = taxon_named(name) if name else None
    return known.scientific_name if known else name


def _clean(name: str, text: str) -> str:
    if _CONTROLS.search(text):
        raise HTTPException(422, _("{name}: has characters that no name has").format(name=name))
    return text.strip()


def _one_of(name: str, text: str, known: Collection[str]) -> str:
    if text and text not in known:
        raise HTTPException(422, _("{name}: one of {names}").format(name=name, names=", ".join(known)))
    return text


def _share(name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise HTTPException(422, _("{name}: write a number from 0 to 1").format(name=name))
    return value


def _day(name: str, text: str) -> date | None:
    if not text.strip():
        return None
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        day = date.min
    if day.year not in YEARS:
        raise HTTPException(422, _("{name}: write a date such as 2026-11-22").format(name=name))
    return day
