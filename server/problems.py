"""Errors → a page that says what happened and what to do, or JSON as of RFC 9457 for the API."""

import contextlib
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.errors import EdgeError, RetryableError
from edge.foreign import foreign
from edge.i18n import _, mark
from edge.redaction import redacted

from .api.allow import methods_of
from .guard import RefusedError
from .needs import Forged, Lacks, NotKnown, known
from .page import render
from .web import web_of

WORDS = {
    400: (mark("This request can't be read"), mark("Go back and try again.")),
    401: (mark("Log in first"), mark("This page is for people with a name and a password here.")),
    403: (mark("You may not do this"), mark("Ask somebody who manages this site for the right to.")),
    404: (mark("There is nothing here"), mark("The link may be old, or the picture was deleted.")),
    405: (mark("This can't be done here"), mark("Go back and try again.")),
    408: (mark("This came too slowly"), mark("The connection may be bad: try again, with less at once.")),
    409: (mark("Somebody else was quicker"), mark("Load the page again and look at what changed.")),
    410: (mark("This is gone"), mark("Ask somebody who manages this site what became of it.")),
    413: (mark("This is too much at once"), mark("Send less in one piece.")),
    422: (mark("Something in this form is not right"), mark("Go back, mend it and send it again.")),
    429: (mark("Too many tries"), mark("Wait a few minutes and try again.")),
    500: (mark("Something went wrong here"), mark("It is in the log. Nothing you entered before was lost.")),
    503: (mark("The database does not answer now"), mark("It is busy, or away. Try again in a moment.")),
}

PROGRAMS = ("/api/", "/metrics")  # read by these: no form to log in, but 401
FORGED = (mark("This was not done"), mark("Load the page you came from again, and send it once more."))


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(EdgeError, _refused)
    app.add_middleware(Bugs)


def problem(
    request: Request, status: int, detail: str = "", *, words: tuple[str, str] | None = None, lacks: str = ""
) -> Response:
    """The answer for an error. detail: one line for people, marked or in their language.

    words: headline and advice, marked; those of the status when left out. lacks: the right that is missing.
    """
    headline, advice = words or WORDS.get(status, WORDS[500 if status >= 500 else 400])
    detail = "" if detail in {each.phrase for each in HTTPStatus} else redacted(_(detail))
    if request.url.path.startswith(PROGRAMS):
        body = {"type": "about:blank", "title": headline, "status": status, "detail": detail}
        headers = {"www-authenticate": "Bearer"} if status == 401 else {}
        return JSONResponse(body, status, headers, media_type="application/problem+json")
    if detail and words is None and status == 404:
        advice = ""  # what is not there was said, and often what to do about it: the link may be as new as can be
    return render(request, "problem.html", status=status, headline=headline, advice=advice, detail=detail, lacks=lacks)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    is_page = not request.url.path.startswith(PROGRAMS)
    if is_page and isinstance(error, NotKnown):
        return _to_log_in(request) if request.method == "GET" else problem(request, 401)
    await _who(request)
    detail = str(error.detail or "")
    if isinstance(error, Forged):
        return problem(request, 403, detail, words=FORGED)
    if is_page and isinstance(error, Lacks):
        return problem(request, 403, lacks=error.right)
    answer = problem(request, error.status_code, detail)
    answer.headers.update(error.headers or {})
    if error.status_code == 405:
        answer.headers["allow"] = methods_of(request)
    return answer


async def _who(request: Request) -> None:
    """An address that no route has was asked for by somebody, too: they keep their language and their way back."""
    if request.method == "GET" and not hasattr(request.state, "principal"):
        with contextlib.suppress(RetryableError):
            await known(request)


def _to_log_in(request: Request) -> Response:
    """The log-in page, which leads back here; a part of a page asks htmx to load it whole."""
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"hx-redirect": "/login"})
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse("/login?" + urlencode({"next": request.url.path + query}), 303)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if not request.url.path.startswith(PROGRAMS) and any(each["loc"][0] == "path" for each in found):
        return problem(request, 404)  # an address that no link has: the form is not what is wrong
    faults = [f"{'.'.join(str(part) for part in each['loc'][1:])}: {foreign(each['msg'])}" for each in found]
    return problem(request, 422, "; ".join(faults)[:1000])


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, RetryableError):
        return problem(request, 409, str(error))
    answer = problem(request, 503, str(error))
    answer.headers["retry-after"] = "1"
    return answer


class Bugs:
    """Answers 500 for what nobody thought of, inside the guard, so that this page has the safe headers too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. What failed after the answer began is only logged: half an answer can't be taken back."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except RefusedError:
            raise
        except Exception as error:  # because this is the one place that answers for bugs
            if scope["type"] != "http":
                raise
            request = Request(scope)
            reason = f"{type(error).__name__}: {error}"
            web_of(request).log.error("web.bug", path=request.url.path, reason=reason, exc_info=error)
            if not begun:
                await problem(request, 500)(scope, receive, send)
