"""/review: the grid, the single view, and the forms that both send."""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import Field
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.store.reviews import Said, find_action

from ..api import cursor
from ..needs import Reviewer, Viewer
from ..now.names import station_names
from ..page import render, speech_of
from ..rights import Principal
from ..speech import Speech
from ..web import Site, Web
from . import answers, queries
from .cards import Box, cards_of
from .filters import Asked, Filters
from .names import all_names, both_names
from .one import Picture, read_history, read_one
from .saying import Right, said_in_form
from .words import chip_text, keys_for, name_of, sequences_said, words

router = APIRouter()
Pk = Annotated[int, Field(ge=1, le=2**63 - 1)]
ACTION = re.compile(r"[A-Za-z0-9._-]{8,64}")
GIVEN = re.compile(r"[A-Za-z0-9_-]{8,48}")  # by a form, or by a script
PAGE = 40  # cards
KEYS = 9  # species that have a number
LISTED = 200  # species that are offered before the whole list is there
PROGRESS_S = 15.0  # and what is left to do
JUMPS, JUMP_SCORE = 12, 0.2  # into a clip
LIST = "review"  # the cursor's


@router.get("/review", response_class=HTMLResponse)
def grid(
    request: Request,
    web: Site,
    principal: Viewer,
    filters: Asked,
    after: Annotated[str, Query(max_length=2000)] = "",
    done: Annotated[str, Query(max_length=64)] = "",
) -> HTMLResponse:
    """Sequences as cards; for htmx only the cards and the link to the next ones."""
    speech = speech_of(request)
    with web.readers.read() as connection:
        found = queries.find(
            connection,
            filters,
            zone=speech.zone,
            scope=principal.stations,
            after=_key(web, after),
            size=PAGE,
        )
        cards = cards_of(connection, found.rows)
        values = {} if _is_part(request) else _around(request, web, connection, principal, filters)
        told = _told(connection, done, principal, speech)
    here = filters.pairs()
    more = urlencode([*here, ("after", cursor.encode(web, LIST, found.more))]) if found.more else ""
    return render(
        request,
        "review/more.html" if _is_part(request) else "review/page.html",
        **words(speech),
        cards=cards,
        filters=filters,
        query=filters.query(),
        more=more,
        searched=found.searched,
        chips=[(chip_text(name, value, speech), rest.query()) for name, value, rest in filters.without()],
        begun=bool(after),
        told=told,
        seen=max((each.seen for each in cards), default=0),
        fresh=secrets.token_urlsafe(12),
        keys=keys_for(["grid"]),
        **values,
    )


@router.get("/review/progress", response_class=HTMLResponse)
def progress(request: Request, web: Site, principal: Viewer) -> HTMLResponse:
    """How many pictures nobody has answered yet, by station."""
    rows = [each for each in _progress(request, web) if principal.sees(each.station)]
    return render(
        request,
        "review/progress.html",
        rows=rows,
        frames=sum(each.frames for each in rows),
        unreviewed=sum(each.unreviewed for each in rows),
    )


@router.get("/review/names.json", response_class=JSONResponse)
def names(request: Request, web: Site, principal: Viewer) -> Response:
    """Every name that a species field offers, [scientific, English, Spanish], those of the site first."""
    with web.readers.read() as connection:
        record = queries.site_taxa(connection, _scope(principal))
    body = json.dumps(all_names(list(record)[:LISTED]), ensure_ascii=False, separators=(",", ":")).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"etag": tag, "cache-control": "private, max-age=3600"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


