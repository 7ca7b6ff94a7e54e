"""The pages of stations: all of them, one; commands for it; the tiles of the map."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from edge.errors import FatalError, RefusedError
from edge.i18n import mark, speaking

from ..api.words import InPath
from ..needs import Manager, Viewer
from ..page import asset, render, speech_of
from ..rights import Principal
from ..speech import Speech
from ..web import Site, Web
from . import deployment_pages, desk, words
from .calendar import STATES, calendar_of
from .overview import Overview, one_of, overviews
from .places import ABOUT_KM, place_for, place_text
from .queries import (
    SPAN,
    commands_of,
    corrections_of,
    days_heard,
    days_of,
    deployments_of,
    frames_lately,
    last_sequences,
    readings,
    species_there,
)
from .strips import HEIGHT, WIDTH, strips
from .tiles import tiles_of

router = APIRouter()
router.include_router(deployment_pages.router)
MOST_ROWS = 200  # of the list at once
LATELY = timedelta(days=7)
TILES = "/tiles.pmtiles"
SHOWN = {"": mark("All"), "trouble": mark("In trouble"), "resting": mark("Taken down")}


@dataclass(frozen=True, slots=True)
class Row:
    """A station as the list shows it."""

    station: Overview
    chip: tuple[str, str]
    troubles: list[str]
    charge: str
    lately: int
    place: str


@router.get("/stations")
def stations_page(
    request: Request,
    web: Site,
    principal: Viewer,
    show: Annotated[Literal["", "trouble", "resting"], Query()] = "",
    start: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> HTMLResponse:
    """All stations, the worst first, and where they stand."""
    speech = speech_of(request)
    with web.readers.read() as connection:
        found = overviews(web, connection, only=principal.stations)
        lately = frames_lately(connection, since=(web.clock.now() - LATELY).date())
    chosen = [each for each in found if show in ("", _group(each))]
    rows = [_row(each, principal, speech, lately) for each in chosen[start : start + MOST_ROWS]]
    values: dict[str, Any] = {
        "rows": rows,
        "counts": {name: sum(name in ("", _group(each)) for each in found) for name in SHOWN},
        "tabs": SHOWN,
        "show": show,
        "start": start,
        "next": start + MOST_ROWS if len(chosen) > start + MOST_ROWS else 0,
        "map": _map(web, principal, speech, chosen),
        "about_km": ABOUT_KM,
        "exact": principal.may("review"),
    }
    return render(request, "stations/list.html", **values)


@router.get(TILES)
def tiles(web: Site, principal: Viewer) -> FileResponse:
    """The site's map, in ranges."""
    del principal
    found = tiles_of(web)
    if found is None:
        raise HTTPException(404, mark("this site has no map"))
    return FileResponse(
        found.path, media_type="application/vnd.pmtiles", headers={"cache-control": "private, max-age=86400"}
    )


@router.get("/stations/{name}")
def station_page(request: Request, web: Site, principal: Viewer, name: InPath) -> HTMLResponse:
    """One station: how it is, its year, what it saw, where it stood."""
    speech, now = speech_of(request), web.clock.now()
    with web.readers.read() as connection:
        each = one_of(web, connection, principal, name)
        zone = ZoneInfo(each.timezone)
        today = now.astimezone(zone).date()
        stood = deployments_of(connection, [name])
        rows = days_of(connection, name, since=today - timedelta(days=366), until=today)
        heard = days_heard(connection, name, now=now, zone=zone)
        values: dict[str, Any] = {
            "strips": strips(readings(connection, name, since=now - SPAN), since=now - SPAN, until=now),
            "calendar": calendar_of(rows, heard, stood, until=today, zone=zone),
            "last": last_sequences(connection, name),
            "species": species_there(connection, name),
            "commands": commands_of(connection, name),
            "corrections": corrections_of(connection, name),
        }
    values |= {
        "each": each,
        "chip": words.STATES[each.state],
        "troubles": words.troubles_of(each, speech),
        "charge": words.charge_text(each, speech),
        "zone": zone,
        "place": place_text(principal, each.latitude, each.longitude),
        "about_km": ABOUT_KM,
        "deployments": [(one, place_text(principal, one.latitude, one.longitude)) for one in stood],
        "states": STATES,
        "months": words.months(speech),
        "kinds": words.KINDS,
        "answers": words.ANSWERS,
        "measure": words.measure,
        "size": (WIDTH, HEIGHT),
        "sendable": desk.COMMANDS,
        "manages": principal.may("manage"),
    }
    return render(request, "stations/one.html", **values)


@router.post("/stations/{name}/command")
def command(
    request: Request,
    web: Site,
    principal: Manager,
    name: InPath,
    command: Annotated[Literal["capture", "snapshot", "reboot"], Form()],
) -> Response:
    """Queue a command for the station's agent."""
    with web.readers.read() as connection:
        each = one_of(web, connection, principal, name)
    if each.online is None:
        raise HTTPException(409, speech_of(request).text(mark("No agent was ever heard at this station.")))
    with speaking(speech_of(request).language):
        try:
            desk.send_command(web, principal, name, command)
        except (RefusedError, FatalError) as exc:
            raise HTTPException(409, str(exc)) from exc
    return RedirectResponse(f"/stations/{name}#commands", 303)


def _group(each: Overview) -> str:
    return "resting" if each.state == "resting" else "trouble" if each.troubles else "well"


def _row(each: Overview, principal: Principal, speech: Speech, lately: dict[str, int]) -> Row:
    place = place_text(principal, each.latitude, each.longitude)
    chip, word = words.STATES[each.state]
    return Row(
        each,
        (chip, word),
        words.troubles_of(each, speech),
        words.charge_text(each, speech),
        lately.get(each.name, 0),
        place,
    )


def _map(web: Web, principal: Principal, speech: Speech, found: list[Overview]) -> dict[str, str]:
    """What the map's script reads from data attributes; {} when nothing has a position."""
    points = []
    for each in found:
        if (place := place_for(principal, each.latitude, each.longitude)) is None:
            continue
        chip, word = words.STATES[each.state]
        line = "; ".join(words.troubles_of(each, speech)) or speech.text(word)
        points.append([each.name, place.latitude, place.longitude, chip or "resting", line, int(place.exact)])
    if not points:
        return {}
    made = {"points": json.dumps(points, ensure_ascii=False), "lang": speech.language}
    if tiles := tiles_of(web):
        # the address changes with the file, so that no old range is taken for one of the new
        made |= {"tiles": f"{TILES}?{tiles.version}", "kind": tiles.kind, "zoom": str(tiles.most_zoom)}
        made["library"] = asset("vendor/protomaps-leaflet.js" if tiles.kind == "vector" else "vendor/pmtiles.js")
    elif web.config.tiles is not None:
        made["broken"] = web.config.tiles.name
    return made
