"""The same for programs."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from edge.models.taxa import all_taxa

from ..needs import Viewer
from ..now.names import station_names
from ..web import Site
from .effort import Nights
from .pages import First, Last, Taxon, effort_of, wanted_of
from .period import Period, StationOf
from .queries import Part, Row, finer, one_species, species
from .richness import richness_of

router = APIRouter()


class Species(BaseModel):
    """A species in a time. names: by language. individuals: the most seen at once of each event, added up."""

    taxon: str = Field(examples=["Puma concolor"])
    rank: str
    names: dict[str, str]
    events: int
    frames: int
    individuals: int
    stations: int
    per_100_trap_nights: float | None
    first_at: datetime
    last_at: datetime


class Expected(BaseModel):
    """How many species there may be: Chao1, bias-corrected, of the events of what is a species; a lower bound.

    found, once, twice: how many were met, met once only, met twice. coverage: Good's. least: null where these numbers
    tell nothing; low, high: its 95 % interval, null where nothing but what was found is expected.
    """

    found: int
    once: int
    twice: int
    coverage: float
    least: float | None
    low: float | None
    high: float | None


class SpeciesList(BaseModel):
    """All of a time, the most events first; next is always null. unnamed_events: of animals without a name.

    trap_nights: of all stations that are meant; exact: each of them has deployments. expected: null of less than two
    species.
    """

    items: list[Species]
    next: None = None
    unnamed_events: int
    trap_nights: int
    trap_nights_exact: bool
    expected: Expected | None


class Share(BaseModel):
    """Of a station, or of a month "2026-11"."""

    name: str
    events: int
    frames: int
    individuals: int


class OneSpecies(Species):
    """With when and where. hours: events by local hour. finer: names below this one that were there, too."""

    hours: Annotated[list[int], Field(min_length=24, max_length=24)]
    by_station: list[Share]
    by_month: list[Share]
    finer: list[str]


@router.get("/species", summary="Species of a time")
def list_species(
    web: Site, principal: Viewer, period: Period = "", first: First = "", last: Last = "", station: StationOf = ""
) -> SpeciesList:
    """What was there: the last 12 months unless `from` and `to` or `period=all` say otherwise."""
    wanted = wanted_of(web, period, first, last, station)
    with web.readers.read() as connection:
        found = species(connection, wanted, principal.stations)
        effort = effort_of(connection, web, wanted, station_names(web, connection, principal), principal)
    richness = richness_of(row.events for row in found.rows if row.rank == "species")
    return SpeciesList(
        items=[Species(**_told(row, effort)) for row in found.rows],
        unnamed_events=found.unnamed,
        trap_nights=effort.count,
        trap_nights_exact=effort.exact,
        expected=Expected(**asdict(richness)) if richness else None,
    )


@router.get("/species/{taxon}", summary="One species: when and where")
def get_species(
    web: Site,
    principal: Viewer,
    taxon: Taxon,
    period: Period = "",
    first: First = "",
    last: Last = "",
    station: StationOf = "",
) -> OneSpecies:
    """One species in a time; 404 when it was not there then."""
    wanted = wanted_of(web, period, first, last, station)
    with web.readers.read() as connection:
        one = one_species(connection, taxon, wanted, principal.stations)
        if one is None:
            raise HTTPException(404)
        below = finer(connection, taxon, wanted, principal.stations)
        effort = effort_of(connection, web, wanted, station_names(web, connection, principal), principal)
    return OneSpecies(
        **_told(one.row, effort),
        hours=one.hours,
        by_station=[_share(part) for part in one.stations],
        by_month=[_share(part) for part in one.months],
        finer=below,
    )


def _told(row: Row, effort: Nights) -> dict[str, Any]:
    known = all_taxa().get(row.taxon)
    rate = effort.rate(row.events)
    return {
        "taxon": row.taxon,
        "rank": row.rank,
        "names": {each: known.name(each) for each in ("en", "es")} if known else {},
        "events": row.events,
        "frames": row.frames,
        "individuals": row.individuals,
        "stations": row.stations,
        "per_100_trap_nights": None if rate is None else round(rate, 3),
        "first_at": row.first_at,
        "last_at": row.last_at,
    }


def _share(part: Part) -> Share:
    return Share(name=part.name, events=part.events, frames=part.frames, individuals=part.individuals)
