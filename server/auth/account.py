"""One's own account: language, mail address, password, where one is logged in, keys for programs."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from edge.i18n import LANGUAGES, mark
from edge.passwords import fault_of
from edge.store.keys import (
    SCOPES,
    ApiToken,
    Session,
    add_token,
    end_session,
    revoke_token,
    sessions_of,
    tokens_of,
)
from edge.store.users import User, UserRefused, by_pk, change_own, change_password, end_sessions, note

from ..needs import Viewer
from ..page import render, speech_of
from ..rights import Principal
from . import throttle
from .desk import Desk, Known, TheDesk
from .forms import fresh, in_words, later_text
from .login import Pk, Text, let_in

router = APIRouter()
WRONG = mark("This is not the password that you have now.")
UNEQUAL = mark("The two new passwords are not the same.")
DAYS = (7, 30, 90, 365)  # that a key may last; 0 is for good


def _own(request: Request, principal: Viewer) -> Principal:
    """Somebody who is logged in; a key or a link has no account. Raises HTTPException 403."""
    if principal.via != "session" or getattr(request.state, "known", None) is None:
        raise HTTPException(403, mark("needs a log-in"))
    return principal


Own = Annotated[Principal, Depends(_own)]


@dataclass(frozen=True, slots=True)
class Account:
    """What the page shows. current: the pk of this browser's session."""

    user: User
    sessions: list[Session]
    tokens: list[ApiToken]
    current: int


def _account(request: Request, desk: Desk) -> Account:
    known: Known = request.state.known
    now = desk.web.clock.now()
    with desk.web.readers.read() as connection:
        user = by_pk(connection, known.user.pk) or known.user
        return Account(user, sessions_of(connection, user.pk, now), tokens_of(connection, user.pk), known.pk)


@router.get("/account")
def account_page(request: Request, desk: TheDesk, _principal: Own) -> Response:
    """The page."""
    return _page(request, desk)


@router.post("/account")
def change_account(
    request: Request, desk: TheDesk, principal: Own, language: Text = "", email: Text = "", own: Text = ""
) -> Response:
    """Language and mail address; another address, to which links for a new password go, needs one's own password."""
    user = _account(request, desk).user
    if email.strip() != user.email:
        fault, status = _password_fault(request, desk, user, own)
        if fault:
            return _page(request, desk, errors={"own": fault}, status=status)
    try:
        desk.change(
            lambda connection: change_own(
                connection, principal.user_pk, language=language if language in LANGUAGES else "", email=email
            )
        )
    except UserRefused as refused:
        return _page(request, desk, errors={"email": in_words(speech_of(request), refused)}, status=422)
    return _to("/account")


@router.post("/account/password")
def change_own_password(
    request: Request, desk: TheDesk, principal: Own, password: Text = "", new: Text = "", again: Text = ""
) -> Response:
    """Another password; all other log-ins end, and this one gets a new session."""
    user, now = _account(request, desk).user, desk.web.clock.now()
    fault, status = _password_fault(request, desk, user, password)
    if fault:
        return _page(request, desk, errors={"password": fault}, status=status)
    if fault := fault_of(new, principal.name) or (UNEQUAL if new != again else ""):
        return _page(request, desk, errors={"new": speech_of(request).text(fault)}, status=422)
    kept = desk.hasher.hash(new)
    desk.change(lambda connection: change_password(connection, user, kept, now=now, who=user.name), takes=True)
    return let_in(request, desk, user, "/account", how="new password")


def _password_fault(request: Request, desk: Desk, user: User, password: str) -> tuple[str, int]:
    """(why this is not somebody's own password, in their language, and the status); ("", 200) when it is."""
    tries = f"account/{user.pk}"
    with desk.web.store.transaction() as connection:
        wait = throttle.count(connection, {tries: throttle.BY_NAME}, desk.web.clock.now())
    if wait:
        return later_text(request, wait), 429
    if not desk.hasher.verify(user.password, password):
        return speech_of(request).text(WRONG), 422
    with desk.web.store.transaction() as connection:
        throttle.forgive(connection, tries)
    return "", 200


@router.post("/account/sessions/end")
def end_other_sessions(request: Request, desk: TheDesk, principal: Own) -> Response:
    """Log out everywhere but here."""
    known: Known = request.state.known

    def work(connection: Connection) -> None:
        ended = end_sessions(connection, principal.user_pk, but=known.pk)
        details = {"sessions": ended}
        note(connection, "user.logout", principal.name, now=desk.web.clock.now(), who=principal.name, details=details)

    desk.change(work, takes=True)
    return _to("/account")


@router.post("/account/sessions/{pk}/end")
def end_one_session(pk: Pk, desk: TheDesk, principal: Own) -> Response:
    """Log out one browser of one's own."""
    if not desk.change(lambda connection: end_session(connection, pk, principal.user_pk), takes=True):
        raise HTTPException(404, mark("no such log-in"))
    return _to("/account")


@router.post("/account/tokens")
def make_token(
    request: Request,
    desk: TheDesk,
    principal: Own,
    name: Text = "",
    scopes: Annotated[list[str] | None, Form()] = None,
    days: Annotated[int, Form(ge=0, le=3650)] = 90,
    confirm: Text = "",
) -> Response:
    """A new key, shown once. It outlives the log-in, so that a browser left open is not enough for one."""
    user, now = _account(request, desk).user, desk.web.clock.now()
    fault, status = _password_fault(request, desk, user, confirm)
    if fault:
        return _page(request, desk, errors={"confirm": fault}, status=status)
    allowed = [each for each in scopes or [] if each in principal.rights]
    try:
        secret = desk.change(
            lambda connection: add_token(connection, user, name, allowed, now=now, who=user.name, days=days or None)
        )
    except UserRefused as refused:
        return _page(request, desk, errors={"name": in_words(speech_of(request), refused)}, status=422)
    return _page(request, desk, secret=secret)


@router.post("/account/tokens/{pk}/revoke")
def end_token(pk: Pk, request: Request, desk: TheDesk, _principal: Own) -> Response:
    """End a key of one's own."""
    user, now = _account(request, desk).user, desk.web.clock.now()
    if not desk.change(lambda connection: revoke_token(connection, pk, user, now=now, who=user.name), takes=True):
        raise HTTPException(404, mark("no such key"))
    return _to("/account")


def _page(
    request: Request,
    desk: Desk,
    *,
    errors: dict[str, str] | None = None,
    secret: str = "",
    status: int = 200,
) -> Response:
    principal: Principal = request.state.principal
    return fresh(
        render(
            request,
            "auth/account.html",
            status=status,
            account=_account(request, desk),
            scopes=[each for each in SCOPES if each in principal.rights],
            days=DAYS,
            errors=errors or {},
            secret=secret,
            agent_words=agent_words,
        )
    )


def agent_words(agent: str) -> str:
    """A browser in two words, such as "Firefox · Android"; its own name for what is none of the common ones."""
    browsers = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
    systems = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Mac OS": "macOS"}
    browser = next((name for mark_, name in browsers.items() if mark_ in agent), "")
    system = next((name for mark_, name in (systems | {"Linux": "Linux"}).items() if mark_ in agent), "")
    return " · ".join(filter(None, (browser or agent.partition("/")[0][:40], system))) or "–"


def _to(path: str) -> Response:
    return RedirectResponse(path, 303)
