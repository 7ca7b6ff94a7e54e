"""Stations for programs: the same queries as the pages."""

from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.exceptions import HTTPException

from edge.deployed import Deployment
from edge.errors import EdgeError
from edge.fieldwork.effort import effort_of

from ..api.cursor import decode, encode
from ..api.etag import must_match, tag_of
from ..api.words import NO_NUL, After, Day, InPath, Limit
from ..needs import Manager, Viewer
from ..rights import Principal
from ..speech import Speech
from ..web import Site, Web
from . import desk, shapes, words
from .overview import Overview, State, one_of, overviews
from .places import place_for
from .queries import SPAN, commands_of, days_of, deployments_of, frames_lately, readings
from .trend import charge_of

router = APIRouter()
CURSOR = "stations"
WEEK = timedelta(days=7)
YEAR = timedelta(days=366)
Number = Annotated[str, Path(max_length=128, pattern=NO_NUL, description="A deployment's id.", examples=["cam-01:1"])]


@router.get("/stations", summary="All stations and how they are")
def stations(
    web: Site,
    principal: Viewer,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    limit: Limit = 100,
    after: After = "",
) -> shapes.StationList:
    """By name. Positions are rounded for those who may not review."""
    last = str(decode(web, CURSOR, after)[0]) if after else ""
    with web.readers.read() as connection:
        found = overviews(web, connection, only=principal.stations)
        lately = frames_lately(connection, since=(web.clock.now() - WEEK).date())
    chosen = sorted((each for each in found if state in (None, each.state)), key=lambda each: each.name)
    rest = [each for each in chosen if each.name > last]
    items = [_station(web, principal, each, lately) for each in rest[:limit]]
    more = encode(web, CURSOR, [items[-1].name]) if len(rest) > limit else None
    return shapes.StationList(items=items, next=more)


@router.get("/stations/{name}", summary="One station")
def station(web: Site, principal: Viewer, name: InPath) -> shapes.StationShape:
    """How it is, and what is wrong with it."""
    with web.readers.read() as connection:
        each = one_of(web, connection, principal, name)
        lately = frames_lately(connection, since=(web.clock.now() - WEEK).date())
    return _station(web, principal, each, lately)


@router.get("/stations/{name}/health", summary="What its agent said of itself")
def health(
    web: Site,
    principal: Viewer,
    name: InPath,
    days: Annotated[int, Query(ge=1, le=90, description="Of the last so many days; 90 are kept.")] = SPAN.days,
) -> shapes.ReadingList:
    """The first reading of each hour."""
    with web.readers.read() as connection:
        one_of(web, connection, principal, name)
        found = readings(connection, name, since=web.clock.now() - timedelta(days=days))
    return shapes.ReadingList(items=[shapes.ReadingShape.model_validate(each) for each in found])


@router.get("/stations/{name}/days", summary="Frames of each of its days")
def days(
    web: Site,
    principal: Viewer,
    name: InPath,
    since: Annotated[Day | None, Query(description="First day, local; a year ago when left out.")] = None,
    until: Annotated[Day | None, Query(description="Last day, local; today when left out.")] = None,
) -> shapes.DayList:
    """At most 366 days."""
    last = until or web.clock.now().astimezone(web.zone_of(name)).date()
    first = since or max(date.min + YEAR, last) - YEAR
    if not timedelta() <= last - first <= YEAR:
        raise HTTPException(422, "since … until: at most 366 days, in this order")
    with web.readers.read() as connection:
        one_of(web, connection, principal, name)
        found = days_of(connection, name, since=first, until=last)
    return shapes.DayList(items=[shapes.DayShape.model_validate(row) for row in found.values()])


@router.get("/stations/{name}/deployments", summary="When cameras stood there")
def deployments(web: Site, principal: Viewer, name: InPath) -> shapes.DeploymentList:
    """Newest first."""
    with web.readers.read() as connection:
        one_of(web, connection, principal, name)
        found = deployments_of(connection, [name])
    return shapes.DeploymentList(items=[_deployment(principal, each) for each in found])


@router.post("/stations/{name}/deployments", status_code=201, summary="Note a deployment")
def add_deployment(web: Site, principal: Manager, name: InPath, body: shapes.NewDeployment) -> shapes.DeploymentShape:
    """Two deployments of a station may not overlap (409). Without a position it takes the station's."""
    with web.readers.read() as connection:
        one_of(web, connection, principal, name)
    written = desk.add(web, principal, name, body.model_dump() | {"tags": tuple(body.tags)}, "en")
    return _written(principal, written)


@router.get("/stations/{name}/effort/{number:path}", summary="How much its camera looked")
def effort(web: Site, principal: Viewer, name: InPath, number: Number) -> shapes.EffortShape:
    """Until its end, or until now."""
    old = _find(web, principal, name, number)
    with web.readers.read() as connection:
        found = effort_of(connection, old, zone=old.timezone or web.zone_of(name).key, now=web.clock.now())
    return shapes.EffortShape.model_validate(found)


