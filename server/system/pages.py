"""/system: what runs and how fast; quarantine and trying again; the audit."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from edge.chores import do
from edge.errors import EdgeError
from edge.i18n import mark
from edge.store.quarantine import MOST_RETRIED, page_of

from ..api import cursor
from ..api.words import MOST, NO_NUL, Key
from ..needs import Admin, Manager
from ..page import render
from ..rights import Principal
from ..web import Site, Web
from . import configuration
from .actions import ACTIONS
from .look import history_of, look
from .queries import audited

router = APIRouter()
router.include_router(configuration.router)
ROWS = 50
After = Annotated[str, Query(max_length=2000)]
Upto = Annotated[int, Form(ge=1, le=MOST)]
VERBS = {
    "capture": mark("capture"),
    "receive": mark("receive"),
    "spool": mark("spool"),
    "claim": mark("claim"),
    "stage": mark("stage"),
    "record": mark("record"),
    "notify": mark("notify"),
    "show": mark("show"),
}
MEANS = {
    "capture": mark("A camera takes a picture; agents count it."),
    "receive": mark("A source hands a picture over."),
    "spool": mark("It is safe on this disk."),
    "claim": mark("A worker takes the oldest that waits."),
    "stage": mark("The models have looked at it."),
    "record": mark("What they saw is in the record."),
    "notify": mark("A message has reached its channel."),
    "show": mark("It was exported."),
}
TASKS = {"detect": mark("finds animals"), "classify": mark("names species"), "people": mark("finds people")}
LANES = {"works": mark("works"), "waits": mark("waits"), "fails": mark("fails"), "paused": mark("paused")}


@router.get("/system", response_class=Response)
def system(request: Request, web: Site, principal: Manager) -> Response:
    """The whole page; for htmx only what changes."""
    del principal
    found = look(web, history_of(request))
    part = request.headers.get("hx-request") == "true"
    words = {"verbs": VERBS, "means": MEANS, "tasks": TASKS, "lanes": LANES}
    return render(request, "system/now.html" if part else "system/system.html", system=found, words=words)


@router.get("/system/quarantine", response_class=Response)
def quarantine(
    request: Request,
    web: Site,
    principal: Manager,
    after: After = "",
    again: Annotated[int, Query(ge=0, le=MOST_RETRIED)] = 0,
) -> Response:
    """What could not be looked at, the newest first. again: so many are looked at again now."""
    return _quarantine(request, web, principal, after, again=again)


def _quarantine(
    request: Request, web: Web, principal: Principal, after: str = "", *, refused: str = "", again: int = 0
) -> Response:
    before = int(str(cursor.decode(web, "quarantine", after)[0])) if after else None
    with web.readers.read() as connection:
        rows = page_of(connection, before=before, limit=ROWS + 1, stations=principal.stations)
    following = cursor.encode(web, "quarantine", [rows[ROWS - 1].pk]) if len(rows) > ROWS else ""
    status = 409 if refused else 200
    return render(
        request,
        "system/quarantine.html",
        status=status,
        rows=rows[:ROWS],
        following=following,
        first=not after,
        refused=refused,
        after=after,
        again=again,
    )


@router.post("/system/quarantine/{pk}/retry", response_class=Response)
def retry(
    request: Request, web: Site, principal: Manager, pk: Key, after: Annotated[str, Form(max_length=2000)] = ""
) -> Response:
    """Have one looked at again."""
    try:
        retry_one(web, principal, pk)
    except EdgeError as exc:
        return _quarantine(request, web, principal, after, refused=str(exc))
    return RedirectResponse(f"/system/quarantine?again=1{f'&after={after}' if after else ''}", 303)


@router.post("/system/quarantine/retry", response_class=Response)
def retry_every(request: Request, web: Site, principal: Manager, upto: Upto) -> Response:
    """Have all looked at again that were there when the page was."""
    try:
        said = retry_all(web, principal, upto)
    except EdgeError as exc:
        return _quarantine(request, web, principal, refused=str(exc))
    return RedirectResponse(f"/system/quarantine?again={said['count']}", 303)


def retry_all(web: Web, principal: Principal, upto: int) -> dict[str, int]:
    """{count, gone}: frames that are looked at again now, and those whose files are not there. Raises FatalError."""
    stations = None if principal.stations is None else sorted(principal.stations)
    values = {"upto": upto, "stations": stations, "who": principal.name}
    said = do(web.plan, "quarantine.retry_all", values, clock=web.clock)
    return {name: int(said[name]) for name in ("count", "gone")}


def retry_one(web: Web, principal: Principal, pk: int) -> dict[str, str]:
    """{station, frame} of what is looked at again now. Raises FatalError with the reason when it can't be."""
    if principal.stations is not None:
        with web.readers.read() as connection:
            if not any(
                row.pk == pk for row in page_of(connection, before=pk + 1, limit=1, stations=principal.stations)
            ):
                pk = 0  # for them nothing is there: the same answer as for a number that nobody gave
    said = do(web.plan, "quarantine.retry", {"pk": pk, "who": principal.name}, clock=web.clock)
    return {name: str(value) for name, value in said.items()}


@router.get("/system/audit", response_class=Response)
def audit(
    request: Request,
    web: Site,
    principal: Admin,
    after: After = "",
    who: Annotated[str, Query(max_length=120, pattern=NO_NUL)] = "",
    action: Annotated[str, Query(max_length=32, pattern=NO_NUL)] = "",
) -> Response:
    """Who did what."""
    del principal
    before = int(str(cursor.decode(web, "audit", after)[0])) if after else None
    with web.readers.read() as connection:
        rows, older = audited(connection, before=before, limit=ROWS, who=who, action=action)
    following = cursor.encode(web, "audit", [older]) if older is not None else ""
    return render(
        request,
        "system/audit.html",
        rows=rows,
        following=following,
        first=not after,
        who=who,
        action=action,
        actions=ACTIONS,
    )
