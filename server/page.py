"""Templates → pages: `render(request, "now/page.html", rows=rows)`.

In every template: `_` (a marked text in the reader's language), `speech` (dates, numbers, species: server/speech.py),
`foreign` (what the record keeps in English, in that language), `principal`, `web`, `now`, `nav` (server/nav.py),
`asset("app.css")` (a file of server/static with its hash, kept by browsers for good), `picture(frame_pk, size, number)`
(address of a derived picture; size thumb, card or view), `csrf`.
A template extends base.html and fills the blocks title, main, and where needed head (its own CSS and JS by `asset`).
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from edge import __version__
from edge.foreign import foreign
from edge.i18n import LANGUAGES

from .nav import nav_for
from .speech import Speech, language_of
from .web import web_of

ROOM = Path(__file__).resolve().parent
STATIC = ROOM / "static"


@cache
def templates() -> Environment:
    """The environment: everything is escaped, a name that is not there is an error."""
    return Environment(
        loader=FileSystemLoader(ROOM / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def asset(name: str) -> str:
    """Address of a file of server/static, with its hash. Raises FileNotFoundError."""
    return f"/static/{_hash(name)}/{name}"


@cache
def _hash(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def picture(frame_pk: int, size: str = "thumb", number: int = 0) -> str:
    """Address of a derived picture, people blurred. size: thumb, card or view. number: of a clip's pictures."""
    return f"/media/{frame_pk}/{size}-{number}.webp"


def speech_of(request: Request) -> Speech:
    """How this request's reader is spoken to."""
    site = web_of(request).plan.file.site
    return Speech(language_of(request, site.language), ZoneInfo(site.timezone))


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page, or a part of one for htmx. values: what the template names beside what every template has."""
    web, speech = web_of(request), speech_of(request)
    principal = getattr(request.state, "principal", None)
    known = {
        "_": speech.text,
        "speech": speech,
        "request": request,
        "path": request.url.path,
        "principal": principal,
        "csrf": principal.csrf if principal else "",
        "web": web,
        "site": web.plan.file.site,
        "now": web.clock.now(),
        "nav": nav_for(principal),
        "languages": LANGUAGES,
        "version": __version__,
        "asset": asset,
        "foreign": foreign,
        "picture": picture,
        "partial": request.headers.get("hx-request") == "true",
    }
    body = templates().get_template(template).render(known | values)
    return HTMLResponse(body, status_code=status, headers={"vary": "cookie, accept-language, hx-request"})
