"""The first page, and the page of one encounter."""

import json
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Connection, insert
from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.store import notices
from edge.store.encounters import Encounter
from edge.store.schema import audit

from ..api.cursor import decode, encode
from ..needs import Reviewer, Viewer
from ..page import render, speech_of
from ..rights import Principal
from ..web import Site, Web
from . import shared, story
from .cards import words
from .matters import matters
from .names import PLAIN, station_names
from .queries import KINDS, Card, Filters, Key, cards_of, find, frames_of, page_of, sequences_of

router = APIRouter()
router.include_router(shared.router)

CURSOR = "encounters"
Name = Annotated[str, Query(max_length=64, pattern=PLAIN)]
LENGTHS = {
    "2": mark("2 hours"),
    "12": mark("12 hours"),
    "48": mark("2 days"),
    "168": mark("a week"),
    "0": mark("no end"),
}


@router.get("/", response_class=HTMLResponse)
def now_page(
    request: Request,
    web: Site,
    principal: Viewer,
    station: Name = "",
    kind: Annotated[Literal["", "animal", "person", "vehicle"], Query()] = "",
    alerts: Annotated[Literal["", "1"], Query()] = "",
    before: Annotated[str, Query(max_length=400)] = "",
) -> HTMLResponse:
    """The last encounters, and what matters."""
    filters = Filters(station, kind, bool(alerts))
    after = key_from(web, before)
    speech = speech_of(request)
    with web.readers.read() as connection:
        page = page_of(connection, principal.stations, filters, after=after)
        values = {
            "cards": page.cards,
            "next": encode(web, CURSOR, page.next) if page.next else "",
            "filters": filters,
            "first": after is None,
            "fresh": False,
            **words(),
        }
        if request.headers.get("hx-request") == "true" and after is not None:
            return render(request, "now/older.html", **values)
        values |= {
            "matters": matters(web, connection, principal, speech) if after is None else [],
            "stations": station_names(web, connection, principal),
            "kinds": KINDS,
        }
    return render(request, "now/page.html", **values)


@router.get("/now/matters", response_class=HTMLResponse)
def matters_part(request: Request, web: Site, principal: Viewer) -> HTMLResponse:
    """The lines of what matters, for a page that is open."""
    with web.readers.read() as connection:
        found = matters(web, connection, principal, speech_of(request))
    return render(request, "now/matters.html", matters=found)


@router.get("/encounters/{name}", response_class=HTMLResponse)
def encounter_page(
    request: Request, web: Site, principal: Viewer, name: str, why: Annotated[Literal["", "1"], Query()] = ""
) -> HTMLResponse:
    """One encounter with its story. name: its uid, or its code. why: also what the rules of now say."""
    speech = speech_of(request)
    with web.readers.read() as connection:
        found = seen_by(connection, principal, name)
        card = cards_of(connection, [found])[0]
        shots = frames_of(connection, found)
        known = web.plan.directory
        values: dict[str, Any] = {
            "card": card,
            "of": found,
            "shots": shots,
            "owners": sequences_of(connection, [each.pk for each in shots]),
            "held": story.rules_held(connection, found, speech.language),
            "told": story.messages(connection, found, speech.language),
            "judged": story.rules_now(web, connection, found, speech.language) if why else None,
            "people": list(dict.fromkeys(each.who for each in known.by_name.values())),
            "lengths": LENGTHS,
        }
    return render(request, "now/encounter.html", **values, **words())


@router.post("/encounters/{uid}/ack", response_class=Response)
def acknowledge(request: Request, web: Site, principal: Reviewer, uid: str) -> Response:
    """I see to it. As an ACK by SMS does it: escalations end, and who was first stays named."""
    with web.store.transaction() as connection:
        found = seen_by(connection, principal, uid)
        first = acknowledged(connection, web, found, principal)
    text = mark("It is yours; nobody else is called.") if first else mark("Somebody had seen to it already.")
    return answered(request, web, principal, found, text)


@router.post("/encounters/{uid}/mute", response_class=Response)
def mute(
    request: Request,
    web: Site,
    principal: Reviewer,
    uid: str,
    who: Annotated[str, Form(max_length=200)],
    hours: Annotated[Literal["2", "12", "48", "168", "0"], Form()],
    everywhere: Annotated[Literal["", "1"], Form()] = "",
) -> Response:
    """Let somebody hear nothing of this station, or of all, for a while."""
    with web.store.transaction() as connection:
        found = seen_by(connection, principal, uid)
        mute_one(connection, web, principal, who, "" if everywhere else found.station, int(hours))
    return answered(request, web, principal, found, mark("Muted. What comes until then is told in the digest."))


def acknowledged(connection: Connection, web: Web, found: Encounter, principal: Principal) -> bool:
    """Note who sees to an encounter, and write it down; False when somebody else had before."""
    now = web.clock.now()
    if not story.acknowledge(connection, found, by=principal.name, now=now):
        return False
    row = {"at": now, "who": principal.name, "action": "acknowledge", "subject": f"encounter {found.code}"}
    connection.execute(insert(audit).values(**row, details={"uid": found.uid, "station": found.station}))
    return True


def mute_one(connection: Connection, web: Web, principal: Principal, who: str, station: str, hours: int) -> None:
    """Mute somebody; station: "" for all; hours: 0 for no end. Raises HTTPException.

    One may mute oneself; others, only who manages, and where they see.
    """
    if who not in {each.who for each in web.plan.directory.by_name.values()}:
        raise HTTPException(422, mark("nobody is called so"))
    is_other = who.casefold() != principal.name.casefold()
    if is_other and not principal.may("manage"):
        raise HTTPException(403, mark("only a manager mutes somebody else"))
    if is_other and not station and principal.stations is not None:
        raise HTTPException(403, mark("only who sees all stations mutes somebody else for all of them"))
    if not hours and not station and not principal.may("manage"):
        raise HTTPException(403, mark("only a manager ends all messages"))
    now = web.clock.now()
    notices.mute(connection, who, until=now + timedelta(hours=hours) if hours else None, now=now, station=station)
    row = {"at": now, "who": principal.name, "action": "mute", "subject": who}
    connection.execute(insert(audit).values(**row, details={"station": station, "hours": hours}))


def seen_by(connection: Connection, principal: Principal, name: str) -> Encounter:
    """An encounter by uid or code. Raises HTTPException 404, also when it is none of theirs."""
    found = find(connection, name[:64])
    if found is None or not principal.sees(found.station):
        raise HTTPException(404)
    return found


def key_from(web: Web, cursor: str) -> Key | None:
    """The key of a cursor, None for "". Raises HTTPException 400."""
    if not cursor:
        return None
    at, pk = decode(web, CURSOR, cursor)
    return at, pk  # type: ignore[return-value]  # because a signed cursor of this list has these


def answered(request: Request, web: Web, principal: Principal, found: Encounter, text: str) -> Response:
    """Back to the encounter, or its state anew for htmx."""
    if request.headers.get("hx-request") != "true":
        return RedirectResponse(f"/encounters/{found.uid}", 303)
    with web.readers.read() as connection:
        again = seen_by(connection, principal, found.uid)
        card: Card = cards_of(connection, [again])[0]
    answer = render(request, "now/state.html", card=card, of=again, **words())
    answer.headers["hx-trigger"] = json.dumps({"toast": speech_of(request).text(text)})
    return answer
