"""Changes that another site's page sends in somebody's name are refused (CSRF).

Two things are asked of every change that comes with a session, and of every form of somebody who is not known yet:
where the browser says it comes from (Sec-Fetch-Site, Origin) is here; and it carries a token which only our own pages
have, in the header x-csrf-token or the field `csrf`. The token is derived from the session's secret, so that one
session's is none for another; before log-in from a cookie of the form's own, signed with the page's key.
"""

import hmac
from hashlib import sha256
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import FormData

from edge.i18n import mark

from ..api.keys import mac
from ..needs import Forged
from ..web import web_of
from . import cookies

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
HEADER, FIELD = "x-csrf-token", "csrf"
OLD = mark("This form is too old, or you logged in or out since it was loaded.")
ELSEWHERE = mark("This was sent from another site's page, or under another name than this page has.")


def session_token(secret: str) -> str:
    """What the forms of a session carry."""
    return hmac.new(secret.encode(), b"tigrillo csrf 1", sha256).hexdigest()


def form_token(request: Request, secret: str) -> str:
    """What the forms of somebody unknown carry. secret: of the form's cookie."""
    return mac(web_of(request), b"form", secret.encode()).hex()


async def check(request: Request, wanted: str) -> None:
    """Raises Forged when this change does not come from one of our own pages. Safe methods pass."""
    if request.method in SAFE:
        return
    check_origin(request)
    given = request.headers.get(HEADER) or await _field(request)
    if not wanted or not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode()):
        raise Forged(OLD)


async def check_form(request: Request) -> None:
    """The same for forms before log-in: a dependency of their POSTs."""
    secret = cookies.read(request, cookies.FORM)
    await check(request, form_token(request, secret) if secret else "")


def check_origin(request: Request) -> None:
    """Raises Forged when the browser says that another site's page sent this; old browsers say nothing."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forged(ELSEWHERE)
    origin = request.headers.get("origin")
    if origin is None or (origin and origin == web_of(request).config.address):
        return
    parts = urlsplit(origin)
    # behind a proxy that nobody named, https arrives as http; the other way round is somebody between
    scheme_fits = parts.scheme == request.url.scheme or (parts.scheme == "https" and request.url.scheme == "http")
    if not scheme_fits or parts.netloc.lower() != request.headers.get("host", "").lower():
        raise Forged(ELSEWHERE)


async def _field(request: Request) -> str:
    """The form's own field; what is no form is not read, because uploads are streamed."""
    if not request.headers.get("content-type", "").lower().startswith(FORMS):
        return ""
    form: FormData = await request.form()
    found = form.get(FIELD, "")
    return found if isinstance(found, str) else ""
