"""/alerts: messages and what became of them, channels, mutes, who is on call. The rules are in rules.py."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import delete, insert
from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.model import SEVERITIES
from edge.store import notices as rows
from edge.store.schema import audit, mutes

from ..api.cursor import decode, encode
from ..needs import Manager, Viewer
from ..now.cards import tone
from ..now.matters import read_status
from ..now.names import PLAIN, station_names
from ..page import render, speech_of
from ..web import Site, Web
from . import queries, rules
from .queries import KINDS, STATES, Filters

router = APIRouter()
router.include_router(rules.router)

CURSOR = "messages"
MessagePk = Annotated[int, Path(ge=1, le=2**63 - 1)]
Name = Annotated[str, Query(max_length=100, pattern=PLAIN)]
State = Literal["", "pending", "sending", "sent", "failed", "dropped", "digest", "digested"]
Severity = Literal["", "info", "warning", "critical"]
Kind = Literal["", "alert", "update", "digest", "health", "answer", "test"]
WORDS = {
    "pending": mark("waits"),
    "sending": mark("is being sent"),
    "sent": mark("sent"),
    "failed": mark("failed"),
    "dropped": mark("not sent"),
    "digest": mark("waits for the digest"),
    "digested": mark("told in the digest"),
    "works": mark("works"),
    "waits": mark("waits"),
    "fails": mark("fails"),
    "paused": mark("paused"),
    "": mark("not known"),
}
RECEIPTS = {"waiting": mark("no receipt yet"), "delivered": mark("delivered"), "failed": mark("not delivered")}
KIND_WORDS = {
    "alert": mark("alert"),
    "update": mark("more of it"),
    "digest": mark("digest"),
    "health": mark("heartbeat"),
    "answer": mark("answer"),
    "test": mark("test"),
}
WATCHED = {
    "silent": mark("silent"),
    "never": mark("never heard of"),
    "disk": mark("disk"),
    "spool": mark("waiting pictures"),
    "battery": mark("battery"),
    "supply": mark("supply voltage"),
    "card": mark("its disk"),
    "backlog": mark("pictures wait there"),
    "clock": mark("clock"),
    "queue": mark("pictures wait"),
    "workers": mark("the pipeline stands still"),
    "channel": mark("channel"),
    "source": mark("source"),
    "quarantine": mark("quarantine"),
}
TONES = {"sent": "good", "works": "good", "failed": "bad", "fails": "bad", "paused": "bad", "pending": "warn"}


def filters_of(
    state: Annotated[State, Query()] = "",
    channel: Name = "",
    who: Name = "",
    station: Name = "",
    severity: Annotated[Severity, Query()] = "",
    kind: Annotated[Kind, Query()] = "",
) -> Filters:
    """The filters of an address, of the page's and the API's alike."""
    return Filters(state, channel, who, station, severity, kind)


Asked = Annotated[Filters, Depends(filters_of)]


@router.get("/alerts", response_class=HTMLResponse)
def alerts_page(
    request: Request,
    web: Site,
    principal: Viewer,
    filters: Asked,
    before: Annotated[str, Query(max_length=400)] = "",
) -> HTMLResponse:
    """Messages, newest first."""
    after = key_from(web, before)
    plan, now, speech = web.plan, web.clock.now(), speech_of(request)
    with web.readers.read() as connection:
        page = queries.page_of(connection, principal.stations, filters, speech.language, after=after)
        values: dict[str, Any] = {
            "lines": page.lines,
            "next": encode(web, CURSOR, [page.next]) if page.next else "",
            "filters": filters,
            "first": after is None,
            "stations": station_names(web, connection, principal),
            "people": sorted({each.who for each in plan.directory.by_name.values()}),
            "channels": queries.channels_of(read_status(web), list(plan.channels)),
            "mutes": [
                each for each in queries.mutes_now(connection, now) if not each.station or principal.sees(each.station)
            ],
            "wrong": queries.watched_now(connection) if principal.stations is None else [],
            "calls": queries.on_call(connection, plan.directory, plan.file.recipients, now),
        }
    return render(request, "alerts/page.html", **values, **WORDING)


WORDING: dict[str, Any] = {
    "states": STATES,
    "kinds": KINDS,
    "severities": SEVERITIES,
    "words": WORDS,
    "receipts": RECEIPTS,
    "kind_words": KIND_WORDS,
    "watched_words": WATCHED,
    "tones": TONES,
    "tone": tone,
}


@router.post("/alerts/{pk}/again", response_class=Response)
def send_again(request: Request, web: Site, principal: Manager, pk: MessagePk) -> Response:
    """Send a message that was given up once more. 404, 409 where it was not."""
    with web.store.transaction() as connection:
        found = rows.by_pks(connection, [pk])
        if not found or not (principal.sees(found[0].station) or principal.stations is None):
            raise HTTPException(404)
        if not rows.send_again(connection, pk, web.clock.now()):
            raise HTTPException(409, mark("only a message that failed is sent again"))
        row = {"at": web.clock.now(), "who": principal.name, "action": "send again", "subject": f"message {pk}"}
        connection.execute(insert(audit).values(**row, details={"to": found[0].addressee}))
    if request.headers.get("hx-request") != "true":
        return RedirectResponse("/alerts", 303)
    speech = speech_of(request)
    with web.readers.read() as connection:
        [line] = queries.lines_of(connection, [pk], speech.language)
    answer = render(request, "alerts/line.html", line=line, **WORDING)
    answer.headers["hx-trigger"] = json.dumps({"toast": speech.text(mark("It is sent again."))})
    return answer


@router.post("/alerts/mutes/{pk}/end", response_class=Response)
def end_mute(web: Site, principal: Manager, pk: MessagePk) -> Response:
    """Let somebody hear again; of all stations, only who sees all."""
    theirs = mutes.c.pk == pk
    if principal.stations is not None:
        theirs &= mutes.c.station.in_(principal.stations)
    with web.store.transaction() as connection:
        gone = connection.execute(delete(mutes).where(theirs).returning(mutes.c.who, mutes.c.station)).first()
        if gone is not None:
            row = {"at": web.clock.now(), "who": principal.name, "action": "unmute", "subject": gone.who}
            connection.execute(insert(audit).values(**row, details={"station": gone.station}))
    return RedirectResponse("/alerts#mutes", 303)


def key_from(web: Web, cursor: str) -> int | None:
    """The pk of a cursor, None for "". Raises HTTPException 400."""
    if not cursor:
        return None
    [pk] = decode(web, CURSOR, cursor)
    return int(pk)  # type: ignore[arg-type]  # because a signed cursor of this list has one number
