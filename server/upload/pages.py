"""/upload: send a card or a folder, see what became of what was sent. Without JS a plain form with files."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.datastructures import UploadFile as Sent
from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.wire import CLIP_SUFFIXES, STILL_SUFFIXES

from ..needs import Uploader
from ..now.names import station_names
from ..page import render
from ..rights import Principal
from ..web import Site, Web
from .api import Desk, Id
from .desk import MOST_CHUNK, Progress, UploadDesk
from .queries import looked_at
from .shapes import FileTold, NamedFile
from .telling import checked_station, seen_by, take_down

MOST_FORM = 300_000_000  # bytes of a form that comes without JS: all of it in one request
MOST_FORM_FILES = 1000
PIECE = 1_000_000
LISTED, REFUSED_LISTED = 20, 500
MOST_LOOKED = 10_000  # files of an upload whose frames are counted
FORM = "/api/v1/uploads/form"  # below it bodies may be long (server/guard.py)

FAULTS = {
    "too-long": mark("This is too much for one form: send fewer files, or turn JavaScript on."),
    "no-files": mark("Choose a folder or files first."),
    "station": mark(
        "This is no station's name: letters, digits, '_', '-' and '.' only, at most 64; or it is not yours."
    ),
    "no-room": mark("There is no room for this: wait until what was sent before is taken in, or send less."),
    "busy": mark("You have too many open uploads: finish or cancel some."),
}
STATES = {
    "open": mark("being sent"),
    "finished": mark("sent"),
    "cancelled": mark("cancelled"),
    "done": mark("taken in"),
    "taking": mark("being taken in"),
}

router = APIRouter()


@router.get("/upload", response_class=HTMLResponse)
def page(
    request: Request,
    web: Site,
    desk: Desk,
    principal: Uploader,
    fault: Annotated[str, Query(max_length=20)] = "",
    resume: Annotated[str, Query(max_length=24, pattern="^[0-9a-f]*$")] = "",
    station: Annotated[str, Query(max_length=64)] = "",
) -> HTMLResponse:
    """Choose a station and files; below, what was sent before. station: what stands in the field."""
    going_on = desk.upload(principal, resume) if resume else None
    return render(
        request,
        "upload/page.html",
        stations=_stations(web, principal),
        station=station,
        suffixes=",".join(sorted(STILL_SUFFIXES | CLIP_SUFFIXES)),
        fault=FAULTS.get(fault, ""),
        going_on=going_on if going_on and going_on.state == "open" else None,
        most_chunk=MOST_CHUNK,
        most_form=MOST_FORM,
        form=FORM,
        texts=TEXTS,
        **_listed(desk, principal),
    )


@router.get("/upload/list", response_class=HTMLResponse)
def uploads_list(request: Request, desk: Desk, principal: Uploader) -> HTMLResponse:
    """The list alone, which the page asks for anew while something happens."""
    return render(request, "upload/list.html", **_listed(desk, principal))


@router.get("/upload/{upload_id}", response_class=HTMLResponse)
def one(request: Request, web: Site, desk: Desk, principal: Uploader, upload_id: Id) -> HTMLResponse:
    """One upload: what was taken, what was here already, what was refused and why."""
    upload = desk.upload(principal, upload_id)
    refused = desk.book.files(upload.id, states=["refused"], limit=REFUSED_LISTED)
    missing = desk.book.files(upload.id, states=["waiting", "dropped"], limit=REFUSED_LISTED)
    here = desk.book.files(upload.id, states=["taken", "known"], limit=MOST_LOOKED)
    with web.readers.read() as connection:
        looked = looked_at(connection, here)
    values: dict[str, Any] = {"far": desk.progress(upload), "refused": refused, "missing": missing, "looked": looked}
    values |= {"more": MOST_LOOKED if len(here) == MOST_LOOKED else 0, "states": STATES, "state": _state}
    return render(request, "upload/one.html", **values)


@router.post("/upload/{upload_id}/cancel")
def cancel(desk: Desk, principal: Uploader, upload_id: Id) -> Response:
    """What has not come whole is dropped."""
    desk.cancel(desk.upload(principal, upload_id))
    return RedirectResponse("/upload", 303)


@router.post("/upload/{upload_id}/finish")
def finish(desk: Desk, principal: Uploader, upload_id: Id) -> Response:
    """What has not come stays away."""
    desk.finish(desk.upload(principal, upload_id))
    return RedirectResponse(f"/upload/{upload_id}", 303)


async def short_enough(request: Request) -> None:
    """Before anything reads the form: it says its length, and that is not too much. Leads back to the page."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MOST_FORM:
        raise HTTPException(303, "the form is too long", {"location": "/upload?fault=too-long"})


