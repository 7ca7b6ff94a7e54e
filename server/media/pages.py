"""/media: derived pictures, people hidden whoever asks; the open ones and originals by right and written down.

Nothing of a path comes from an address: it has a frame's number, a size's name and a picture's number.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from edge.errors import DecodeError

from ..needs import Unblurring, Viewer
from ..rights import Principal
from ..web import Site, Web
from .darkroom import Darkroom, darkroom_of
from .derive import SIZES, key_of
from .known import Known, read_known
from .looking import note_seen
from .placeholder import GONE, MISSING, UNKNOWN, UNREADABLE, placeholder

router = APIRouter()
FramePk = Annotated[int, Path(ge=1, le=2**63 - 1)]
Number = Annotated[int, Path(ge=0, le=2**31 - 1)]
Room = Annotated[Darkroom, Depends(darkroom_of)]
# An hour without asking, and a week in which the old one is shown while the new one is asked for: pages on a bad link.
# What is hidden may change, but who got a picture has seen it.
CACHE = "private, max-age=3600, stale-while-revalidate=604800"


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
