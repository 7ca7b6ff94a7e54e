"""The page Users: who may log in, as what, and where; invitations and links for a new password."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.store.keys import INVITE_LIFE, RESET_LIFE, invite, open_invitations, reset, revoke_invitation
from edge.store.users import (
    User,
    UserRefused,
    all_users,
    by_pk,
    change_active,
    change_role,
    checked_email,
    has_sent,
)

from ..needs import Admin
from ..page import render, speech_of
from ..rights import ROLES
from . import post
from .desk import Desk, TheDesk
from .forms import fresh, in_words
from .invitation import letter
from .login import Pk, Text

router = APIRouter()
MAILED = mark("It is on its way to {email}, too.")


@router.get("/users")
def users_page(request: Request, desk: TheDesk, _principal: Admin) -> Response:
    """Everybody, and who is invited."""
    return _page(request, desk)


@router.post("/users/invite")
def invite_somebody(
    request: Request, desk: TheDesk, principal: Admin, role: Text = "", email: Text = "", stations: Text = ""
) -> Response:
    """A link that makes a user, shown once, and mailed where the site can."""
    now = desk.web.clock.now()
    try:
        email = checked_email(email)
        scope = _stations(desk, stations)
        secret = desk.change(
            lambda connection: invite(connection, role, email=email, stations=scope, now=now, who=principal.name)
        )
    except UserRefused as refused:
        return _page(request, desk, error=in_words(speech_of(request), refused), status=422)
    language = desk.web.plan.file.site.language
    if email and post.can_mail(desk.web):
        post.later(desk.web, lambda: letter(desk, post.INVITED, email, language, secret, INVITE_LIFE))
    return _page(request, desk, secret=secret, mailed_to=email)


@router.post("/users/invitations/{pk}/revoke")
def end_invitation(pk: Pk, desk: TheDesk, principal: Admin) -> Response:
    """End an invitation that nobody has used."""
    now = desk.web.clock.now()
    if not desk.change(lambda connection: revoke_invitation(connection, pk, now=now, who=principal.name)):
        raise HTTPException(404, mark("no such invitation"))
    return _back()


@router.post("/users/{pk}/role")
def change_somebody(
    request: Request, pk: Pk, desk: TheDesk, principal: Admin, role: Text = "", stations: Text = ""
) -> Response:
    """Another role, other stations; they log in again."""
    now = desk.web.clock.now()

    def work(connection: Connection) -> None:
        user = _user(connection, pk)
        change_role(connection, user, role, stations=scope, now=now, who=principal.name)

    try:
        scope = _stations(desk, stations)
        desk.change(work, takes=True)
    except UserRefused as refused:
        return _page(request, desk, error=in_words(speech_of(request), refused), status=422)
    return _back()


@router.post("/users/{pk}/active")
def switch_somebody(
    request: Request, pk: Pk, desk: TheDesk, principal: Admin, active: Annotated[bool, Form()]
) -> Response:
    """Let somebody in again, or no more."""
    now = desk.web.clock.now()
    try:
        desk.change(
            lambda connection: change_active(
                connection, _user(connection, pk), active=active, now=now, who=principal.name
            ),
            takes=not active,
        )
    except UserRefused as refused:
        return _page(request, desk, error=in_words(speech_of(request), refused), status=422)
    return _back()


@router.post("/users/{pk}/reset")
def reset_somebody(request: Request, pk: Pk, desk: TheDesk, principal: Admin) -> Response:
    """A link with which they set a new password, shown once, and mailed where the site can."""
    now = desk.web.clock.now()

    def work(connection: Connection) -> tuple[User, str]:
        user = _user(connection, pk)
        return user, reset(connection, user, now=now, who=principal.name)

    user, secret = desk.change(work)
    language = user.language or desk.web.plan.file.site.language
    if user.email and post.can_mail(desk.web):
        post.later(desk.web, lambda: letter(desk, post.NEW_PASSWORD, user.email, language, secret, RESET_LIFE))
    return _page(request, desk, secret=secret, whose=user.name, mailed_to=user.email)


def _page(
    request: Request,
    desk: Desk,
    *,
    error: str = "",
    secret: str = "",
    whose: str = "",
    mailed_to: str = "",
    status: int = 200,
) -> Response:
    with desk.web.readers.read() as connection:
        people, invited = all_users(connection), open_invitations(connection, desk.web.clock.now())
    base = desk.web.config.address or str(request.base_url).rstrip("/")
    mailed = mailed_to if post.can_mail(desk.web) else ""
    page = render(
        request,
        "auth/users.html",
        status=status,
        people=people,
        invited=invited,
        roles=ROLES,
        error=error,
        link=f"{base}/invitation/{secret}" if secret else "",
        whose=whose,
        mailed=speech_of(request).text(MAILED).format(email=mailed) if mailed else "",
    )
    return fresh(page)


def _stations(desk: Desk, text: str) -> list[str] | None:
    """Names with commas or blanks between; none for all. Raises UserRefused for one that nobody has heard of."""
    names = sorted({each for each in text.replace(",", " ").replace(";", " ").split() if each})
    with desk.web.readers.read() as connection:
        for name in names:
            if name not in desk.web.plan.stations and not has_sent(connection, name):
                raise UserRefused(mark("{name!r}: there is no station of this name"), name=name[:80])
    return names or None


def _user(connection: Connection, pk: int) -> User:
    if (found := by_pk(connection, pk)) is None:
        raise HTTPException(404, mark("no such user"))
    return found


def _back() -> Response:
    return RedirectResponse("/users", 303)
