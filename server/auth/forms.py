"""What the pages before log-in share: a form of one's own, fields that fit, errors in the reader's language."""

from datetime import timedelta
from math import ceil
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from edge.i18n import mark
from edge.store.users import UserRefused

from ..needs import Anyone
from ..page import render, speech_of
from ..speech import Speech
from ..web import web_of
from . import cookies, forgery

LATER = mark("Too many tries. Try again at {time}, in {span}.")


async def _own_form(request: Request, principal: Anyone) -> None:
    """A change before log-in comes from our own form; with a session `knows` has looked already."""
    if principal is None:
        await forgery.check_form(request)


OwnForm = Annotated[None, Depends(_own_form)]


def render_form(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page with a form for somebody who is not known: with a token, and the cookie that it belongs to."""
    if getattr(request.state, "principal", None) is not None:
        return fresh(render(request, template, status=status, **values))
    secret = cookies.form_secret(request)
    answer = render(request, template, status=status, csrf=forgery.form_token(request, secret), **values)
    cookies.put(request, answer, cookies.FORM, secret)
    return fresh(answer)


def fresh(answer: HTMLResponse) -> HTMLResponse:
    """Kept nowhere: it has a secret or a form's token."""
    answer.headers["cache-control"] = "no-store"
    return answer


def in_words(speech: Speech, refused: UserRefused) -> str:
    """A refusal in the reader's language."""
    return speech.text(refused.text).format(**refused.values)


def later_text(request: Request, wait: timedelta) -> str:
    """When it may be tried again, in the reader's language."""
    speech, now = speech_of(request), web_of(request).clock.now()
    at, span = (now + wait).astimezone(speech.zone), timedelta(seconds=ceil(wait.total_seconds()))
    return speech.text(LATER).format(time=f"{at:%H:%M:%S}", span=speech.span(span))


def later(request: Request, template: str, wait: timedelta, **values: Any) -> HTMLResponse:
    """The same form with 429, which says when it may be sent again."""
    answer = render_form(request, template, status=429, error=later_text(request, wait), **values)
    answer.headers["retry-after"] = str(ceil(wait.total_seconds()))
    return answer
