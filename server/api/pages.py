"""/healthz, /readyz, /metrics, and the page that describes the API."""

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from ..needs import Manager, Viewer, unasked
from ..page import render
from ..web import Site
from .describe import openapi_of, operations
from .exposition import CONTENT_TYPE, exposition
from .health import faults
from .metrics import families

router = APIRouter()
NEVER_KEPT = {"cache-control": "no-store"}


@router.head("/healthz", dependencies=[Depends(unasked)])
@router.get("/healthz", dependencies=[Depends(unasked)])
def healthz() -> PlainTextResponse:
    """200 as long as this process answers at all."""
    return PlainTextResponse("ok\n", headers=NEVER_KEPT)


@router.head("/readyz", dependencies=[Depends(unasked)])
@router.get("/readyz", dependencies=[Depends(unasked)])
def readyz(request: Request, web: Site) -> JSONResponse:
    """200 when pages can be served, else 503; which part is missing, and no more."""
    missing = faults(web, getattr(request.app.state, "threads", ()))
    return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200, NEVER_KEPT)


@router.get("/metrics")
def metrics(request: Request, web: Site, principal: Manager) -> PlainTextResponse:
    """For Prometheus. It tells of all stations, so it is not for those who see only some."""
    if principal.stations is not None:
        raise HTTPException(403, "needs rights for all stations")
    text = exposition(families(web, request.app.state.meter))
    return PlainTextResponse(text, headers=NEVER_KEPT, media_type=CONTENT_TYPE)


@router.get("/api")
def described(request: Request, principal: Viewer) -> HTMLResponse:
    """The API, for people who write programs."""
    del principal
    description = openapi_of(request.app)
    return render(request, "api/page.html", about=description["info"]["description"], areas=operations(description))
