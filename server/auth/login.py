"""Logging in and out, and the switch of the language."""

from typing import Annotated

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Connection, delete

from edge.i18n import LANGUAGES, mark
from edge.store.keys import hash_of, open_session
from edge.store.users import User, by_name, change_own, note, rehash
from edge.store.web_schema import sessions

from .. import speech
from ..needs import Anyone
from ..page import speech_of
from ..rights import Principal
from ..web import Web, web_of
from . import cookies, forgery, throttle
from .desk import Desk, TheDesk
from .forms import OwnForm, later, render_form
from .leading import local_path

router = APIRouter()
WRONG = mark("Name and password don't go together. Both are as they were given to you, or as you chose them.")
YEAR_S = 366 * 86_400
# A name, an address, a password, a list of stations: nobody's is longer. What is compared letter by letter is bounded
# before that: putting a million accents in order (NFC) takes a quarter of an hour, and all other requests wait.
Text = Annotated[str, Form(max_length=2000)]
Pk = Annotated[int, Path(ge=0, lt=2**63)]  # more than a database can count to is no row's number


@router.get("/login")
def log_in_page(
    request: Request, desk: TheDesk, principal: Anyone, next_: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """The form; for somebody who is logged in what they wanted; before there is anybody, the first run."""
    if not desk.has_users():
        return RedirectResponse("/setup", 303)
    if principal is not None:
        return RedirectResponse(local_path(next_), 303)
    return log_in_form(request, next_)


@router.post("/login")
def log_in(
    request: Request,
    desk: TheDesk,
    principal: Anyone,
    _own: OwnForm,
    name: Text = "",
    password: Text = "",
    next_: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Open a session. 422 for a wrong name or password, 429 after too many."""
    del principal
    now = desk.web.clock.now()
    with desk.web.readers.read() as connection:
        user = by_name(connection, name)
    device = cookies.device_of(request, user.pk) if user else ""
    own, address = f"device/{device}" if device else throttle.of_user(name), throttle.of_address(request)
    tries = {own: throttle.BY_DEVICE if device else throttle.BY_NAME, address: throttle.BY_ADDRESS}
    with desk.web.store.transaction() as connection:
        wait = throttle.count(connection, tries, now)
    if wait:
        return later(request, "auth/login.html", wait, name=name, next=local_path(next_), buttons=buttons(desk.web))
    kept = user.password if user and user.active else ""
    if not desk.hasher.verify(kept, password) or user is None:
        desk.web.log.info("login.refused", user=user.name if user else "", address=throttle.of_address(request))
        return log_in_form(request, next_, name, error=speech_of(request).text(WRONG), status=422)
    new = desk.hasher.hash(password) if desk.hasher.is_old(kept) else ""

    def done(connection: Connection) -> None:
        throttle.forgive(connection, own)
        throttle.take_back(connection, address, throttle.BY_ADDRESS)
        if new:
            rehash(connection, user, new)

    with desk.web.store.transaction() as connection:
        done(connection)
    return let_in(request, desk, user, local_path(next_))


def let_in(request: Request, desk: Desk, user: User, where: str, *, how: str = "password") -> Response:
    """Lead somebody on with a new session; the one that this browser had ends, whatever it was (session fixation)."""
    now, old = desk.web.clock.now(), cookies.read(request, cookies.SESSION)
    address = request.client.host if request.client else ""

    def work(connection: Connection) -> str:
        if old:
            connection.execute(delete(sessions).where(sessions.c.token == hash_of(old)))
        note(connection, "user.login", user.name, now=now, who=user.name, details={"address": address, "how": how})
        return open_session(
            connection,
            user.pk,
            now=now,
            days=desk.web.config.session_days,
            address=address,
            agent=request.headers.get("user-agent", ""),
        )

    secret = desk.change(work)
    answer = RedirectResponse(where, 303)
    cookies.put(request, answer, cookies.SESSION, secret)
    cookies.put_device(request, answer, user.pk)
    cookies.drop(request, answer, cookies.FORM)
    return answer


@router.post("/logout")
def log_out(request: Request, desk: TheDesk, principal: Anyone) -> Response:
    """End this browser's session."""
    secret = cookies.read(request, cookies.SESSION)
    if principal is not None and secret:
        mine = delete(sessions).where(sessions.c.token == hash_of(secret))
        desk.change(lambda connection: connection.execute(mine), takes=True)
    answer = RedirectResponse("/login", 303)
    cookies.drop(request, answer, cookies.SESSION)
    return answer


@router.post("/language")
def choose_language(
    request: Request,
    desk: TheDesk,
    principal: Anyone,
    language: Text = "",
    next_: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Another language: kept in a cookie, and with the user when somebody is logged in."""
    if principal is None:
        forgery.check_origin(request)  # it changes nothing but the sender's own cookie, so that pages need no token
    answer = RedirectResponse(local_path(next_, forms=True), 303)
    if language in LANGUAGES:
        _keep(desk, principal, language)
        answer.set_cookie(
            speech.COOKIE, language, max_age=YEAR_S, secure=cookies.is_https(request), httponly=True, samesite="lax"
        )
    return answer


def _keep(desk: Desk, principal: Principal | None, language: str) -> None:
    if principal is not None and principal.via == "session" and principal.user_pk:
        desk.change(lambda connection: change_own(connection, principal.user_pk, language=language))


def buttons(web: Web) -> list[tuple[str, str]]:
    """(name, label) of the other services that the site has set up (elsewhere.py)."""
    return [(name, spec.label) for name, spec in web.registry.logins.items() if name in web.config.logins]


def log_in_form(
    request: Request, wanted: str = "", name: str = "", *, error: str = "", status: int = 200
) -> HTMLResponse:
    """The page with the form."""
    return render_form(
        request,
        "auth/login.html",
        status=status,
        name=name[:64],
        next=local_path(wanted),
        error=error,
        buttons=buttons(web_of(request)),
    )
