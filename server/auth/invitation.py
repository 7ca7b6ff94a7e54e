"""Links that let somebody in once: an invitation, a new password; and asking for the latter by mail."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.passwords import fault_of
from edge.store.keys import Invitation, invitation_of, reset, use_invitation
from edge.store.users import User, UserRefused, add, by_email, by_pk, change_password, checked_name, key_of

from ..needs import Anyone
from ..page import speech_of
from . import post, throttle
from .account import UNEQUAL
from .desk import Desk, TheDesk
from .forms import OwnForm, in_words, later, render_form
from .login import Text, let_in

router = APIRouter()
Secret = Annotated[str, Path(max_length=100)]
MAIL_LIFE = timedelta(hours=1)
OVER = mark("This link was used already, or is too old. Ask for a new one.")


@router.get("/invitation/{secret}")
def invitation_page(request: Request, secret: Secret, desk: TheDesk, _principal: Anyone) -> Response:
    """The form; looking at it spends nothing, because mail programs look, too."""
    found, user = _found(request, desk, secret)
    return _page(request, found, user)


@router.post("/invitation/{secret}")
def accept(
    request: Request,
    secret: Secret,
    desk: TheDesk,
    _principal: Anyone,
    _own: OwnForm,
    name: Text = "",
    password: Text = "",
    again: Text = "",
) -> Response:
    """Make the user, or set the password, and let them in."""
    found, user = _found(request, desk, secret)
    now, speech = desk.web.clock.now(), speech_of(request)
    try:
        name = user.name if user else checked_name(name)
        if fault := fault_of(password, name) or (UNEQUAL if password != again else ""):
            return _page(request, found, user, name=name, errors={"password": speech.text(fault)}, status=422)
        kept = desk.hasher.hash(password)

        def work(connection: Connection) -> User:
            if not use_invitation(connection, found.pk, now):
                raise HTTPException(404, speech.text(OVER))
            if user is not None:
                change_password(connection, user, kept, now=now, who=user.name)
                return user
            return add(
                connection,
                name,
                found.role,
                now=now,
                who=f"{name} (invited by {found.created_by})",
                password=kept,
                email=found.email,
                stations=found.stations,
                language=speech.language,
            )

        return let_in(request, desk, desk.change(work, takes=user is not None), "/", how=found.kind)
    except UserRefused as refused:
        errors = {"name": in_words(speech, refused)}
        return _page(request, found, user, name=name, errors=errors, status=422)


@router.get("/forgot")
def forgot_page(request: Request, desk: TheDesk, _principal: Anyone) -> Response:
    """The form that asks for a mail; where the site sends none, whom to ask instead."""
    return render_form(request, "auth/forgot.html", can_mail=post.can_mail(desk.web), sent=False, error="")


@router.post("/forgot")
def forgot(request: Request, desk: TheDesk, _principal: Anyone, _own: OwnForm, email: Text = "") -> Response:
    """Mail a link to whoever has this address; the answer is the same when nobody has."""
    if not post.can_mail(desk.web):
        raise HTTPException(404, mark("this site sends no mail"))
    address = throttle.of_address(request)
    tries = {f"mail/{key_of(email)[:100]}": throttle.BY_MAIL, address: throttle.BY_ADDRESS}
    with desk.web.store.transaction() as connection:
        wait = throttle.count(connection, tries, desk.web.clock.now())
    if wait:
        return later(request, "auth/forgot.html", wait, can_mail=True, sent=False)
    language = speech_of(request).language
    post.later(desk.web, lambda: _letter(desk, email, language))
    return render_form(request, "auth/forgot.html", can_mail=True, sent=True, error="")


def _letter(desk: Desk, email: str, language: str) -> post.Letter | None:
    now = desk.web.clock.now()
    with desk.web.readers.read() as connection:
        user = by_email(connection, email)
    if user is None:
        return None
    secret = desk.change(lambda connection: reset(connection, user, now=now, who="mail", life=MAIL_LIFE))
    return letter(desk, post.NEW_PASSWORD, user.email, user.language or language, secret, MAIL_LIFE, post.NOT_YOU)


def letter(desk: Desk, headline: str, to: str, language: str, secret: str, life: timedelta, *lines: str) -> post.Letter:
    """The mail with a link."""
    ends = (desk.web.clock.now() + life).astimezone(desk.web.zone_of(""))
    link = f"{desk.web.config.address}/invitation/{secret}"
    return post.Letter(to, language, headline, (post.ONCE, *lines), link, f"{ends:%Y-%m-%d %H:%M}")


def _found(request: Request, desk: Desk, secret: str) -> tuple[Invitation, User | None]:
    """The link, and whose password it sets. Raises HTTPException 404."""
    now = desk.web.clock.now()
    with desk.web.readers.read() as connection:
        found = invitation_of(connection, secret, now)
        user = by_pk(connection, found.user_pk) if found and found.user_pk else None
    if found is None or (found.kind == "reset" and (user is None or not user.active)):
        raise HTTPException(404, speech_of(request).text(OVER))
    return found, user


def _page(
    request: Request,
    found: Invitation,
    user: User | None,
    *,
    name: str = "",
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    return render_form(
        request, "auth/invitation.html", status=status, found=found, user=user, name=name, errors=errors or {}
    )
