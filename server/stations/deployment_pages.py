"""The page of a deployment: what is known of it, its effort, and the form for those who manage."""

from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from edge.deployed import Deployment
from edge.fieldwork.effort import effort_of
from edge.i18n import mark

from ..api.words import NO_NUL, InPath
from ..needs import Manager, Viewer
from ..page import render, speech_of
from ..rights import Principal
from ..web import Site, Web
from . import desk
from .form import FIELDS, form_of, read_form
from .overview import Overview, one_of
from .places import ABOUT_KM, place_text
from .queries import deployments_of

router = APIRouter()
LONGEST = 4000  # characters of a field
Number = Annotated[str, Query(alias="id", max_length=128, pattern=NO_NUL)]


@router.get("/stations/{name}/deployment")
def deployment_page(request: Request, web: Site, principal: Viewer, name: InPath, number: Number = "") -> HTMLResponse:
    """One deployment with its effort, and its form for those who manage; without an id the form of a new one."""
    with web.readers.read() as connection:
        each = one_of(web, connection, principal, name)
    old = _deployment(web, principal, each, number)
    return _deployment_page(request, web, principal, each, old, form_of(old, _zone(each, old)), {})


@router.post("/stations/{name}/deployment")
async def write_deployment(request: Request, web: Site, principal: Manager, name: InPath) -> Response:
    """Add, change, end or remove a deployment; a form with faults comes back with them."""
    form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    return await run_in_threadpool(_write, request, web, principal, name, form)


def _write(request: Request, web: Web, principal: Principal, name: str, form: dict[str, str]) -> Response:
    language, number = speech_of(request).language, form.get("id", "")
    if any("\0" in text or len(text) > LONGEST for text in form.values()):
        raise HTTPException(422, mark("a field is too long, or has characters that are none"))
    with web.readers.read() as connection:
        each = one_of(web, connection, principal, name)
    old = _deployment(web, principal, each, number)
    zone = _zone(each, old)
    if form.get("action") == "remove" and number:
        written = desk.remove(web, principal, old, language)
    elif form.get("action") == "end" and number:
        written = desk.change(web, principal, old, {"ended_at": web.clock.now().replace(microsecond=0)}, language)
    else:
        typed = read_form(form, old, zone, language)
        if typed.faults:
            return _deployment_page(request, web, principal, each, old, form, typed.faults, status=422)
        if number:
            written = desk.change(web, principal, old, typed.values, language)
        else:
            written = desk.add(web, principal, name, typed.values, language)
    if written.faults:
        shown = {**form_of(old, zone), **{key: form[key] for key in FIELDS if key in form}}
        faults = {"": "\n".join(written.faults)}
        return _deployment_page(request, web, principal, each, old, shown, faults, status=409)
    if written.warnings and written.deployment is not None:  # its page says them
        return RedirectResponse(f"/stations/{name}/deployment?{urlencode({'id': written.deployment.id})}", 303)
    return RedirectResponse(f"/stations/{name}#deployments", 303)


def _deployment_page(
    request: Request,
    web: Web,
    principal: Principal,
    each: Overview,
    old: Deployment,
    form: dict[str, str],
    faults: dict[str, str],
    *,
    status: int = 200,
) -> HTMLResponse:
    effort, doubts = None, list[str]()
    if old.id:
        if principal.may("manage"):
            doubts = desk.doubts(web, principal, old, speech_of(request).language)
        with web.readers.read() as connection:
            effort = effort_of(connection, old, zone=old.timezone or each.timezone, now=web.clock.now())
    values = {
        "each": each,
        "old": old,
        "form": {name: form.get(name, "") for name in FIELDS},
        "faults": faults,
        "effort": effort,
        "zone": _zone(each, old),
        "place": place_text(principal, old.latitude, old.longitude),
        "about_km": ABOUT_KM,
        "manages": principal.may("manage"),
        "doubts": doubts,
    }
    return render(request, "stations/deployment.html", status=status, **values)


def _deployment(web: Web, principal: Principal, each: Overview, number: str) -> Deployment:
    if not number:
        if not principal.may("manage"):
            raise HTTPException(404, mark("no such deployment"))
        return Deployment("", each.name, web.clock.now(), None, each.latitude, each.longitude)
    with web.readers.read() as connection:
        for one in deployments_of(connection, [each.name]):
            if one.id == number:
                return one
    raise HTTPException(404, mark("no such deployment"))


def _zone(each: Overview, old: Deployment) -> ZoneInfo:
    return ZoneInfo(old.timezone or each.timezone)
