"""The list of species and the page of one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from edge.models.taxa import all_taxa

from ..needs import Viewer
from ..now.names import station_names
from ..page import render, speech_of
from ..rights import Principal
from ..speech import Speech
from ..web import Site, Web
from . import charts
from .effort import Nights, nights
from .period import MOST_MONTHS, Month, Period, StationOf, Wanted, months_between, read_wanted
from .queries import Found, finer, newest, one_species, species
from .richness import richness_of

router = APIRouter()
LEAST_SPECIES = 2  # of which a curve says anything
MOST_ONCE = 12  # names of those that were met once

Taxon = Annotated[str, Path(max_length=120, pattern=r"^[^\x00-\x1f]*$", description="A scientific name.")]
First = Annotated[Month, Query(alias="from")]
Last = Annotated[Month, Query(alias="to")]


@dataclass(frozen=True, slots=True)
class Names:
    """What a species is called. other: in the other language, "" where it is the same or unknown."""

    common: str
    other: str
    scientific: str


@router.get("/species", response_class=HTMLResponse)
def species_page(
    request: Request,
    web: Site,
    principal: Viewer,
    period: Period = "",
    first: First = "",
    last: Last = "",
    station: StationOf = "",
) -> HTMLResponse:
    """What was there, in a time."""
    speech = speech_of(request)
    wanted = wanted_of(web, period, first, last, station, speech)
    with web.readers.read() as connection:
        known = station_names(web, connection, principal)
        found = species(connection, wanted, principal.stations)
        effort = effort_of(connection, web, wanted, known, principal)
    return render(
        request,
        "species/page.html",
        wanted=wanted,
        found=found,
        effort=effort,
        stations=known,
        names=names_of([row.taxon for row in found.rows], speech),
        **_growth(found, effort, speech),
        export=_export(wanted),
        review=_review(wanted),
    )


@router.get("/species/{taxon}", response_class=HTMLResponse)
def one_page(
    request: Request,
    web: Site,
    principal: Viewer,
    taxon: Taxon,
    period: Period = "",
    first: First = "",
    last: Last = "",
    station: StationOf = "",
) -> HTMLResponse:
    """One species: when in the day and the year, where, the last pictures."""
    speech = speech_of(request)
    wanted = wanted_of(web, period, first, last, station, speech)
    scope = principal.stations
    with web.readers.read() as connection:
        one = one_species(connection, taxon, wanted, scope)
        if one is None and taxon not in all_taxa() and one_species(connection, taxon, EVER, scope) is None:
            raise HTTPException(404)
        known = station_names(web, connection, principal)
        below = finer(connection, taxon, wanted, scope)
        values: dict[str, Any] = {
            "effort": effort_of(connection, web, wanted, known, principal),
            "pictures": newest(connection, taxon, wanted, scope) if one else [],
        }
    if one is not None:
        values["sectors"], values["hours"] = charts.rose(one.hours)
        events = {part.name: part.events for part in one.months}
        between = months_between(min(events), max(events)) if wanted.is_all else wanted.periods
        values["bars"] = charts.bars([(speech.month(each), events.get(each, 0)) for each in between[-MOST_MONTHS:]])
        values["axis"] = charts.axis(values["bars"])
    return render(
        request,
        "species/one.html",
        taxon=taxon,
        wanted=wanted,
        one=one,
        stations=known,
        names=names_of([taxon, *below], speech),
        finer=below,
        export=_export(wanted, taxon),
        review=_review(wanted),
        **values,
    )


EVER = Wanted(is_default=False)


def wanted_of(web: Web, period: str, first: str, last: str, station: str, speech: Speech | None = None) -> Wanted:
    """What is asked for. Raises HTTPException 422."""
    today = web.clock.now().astimezone(ZoneInfo(web.plan.file.site.timezone)).date()
    return read_wanted(period=period, first=first, last=last, station=station, today=today, speech=speech)


def effort_of(connection: Connection, web: Web, wanted: Wanted, known: Iterable[str], principal: Principal) -> Nights:
    """The trap-nights of the stations that are meant and seen."""
    meant = [each for each in known if wanted.station in ("", each) and principal.sees(each)]
    return nights(connection, web, wanted, meant, now=web.clock.now())


def names_of(taxa: Iterable[str], speech: Speech) -> Mapping[str, Names]:
    """Scientific name → what it is called, the reader's language first."""
    found = {}
    for each in taxa:
        taxon = all_taxa().get(each)
        common = taxon.name(speech.language) if taxon else each
        other = taxon.name("en" if speech.language == "es" else "es") if taxon else ""
        found[each] = Names(common[:1].upper() + common[1:], "" if other in (common, each) else other, each)
    return found


def _export(wanted: Wanted, taxon: str = "") -> Mapping[str, str]:
    """The same choice in the words of the export's form."""
    span = [each.isoformat() for each in wanted.days() or ()] or ["", ""]
    said = {"taxon": taxon, "station": wanted.station, "since": span[0], "until": span[1]}
    return {name: value for name, value in said.items() if value}


def _review(wanted: Wanted) -> Mapping[str, str]:
    """The same choice in the words of the review's filters."""
    span = [each.isoformat() for each in wanted.days() or ()] or ["", ""]
    said = {"station": wanted.station, "from": span[0], "to": span[1]}
    return {name: value for name, value in said.items() if value}


def _growth(found: Found, effort: Nights, speech: Speech) -> Mapping[str, Any]:
    """How the number of species grew with effort, and how many there may be."""
    species = sorted((row for row in found.rows if row.rank == "species"), key=lambda row: row.first_at)
    firsts = [(row, effort.until(row.first_at.astimezone(speech.zone).date())) for row in species]
    curve = None
    if len(firsts) >= LEAST_SPECIES and effort.count:
        curve = charts.accumulation([after for _row, after in firsts], effort.count)
    return {
        "firsts": firsts,
        "curve": curve,
        "dates": [effort.when(tick.nights) for tick in curve.ticks] if curve else [],
        "richness": richness_of(row.events for row in species),
        "once": [row.taxon for row in species if row.events == 1][:MOST_ONCE],
    }
