"""The first run: whoever has the setup code becomes the admin, and says where this site is."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Connection

from edge.fieldwork.places import known_zones
from edge.i18n import mark
from edge.passwords import fault_of as password_fault
from edge.store.users import User, UserRefused, add, any_user, checked_name

from ..needs import Anyone
from ..page import render, speech_of
from ..speech import Speech
from . import first_site, setup_code, throttle
from .account import UNEQUAL
from .desk import Desk, TheDesk
from .first_site import FirstSite
from .forms import OwnForm, in_words, later_text, render_form
from .login import Text, let_in

router = APIRouter()
WRONG_CODE = mark("This is not the setup code. It stands in the log of the page, and in the file below.")
SETUP = "setup"


@router.get("/setup")
def setup_page(request: Request, desk: TheDesk, _principal: Anyone) -> Response:
    """The form, until there is somebody."""
    if desk.has_users():
        return RedirectResponse("/login", 303)
    setup_code.code_of(desk.web)
    language = speech_of(request).language
    known = first_site.as_it_is(desk.web)
    return _page(request, desk, FirstSite(known.name, language, known.timezone))


@router.post("/setup")
def set_up(
    request: Request,
    desk: TheDesk,
    _principal: Anyone,
    _own: OwnForm,
    code: Text = "",
    name: Text = "",
    password: Text = "",
    again: Text = "",
    site: Text = "",
    language: Text = "",
    timezone: Text = "",
    station: Text = "",
    position: Text = "",
) -> Response:
    """Make the admin, put the site's name, language, zone and first station into site.yaml."""
    if desk.has_users():
        return RedirectResponse("/login", 303)
    wanted = first_site.cleaned(FirstSite(site, language, timezone, station, position))
    speech = speech_of(request)
    fault, status = _code_fault(request, desk, code)
    if fault:
        return _page(request, desk, wanted, name, {"code": fault}, status=status)
    if errors := _errors(speech, name, password, again, wanted):
        return _page(request, desk, wanted, name, errors, code, status=422)
    user = _first_admin(desk, name, password, wanted.language)
    if user is None:
        return RedirectResponse("/login", 303)
    setup_code.forget(desk.web)
    answer = let_in(request, desk, user, "/", how="first run")
    left, starts_anew = first_site.put_in(desk.web, wanted, who=user.name)
    if left:
        desk.web.log.warning("web.setup_left", reason=left)
    return _after(request, answer, left) if left or starts_anew else answer


def _code_fault(request: Request, desk: Desk, code: str) -> tuple[str, int]:
    """(what is wrong with the code, in the reader's language, and the status); ("", 200) when it is right."""
    tries = {SETUP: throttle.BY_NAME, throttle.of_address(request): throttle.BY_ADDRESS}
    with desk.web.store.transaction() as connection:
        if wait := throttle.count(connection, tries, desk.web.clock.now()):
            return later_text(request, wait), 429
    if not setup_code.is_code(desk.web, code):
        return speech_of(request).text(WRONG_CODE), 422
    with desk.web.store.transaction() as connection:
        throttle.forgive(connection, *tries)
    return "", 200


def _errors(speech: Speech, name: str, password: str, again: str, wanted: FirstSite) -> dict[str, str]:
    """What is wrong, by field, in the reader's language."""
    found: dict[str, str] = {}
    try:
        checked_name(name)
    except UserRefused as refused:
        found["name"] = in_words(speech, refused)
    if fault := password_fault(password, name) or (UNEQUAL if password != again else ""):
        found["password"] = speech.text(fault)
    field, fault = first_site.fault_of(wanted)
    if fault:
        found[field] = speech.text(fault)
    return found


def _first_admin(desk: Desk, name: str, password: str, language: str) -> User | None:
    """The user; None when somebody was quicker."""
    now, kept = desk.web.clock.now(), desk.hasher.hash(password)

    def work(connection: Connection) -> User | None:
        if any_user(connection):
            return None
        return add(connection, name, "admin", now=now, who="first run", password=kept, language=language)

    return desk.change(work)


def _after(request: Request, answer: Response, left: str) -> Response:
    """Logged in, but: why site.yaml is as it was, and what to do; or how long the page is away now."""
    page = render(request, "auth/setup_after.html", left=left)
    for name, value in answer.raw_headers:
        if name == b"set-cookie":
            page.raw_headers.append((name, value))
    return page


def _page(
    request: Request,
    desk: Desk,
    wanted: FirstSite,
    name: str = "",
    errors: dict[str, str] | None = None,
    code: str = "",
    *,
    status: int = 200,
) -> Response:
    """code: given back only when it was right, so that it need not be typed again."""
    return render_form(
        request,
        "auth/setup.html",
        status=status,
        wanted=wanted,
        name=name[:64],
        code=code,
        errors=errors or {},
        zones=sorted(known_zones()),
        has_stations=bool(desk.web.plan.stations),
        folder=first_site.folder_of(desk.web),
        code_file=str(desk.web.own_dir / setup_code.FILE),
    )
