"""The application: areas in, one ASGI app out.

An area is a folder with `pages.py` and `api.py`, each with an APIRouter called `router`; AREAS names them. Pages answer
HTML, the API JSON below /api/v1; both read through the area's `queries.py`, so that filters mean the same. Every route
has a right (needs.py). Errors become a page or a JSON problem (problems.py); safe headers and the size of bodies:
guard.py. Static files: /static/<hash>/<name>, kept by browsers for good.
"""

import importlib
from importlib.util import find_spec

from fastapi import APIRouter, FastAPI

from edge import __version__

from . import guard, problems, static
from .api import etag, meter
from .needs import Knows
from .web import Web

AREAS = ("auth", "media", "live", "now", "review", "species", "stations", "alerts", "system", "upload", "export", "api")
API = "/api/v1"


def create_app(web: Web, knows: Knows | None = None) -> FastAPI:
    """The app of one site. knows: who asks; server/auth's answer when left out."""
    app = FastAPI(
        title="Tigrillo",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # server/api serves it, to those who may see
        redirect_slashes=False,
    )
    app.state.web = web
    app.state.knows = knows or _knows()
    for area in AREAS:
        for module, prefix in (("pages", ""), ("api", API)):
            if router := _router(area, module):
                app.include_router(router, prefix=prefix, include_in_schema=bool(prefix), tags=[area])
    app.include_router(static.router, include_in_schema=False)
    problems.install(app)
    etag.install(app)
    guard.install(app, problems.problem)
    meter.install(app)
    return app


def _router(area: str, module: str) -> APIRouter | None:
    name = f"{__package__}.{area}.{module}"
    if find_spec(f"{__package__}.{area}") is None or find_spec(name) is None:
        return None
    router: APIRouter = importlib.import_module(name).router
    return router


def _knows() -> Knows:
    knows: Knows = importlib.import_module(f"{__package__}.auth.known").knows
    return knows