@router.get("/stations/{name}/deployments/{number:path}", summary="One deployment")
def deployment(
    response: Response, web: Site, principal: Viewer, name: InPath, number: Number
) -> shapes.DeploymentShape:
    """Its ETag is what If-Match of a change compares with."""
    found = _find(web, principal, name, number)
    response.headers["etag"] = tag_of(found)
    return _deployment(principal, found)


@router.put("/stations/{name}/deployments/{number:path}", summary="Change a deployment")
def change_deployment(
    request: Request, web: Site, principal: Manager, name: InPath, number: Number, body: shapes.NewDeployment
) -> shapes.DeploymentShape:
    """All fields at once; with If-Match only if nobody else has changed it since (412). Its id stays."""
    old = _find(web, principal, name, number)
    must_match(request, tag_of(old))
    values = body.model_dump(exclude={"id"}) | {"tags": tuple(body.tags)}
    return _written(principal, desk.change(web, principal, old, values, "en"))


@router.delete("/stations/{name}/deployments/{number:path}", status_code=204, summary="Take a deployment out")
def remove_deployment(request: Request, web: Site, principal: Manager, name: InPath, number: Number) -> None:
    """One that was noted by mistake; its frames stay, and what it said is kept in the audit."""
    old = _find(web, principal, name, number)
    must_match(request, tag_of(old))
    if faults := desk.remove(web, principal, old, "en").faults:
        raise HTTPException(409, "; ".join(faults))


@router.get("/stations/{name}/commands", summary="Commands for its agent")
def commands(web: Site, principal: Viewer, name: InPath) -> shapes.CommandList:
    """The newest twenty."""
    with web.readers.read() as connection:
        one_of(web, connection, principal, name)
        found = commands_of(connection, name)
    return shapes.CommandList(items=[shapes.CommandShape.model_validate(each) for each in found])


@router.post("/stations/{name}/commands", status_code=202, summary="Send a command to its agent")
def send_command(web: Site, principal: Manager, name: InPath, body: shapes.NewCommand) -> shapes.Queued:
    """Sent as soon as it is connected, dropped after a day. 409 where no agent was ever heard."""
    with web.readers.read() as connection:
        each = one_of(web, connection, principal, name)
    if each.online is None:
        raise HTTPException(409, "no agent was ever heard at this station")
    try:
        return shapes.Queued(id=desk.send_command(web, principal, name, body.name))
    except EdgeError as exc:
        raise HTTPException(409, str(exc)) from exc


def _find(web: Web, principal: Principal, name: str, number: str) -> Deployment:
    if principal.sees(name):
        with web.readers.read() as connection:
            for each in deployments_of(connection, [name]):
                if each.id == number:
                    return each
    raise HTTPException(404, "no such deployment")


def _written(principal: Principal, written: desk.Written) -> shapes.DeploymentShape:
    if written.faults or written.deployment is None:
        raise HTTPException(409, "; ".join(written.faults))
    return _deployment(principal, written.deployment)


def _deployment(principal: Principal, each: Deployment) -> shapes.DeploymentShape:
    fields: dict[str, Any] = {
        name: getattr(each, name) for name in shapes.DeploymentShape.model_fields if name not in ("place", "tags")
    }
    return shapes.DeploymentShape(**fields, place=_place(principal, each), tags=list(each.tags))


def _place(principal: Principal, each: Deployment | Overview) -> shapes.PlaceShape | None:
    place = place_for(principal, each.latitude, each.longitude)
    return shapes.PlaceShape.model_validate(place) if place else None


def _station(web: Web, principal: Principal, each: Overview, lately: dict[str, int]) -> shapes.StationShape:
    speech = Speech("en", web.zone_of(each.name))
    texts = zip(each.troubles, words.troubles_of(each, speech), strict=True)
    volts, percent = charge_of(each.health, "volts"), charge_of(each.health, "percent")
    falling = each.falling
    battery = None
    if volts is not None or percent is not None:
        battery = shapes.BatteryShape(
            volts=volts,
            percent=percent,
            falling_per_day=falling.per_day if falling else None,
            days_left=falling.days_left if falling else None,
        )
    return shapes.StationShape(
        name=each.name,
        timezone=each.timezone,
        state=each.state,
        online=each.online,
        heard_at=each.heard_at,
        silent_after_s=each.silent_after.total_seconds(),
        standing=each.standing,
        troubles=[shapes.TroubleShape(sort=trouble.sort, text=text) for trouble, text in texts],
        battery=battery,
        place=_place(principal, each),
        drift_s=each.drift_s,
        version=each.version,
        frames_7_days=lately.get(each.name, 0),
    )