@router.post(FORM, dependencies=[Depends(short_enough)])
async def form(request: Request, desk: Desk, principal: Uploader) -> Response:
    """Files of a plain form, in one go."""
    sent = await request.form(max_files=MOST_FORM_FILES)
    try:
        address = await run_in_threadpool(_take_form, request, desk, principal, sent)
    finally:
        await sent.close()
    return RedirectResponse(address, 303)


def _take_form(request: Request, desk: UploadDesk, principal: Principal, sent: FormData) -> str:
    """Where to go then."""
    files = [each for each in sent.getlist("files") if isinstance(each, Sent) and each.filename]
    station = sent.get("station", "")
    if not files:
        return "/upload?fault=no-files"
    try:
        upload = desk.begin(principal, checked_station(principal, station if isinstance(station, str) else ""))
    except HTTPException as exc:
        return "/upload?fault=" + ("busy" if exc.status_code == 409 else "station")
    named = [NamedFile(name=(each.filename or "")[:2000], size=each.size or 0) for each in files]
    try:
        told = take_down(request, desk, principal, upload, named)
        for each, answer in zip(files, told, strict=True):
            _keep(desk, upload.id, each, answer)
    except HTTPException:
        desk.cancel(upload)
        return "/upload?fault=no-room"
    desk.finish(upload)
    return f"/upload/{upload.id}"


def _keep(desk: UploadDesk, upload: str, sent: Sent, told: FileTold) -> None:
    file = desk.book.file(upload, told.number) if told.number is not None else None
    if file is None or file.state != "waiting":
        return
    offset = 0
    with desk.alone(file):
        while piece := sent.file.read(PIECE):
            offset = desk.append(file, offset, piece)
        if offset == file.size:
            desk.complete(file, "")


def _listed(desk: UploadDesk, principal: Principal) -> dict[str, Any]:
    found = [desk.progress(each) for each in seen_by(desk, principal, limit=LISTED)]
    return {"uploads": found, "states": STATES, "state": _state, "moves": any(not each.is_over for each in found)}


def _state(far: Progress) -> str:
    """Of an upload, a key of STATES."""
    upload, files = far.upload, far.files
    if upload.state == "open":
        return "open"
    if any(files.get(each) for each in ("whole", "taking")):
        return "taking"
    return "done" if upload.state == "finished" else "cancelled"


def _stations(web: Web, principal: Principal) -> list[str]:
    """Names to choose from."""
    with web.readers.read() as connection:
        return station_names(web, connection, principal)


# What static/upload.js says; {…} is filled in there.
TEXTS = {
    "reading": mark("Looking through the folder …"),
    "nothing": mark("There is no picture or video in it."),
    "chosen": mark("{files} files, {size}"),
    "skipped": mark("{count} left out: {reason}"),
    "sending": mark("{done} of {total} files · {here} of {size} · {rate}/s · {left} to go"),
    "whole": mark("{total} files, {size}"),
    "checking": mark("Checking what is here already …"),
    "paused": mark("Paused. What was sent stays; you may also go on later with the same folder."),
    "lost": mark("No connection. It goes on by itself when there is one again."),
    "failed": mark("This can't be sent: {reason}"),
    "ended": mark("This upload was ended elsewhere. Send again to begin another; what came whole is not sent twice."),
    "done": mark("All is sent. It is being taken in; you may close this page."),
    "again": mark("Choose the same folder again: what was sent before is not sent twice."),
    "pause": mark("Pause"),
    "resume": mark("Go on"),
    "start": mark("Send"),
    "minutes": mark("{count} minutes"),
    "hours": mark("{count} hours"),
    "seconds": mark("{count} seconds"),
    "station": mark("Station {name}: {count} files"),
    "need": mark("Say whose pictures these are."),
    "unread": mark("{count} files could not be read: is the card still in?"),
}