@router.get("/review/{pk}", response_class=HTMLResponse)
def one(
    request: Request,
    web: Site,
    principal: Viewer,
    pk: Annotated[int, Path(ge=1, le=2**63 - 1)],
    filters: Asked,
    frame: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    start: Annotated[int | None, Query(ge=0, le=10**6)] = None,
    done: Annotated[str, Query(max_length=64)] = "",
    others: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """One sequence, with all that is known of it and the form; one that has another name by now leads there."""
    speech = speech_of(request)
    with web.readers.read() as connection:
        shown = read_one(connection, pk, principal.stations, frame=frame, start=start)
        if shown is None:
            now = queries.sequences_now(connection, [pk]).get(pk, pk)
            if now != pk and queries.sequence_of(connection, now, principal.stations):
                rest = urlencode([*filters.pairs(), *([("frame", frame)] if frame else [])])
                return RedirectResponse(f"/review/{now}?{rest}" if rest else f"/review/{now}", 303)
            raise HTTPException(404, mark("no such sequence"))
        key = (shown.row["started_at"], shown.row["pk"])
        beside = {
            name: queries.neighbour(connection, filters, key, zone=speech.zone, scope=principal.stations, back=back)
            for name, back in (("before", True), ("after", False))
        }
        taxa = queries.site_taxa(connection, _scope(principal))
        told = _told(connection, done, principal, speech)
    return render(
        request,
        "review/one.html",
        **words(speech),
        shown=shown,
        beside=beside,
        filters=filters,
        query=filters.query(),
        told=told,
        others=others,
        numbered=queries.with_numbers(taxa, KEYS),
        jumps=_jumps(shown.current, speech),
        named=both_names(shown.row["shown_taxon"], speech) if shown.row["shown_taxon"] else "",
        listed=[both_names(each, speech) for each in list(taxa)[:LISTED]],
        fresh=secrets.token_urlsafe(12),
        keys=keys_for(["one"]),
        zone=web.zone_of(shown.row["station"]),
    )


@router.post("/review/answer", response_class=Response)
def answer(
    request: Request,
    web: Site,
    principal: Reviewer,
    what: Annotated[str, Form(max_length=200)] = "",
    sequence: Annotated[list[Pk] | None, Form()] = None,
    frame: Annotated[list[Pk] | None, Form()] = None,
    box: Annotated[list[Pk] | None, Form()] = None,
    target: Annotated[str, Form(max_length=40)] = "",
    species: Annotated[str, Form(max_length=200)] = "",
    new_name: Annotated[str, Form(max_length=8)] = "",
    count: Annotated[str, Form(max_length=8)] = "",
    sex: Annotated[str, Form(max_length=16)] = "",
    life_stage: Annotated[str, Form(max_length=16)] = "",
    behaviour: Annotated[str, Form(max_length=400)] = "",
    comments: Annotated[str, Form(max_length=4000)] = "",
    action: Annotated[str, Form(max_length=64)] = "",
    seen: Annotated[str, Form(max_length=20)] = "",
    next_page: Annotated[str, Form(alias="next", max_length=2000)] = "/review",
    then: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """What somebody says. Plain browsers go on to a page, scripts get the cards as they are now.

    target: of the single view: "sequence:7", "frame:12" or "box:99". then: where to go instead of `next`, once all of
    its pictures are answered.
    """
    speech = speech_of(request)
    with web.readers.read() as connection:
        record = queries.site_taxa(connection, _scope(principal))
    traits = {"sex": sex, "life_stage": life_stage, "behaviour": behaviour, "comments": comments}
    said = said_in_form(what, species, count, traits, speech, record=record, new=bool(new_name))
    counted = bool(count.strip())
    targets = {"sequence": list(sequence or ()), "frame": list(frame or ()), "box": list(box or ())}
    _add_target(targets, target)
    asked = answers.Asked(
        _action_of(action, (said, counted), targets),
        said,
        tuple(targets["sequence"]),
        tuple(targets["frame"]),
        tuple(targets["box"]),
        int(seen) if seen.isascii() and seen.isdigit() else None,
        counted,
    )
    done = answers.answer(web, principal, asked)
    if _is_part(request):
        return _changed(request, web, done, _text_of(said, done, speech))
    more = {"done": done.action, "others": done.others}
    left = done.others or any(row["unreviewed"] for row in done.rows.values())
    return _onward(then if then and not left else next_page, {name: text for name, text in more.items() if text})


@router.post("/review/undo", response_class=Response)
def undo(
    request: Request,
    web: Site,
    principal: Reviewer,
    undone: Annotated[str, Form(max_length=64, pattern=rf"^{ACTION.pattern}$")],
    next_page: Annotated[str, Form(alias="next", max_length=2000)] = "/review",
) -> Response:
    """Take an answer back."""
    done = answers.undo(web, principal, undone)
    if _is_part(request):
        return _changed(request, web, done, speech_of(request).text(mark("Taken back.")))
    return _onward(next_page, {})


@router.post("/review/favourite", response_class=Response)
def favourite(
    request: Request,
    web: Site,
    principal: Reviewer,
    sequence: Annotated[list[Pk] | None, Form()] = None,
    frame: Annotated[int, Form(ge=0, le=2**63 - 1)] = 0,
    favourite: Annotated[str, Form(max_length=4)] = "1",
    next_page: Annotated[str, Form(alias="next", max_length=2000)] = "/review",
) -> Response:
    """Mark a frame, or the best one of each sequence; "0" takes the marks away."""
    on = favourite != "0"
    if not frame and not sequence:
        raise HTTPException(422, speech_of(request).text(answers.NOTHING_MEANT))
    done = answers.favourite(web, principal, frame=frame, of_sequences=() if frame else tuple(sequence or ()), on=on)
    if _is_part(request):
        text = mark("A favourite.") if on else mark("No favourite any more.")
        return _changed(request, web, done, speech_of(request).text(text))
    return _onward(next_page, {})


def _around(
    request: Request, web: Web, connection: Connection, principal: Principal, filters: Filters
) -> dict[str, Any]:
    """What stands around the cards: the species with numbers, what fields offer."""
    speech = speech_of(request)
    taxa = list(queries.site_taxa(connection, _scope(principal)))
    return {
        "numbered": queries.with_numbers(taxa, KEYS),
        "listed": [both_names(each, speech) for each in taxa[:LISTED]],
        "stations": _stations(web, connection, principal, filters),
    }


def _jumps(current: Picture, speech: Speech) -> list[dict[str, Any]]:
    """Where a clip's player jumps to: what is seen first of each kind, then the surest, in the order of time."""
    found: dict[str, Box] = {}
    for box in sorted(current.boxes, key=lambda each: (each.time_s, -each.score)):
        if box.score >= JUMP_SCORE and box.label not in found:
            found[box.label] = box
    return [
        {"time_s": box.time_s, "name": name_of(box.kind, box.taxon, speech), "score": box.score, "kind": box.kind}
        for box in list(found.values())[:JUMPS]
    ]


def _progress(request: Request, web: Web) -> list[queries.Progress]:
    """Of all stations; kept for a while, because it adds up every day of every station."""
    until, rows = getattr(request.app.state, "review_progress", (0.0, []))
    if time.monotonic() > until:
        with web.readers.read() as connection:
            rows = queries.progress(connection)
        request.app.state.review_progress = (time.monotonic() + PROGRESS_S, rows)
    return list(rows)


def _stations(web: Web, connection: Connection, principal: Principal, filters: Filters) -> list[str]:
    """Stations that may be chosen, with those that the address names."""
    asked = (each for each in filters.stations if principal.sees(each))
    return sorted({*station_names(web, connection, principal), *asked})


def _changed(request: Request, web: Web, done: answers.Done, text: str) -> HTMLResponse:
    """The cards of what changed, for a script; what was done stands in headers."""
    speech = speech_of(request)
    with web.readers.read() as connection:
        cards = cards_of(connection, list(done.rows.values()))
    if done.others:
        others = speech.text(mark("{name} answered meanwhile. Both answers are kept, yours counts now."))
        text = f"{text} {others.format(name=done.others)}"
    told: dict[str, Any] = {"text": text, "action": done.action, "loud": bool(done.others)}
    return render(request, "review/changed.html", **words(speech), cards=cards, query="", **told)


def _told(connection: Connection, action: str, principal: Principal, speech: Speech) -> Mapping[str, Any] | None:
    """What was done a page ago, by this person."""
    known = find_action(connection, action) if ACTION.fullmatch(action) else None
    if known is None or known.by != principal.name:
        return None
    past = next((each for each in read_history(connection, known.frames) if each.action == action), None)
    text = name_of(past.kind, past.taxon, speech) if past else ""
    return {"action": action, "undone": bool(known.undone_by), "text": text, "frames": len(known.frames)}


def _text_of(said: Said | Right, done: answers.Done, speech: Speech) -> str:
    right = speech.text(mark("The machine is right"))
    what = right if isinstance(said, Right) else name_of(said.kind, said.taxon, speech)
    return f"{what}: {sequences_said(len(done.rows), speech)}."


def _add_target(targets: dict[str, list[int]], target: str) -> None:
    name, _colon, number = target.partition(":")
    if name in targets and number.isascii() and number.isdigit() and len(number) <= 18:
        targets[name].append(int(number))


def _action_of(form: str, said: tuple[Said | Right, bool], targets: Mapping[str, list[int]]) -> str:
    """A form's action: the same for what is sent twice, another one for another answer from the same page."""
    content = json.dumps([repr(said), targets], sort_keys=True)
    given = form if GIVEN.fullmatch(form) else secrets.token_urlsafe(12)
    return f"{given}.{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _onward(path: str, more: Mapping[str, str]) -> RedirectResponse:
    """To a page of the review and to no other; what was done stands in the query string."""
    page, _mark, query = path.partition("?")
    if re.fullmatch(r"/review(?:/[0-9]{1,19})?", page) is None or not re.fullmatch(r"[\x21-\x7e]*", query):
        page, query = "/review", ""
    parts = [each for each in query.split("&") if each and not each.startswith(("done=", "others="))]
    query = "&".join([*parts, *([urlencode(more)] if more else [])])
    return RedirectResponse(f"{page}?{query}" if query else page, 303)


def _key(web: Web, after: str) -> queries.Key | None:
    if not after:
        return None
    at, pk = cursor.decode(web, LIST, after)
    return at, pk  # type: ignore[return-value]  # because the cursor is signed


def _scope(principal: Principal) -> list[str]:
    """Whose tallies are meant: the whole site's, or those of a person's stations."""
    return [""] if principal.stations is None else sorted(principal.stations)


def _is_part(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"
