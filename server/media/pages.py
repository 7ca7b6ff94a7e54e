"""/media: derived pictures, people hidden whoever asks; the open ones and originals by right and written down.

Nothing of a path comes from an address: it has a frame's number, a size's name and a picture's number.
"""

import os
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from edge.errors import DecodeError
from edge.i18n import mark

from ..needs import Lacks, Unblurring, Viewer, WithOriginals
from ..rights import Principal
from ..web import Site, Web
from .darkroom import Darkroom, darkroom_of
from .derive import SIZES, key_of
from .known import Known, read_known
from .looking import note_seen
from .originals import NotThere, disposition, original_of
from .placeholder import GONE, MISSING, UNKNOWN, UNREADABLE, placeholder

router = APIRouter()
FramePk = Annotated[int, Path(ge=1, le=2**63 - 1)]
Number = Annotated[int, Path(ge=0, le=2**31 - 1)]
Room = Annotated[Darkroom, Depends(darkroom_of)]
WAIT_S = 6.0  # for a clip that is being made, before the answer is that it is: short ones are there by then
AGAIN_S = 3
# Browsers keep a picture and ask each time whether it is still so, which is a few hundred bytes: somebody may have
# been marked on it since, or the reader have logged out.
CACHE = "private, no-cache"


@router.get("/media/{frame_pk}/open-{size}-{number}.webp", response_class=Response)
async def open_picture(
    request: Request, web: Site, principal: Unblurring, room: Room, frame_pk: FramePk, size: str, number: Number
) -> Response:
    """A picture on which people can be recognised. That somebody looked is written down first."""
    known = await run_in_threadpool(known_frame, web, principal, frame_pk)
    if known is None or size not in SIZES or known.time_of(number) is None:
        return placeholder(request, UNKNOWN, 404)
    if known.original in {"withheld", "deleted"}:
        return placeholder(request, GONE, 410)
    await run_in_threadpool(note_seen, web, principal, known, "picture")
    try:
        body = await room.made_open(known, size, number)
    except DecodeError:
        return _not_read(request, known)
    return Response(body, headers={"cache-control": "no-store"}, media_type="image/webp")


@router.get("/media/{frame_pk}/{size}-{number}.webp", response_class=Response)
async def picture(
    request: Request, web: Site, principal: Viewer, room: Room, frame_pk: FramePk, size: str, number: Number
) -> Response:
    """A derived picture, people hidden."""
    known = await run_in_threadpool(known_frame, web, principal, frame_pk)
    if known is None or size not in SIZES or known.time_of(number) is None:
        return placeholder(request, UNKNOWN, 404)
    if known.original == "deleted":
        await run_in_threadpool(room.kept.forget_frame, known.pk)
        return placeholder(request, GONE, 410)
    tag = f'"{key_of(known, size, number)}"'
    headers = {"etag": tag, "cache-control": CACHE}
    if is_same(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    body = await run_in_threadpool(room.ready, known, size, number)
    if body is None:
        try:
            body = await room.made(known, size, number)
        except DecodeError:
            return _not_read(request, known)
    return Response(body, headers=headers, media_type="image/webp")


@router.get("/media/{frame_pk}/clip.mp4", response_class=Response)
async def clip(request: Request, web: Site, principal: Viewer, room: Room, frame_pk: FramePk) -> Response:
    """A clip that browsers play, people hidden; 202 while it is being made. Ranges are answered."""
    known = await run_in_threadpool(known_frame, web, principal, frame_pk)
    if known is None or known.kind != "clip":
        raise HTTPException(404)
    if known.original == "deleted":
        await run_in_threadpool(room.kept.forget_frame, known.pk)
        raise HTTPException(410)
    path = room.projector.path_of(known)
    status = await run_in_threadpool(_status_of, path)
    if status is None:
        try:
            made = await room.projector.within(known, WAIT_S)
        except DecodeError as exc:
            raise HTTPException(404, mark("its file is gone or damaged")) from exc
        status = await run_in_threadpool(_status_of, path) if made else None
    if status is None:
        headers = {"retry-after": str(AGAIN_S), "cache-control": "no-store"}
        return JSONResponse({"state": "being made"}, 202, headers)
    await run_in_threadpool(room.kept.used, path, status.st_mtime)
    headers = {"etag": f'"{path.name}"', "cache-control": CACHE}
    if is_same(request.headers.get("if-none-match", ""), headers["etag"]):
        return Response(status_code=304, headers=headers)
    kind = "video/mp4" if path.suffix == ".mp4" else "video/webm"
    return FileResponse(path, headers=headers, media_type=kind, stat_result=status)


@router.get("/media/{frame_pk}/original", response_class=Response)
def original(web: Site, principal: WithOriginals, frame_pk: FramePk) -> Response:
    """The file as it came. One that shows people is for those who may see them, which is written down."""
    known = known_frame(web, principal, frame_pk)
    if known is None:
        raise HTTPException(404)
    if known.original in {"withheld", "deleted"}:
        gone = mark("the original was deleted, because it shows people")
        kept = mark("the original is withheld, because it shows people")
        raise HTTPException(410, gone if known.original == "deleted" else kept)
    if known.people and not principal.may("unblur"):
        raise Lacks("unblur")
    try:
        path, status, kind = original_of(known)
    except NotThere as exc:
        raise HTTPException(404, mark("the file is not where it was")) from exc
    note_seen(web, principal, known, "original")
    headers = {
        "content-disposition": disposition(known.name),
        "etag": f'"{known.sha256[:32]}"',
        "cache-control": "no-store" if known.people else CACHE,
        "content-security-policy": "default-src 'none'; sandbox",
    }
    return FileResponse(path, headers=headers, media_type=kind, stat_result=status)


def _status_of(path: FilePath) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def known_frame(web: Web, principal: Principal, frame_pk: int) -> Known | None:
    """A frame that this person may know of; None for others, as if they were not there."""
    with web.readers.read() as connection:
        known = read_known(connection, frame_pk)
    return known if known is not None and principal.sees(known.station) else None


def is_same(if_none_match: str, tag: str) -> bool:
    """Whether the browser has this very picture (RFC 9110, 13.1.2: compared weakly)."""
    named = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return tag in named or "*" in named


def _not_read(request: Request, known: Known) -> Response:
    there = str(known.path) not in {"", "."} and known.path.exists()
    return placeholder(request, UNREADABLE if there else MISSING, 404)
