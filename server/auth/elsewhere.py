"""Logging in with another service, by plugins (tigrillo_logins): who comes back is a user that was invited before."""

import hmac
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from edge.errors import FatalError
from edge.hookspecs import Identity, Login
from edge.i18n import mark
from edge.pipeline.built import built
from edge.pipeline.runner import Failed, attempt
from edge.simulate import still_services
from edge.store.users import by_email

from ..api.keys import mac
from ..needs import Anyone
from ..page import speech_of
from ..web import Web
from . import cookies, throttle
from .desk import Desk, TheDesk
from .forms import later
from .login import buttons, let_in, log_in_form

router = APIRouter()
Name = Annotated[str, Path(max_length=64)]
UNKNOWN = mark("{email} is nobody's here: ask whoever manages this site for an invitation to this address.")
NOT_LET_IN = mark("{label} did not work: {reason}")
STALE = mark("This took too long, or was begun in another browser. Try again.")
FAILED = mark("it can't be reached, or is not set up right")


@router.get("/login/{name}/start")
def start(request: Request, name: Name, desk: TheDesk, _principal: Anyone) -> Response:
    """Send the browser to the service, with a state that only this browser can bring back."""
    secret = cookies.form_secret(request)
    where = _asked(desk, name, lambda login: login.start(_back(request, desk, name), _state(desk.web, name, secret)))
    if isinstance(where, Failed) or not str(where).startswith(("https://", "http://")):
        return _refused(request, desk, name, speech_of(request).text(FAILED), where)
    answer = RedirectResponse(str(where), 303)
    cookies.put(request, answer, cookies.FORM, secret)
    return answer


@router.get("/login/{name}/back")
def back(request: Request, name: Name, desk: TheDesk, _principal: Anyone) -> Response:
    """Let in whom the service names, when an admin has invited them before."""
    speech, secret = speech_of(request), cookies.read(request, cookies.FORM)
    params = dict(request.query_params)
    said, wanted = params.get("state", ""), _state(desk.web, name, secret) if secret else ""
    if not wanted or not hmac.compare_digest(said.encode("utf-8", "surrogateescape"), wanted.encode()):
        return log_in_form(request, error=speech.text(STALE), status=422)
    address = throttle.of_address(request)
    with desk.web.store.transaction() as connection:
        wait = throttle.count(connection, {address: throttle.BY_ADDRESS}, desk.web.clock.now())
    if wait:
        return later(request, "auth/login.html", wait, name="", next="/", buttons=buttons(desk.web))
    found = _asked(desk, name, lambda login: login.finish(params, _back(request, desk, name)))
    if not isinstance(found, Identity):
        reason = found.reason if isinstance(found, Failed) and found.reaction != "bug" else speech.text(FAILED)
        return _refused(request, desk, name, reason, found)
    with desk.web.readers.read() as connection:
        user = by_email(connection, found.email)
    if user is None:
        error = speech.text(UNKNOWN).format(email=found.email[:100])
        return log_in_form(request, error=error, status=422)
    with desk.web.store.transaction() as connection:
        throttle.take_back(connection, address, throttle.BY_ADDRESS)
    return let_in(request, desk, user, "/", how=f"{name} {found.subject}"[:200])


def _asked(desk: Desk, name: str, ask: Callable[[Login], str | Identity]) -> str | Identity | Failed:
    """What the plugin answers, or why it does not. Raises HTTPException 404 for one that the site has not set up."""
    spec, settings = desk.web.registry.logins.get(name), desk.web.config.logins.get(name)
    if spec is None or settings is None:
        raise HTTPException(404, mark("no such way to log in"))

    def work() -> str | Identity:
        with (
            still_services(desk.web.plan, desk.web.clock) as services,
            built(name, spec.build, spec.config.model_validate(settings), services) as login,
        ):
            return ask(login)

    try:
        found = attempt(work)
    except FatalError as exc:  # settings that no plugin takes; the password still opens the page
        return Failed("bug", str(exc))
    return found if isinstance(found, Failed) else found.value


def _refused(request: Request, desk: Desk, name: str, reason: str, found: object) -> Response:
    """The form again, with what the service said; what is ours to mend goes to the log."""
    desk.web.log.warning("login.elsewhere_failed", name=name, reason=str(getattr(found, "reason", found))[:500])
    speech = speech_of(request)
    label = speech.text(desk.web.registry.logins[name].label)
    return log_in_form(request, error=speech.text(NOT_LET_IN).format(label=label, reason=reason), status=422)


def _back(request: Request, desk: Desk, name: str) -> str:
    """Where the service sends the browser back to."""
    return f"{desk.web.config.address or str(request.base_url).rstrip('/')}/login/{name}/back"


def _state(web: Web, name: str, secret: str) -> str:
    """What only the browser that began can bring back: signed, and bound to its form's cookie."""
    return mac(web, b"login " + name.encode(), secret.encode()).hex()
