"""/v/…: the page behind the link of a message, for whoever has the link: one picture, and what it is about.

No log-in, and nothing else of the site: people on the picture can't be recognised, nobody is named, no link leads on.
The picture has an address below the link's own, and is checked by it.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from edge.errors import DecodeError
from edge.i18n import mark
from edge.links import KEY_FILE, LinkRefused, frame_of, open_signer

from ..media.darkroom import Darkroom, darkroom_of
from ..media.known import Known, read_known
from ..needs import Anyone
from ..page import render
from ..rights import Principal
from ..web import Site, Web
from .cards import words
from .queries import Card, cards_of, of_frame

router = APIRouter()
ANYWHERE = "https://localhost"  # a link is checked by its path alone
PICTURE = "/picture.webp"
PRIVATE = {
    "cache-control": "private, no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow, noarchive",
}


@dataclass(frozen=True, slots=True)
class Shared:
    """What a link shows. card: its encounter, None for a frame of none. holder: the rights that a link gives: none."""

    frame_pk: int
    known: Known
    card: Card | None
    holder: Principal

    @property
    def number(self) -> int:
        """Which picture of the frame."""
        of = self.card.encounter if self.card else None
        numbers = [number for number, _time_s in self.known.pictures]
        best = of.best_number if of is not None and of.best_frame_pk == self.frame_pk else 0
        return best if best in numbers else numbers[0]


@router.get("/v/{signed}", response_class=HTMLResponse)
def shared_page(request: Request, web: Site, _asker: Anyone, signed: str) -> Response:
    """The page of a link. 404 for one that nobody made, 410 for one that has ended."""
    try:
        found = opened(request, web, signed)
    except LinkRefused as exc:
        if exc.why == "forged":
            raise HTTPException(404) from exc
        request.state.principal = None
        return _private(render(request, "now/ended.html", status=410))
    request.state.principal = found.holder
    return _private(render(request, "now/shared.html", found=found, card=found.card, signed=signed, **words()))


@router.get("/v/{signed}/picture.webp", response_class=Response)
async def shared_picture(
    request: Request, web: Site, _asker: Anyone, signed: str, room: Annotated[Darkroom, Depends(darkroom_of)]
) -> Response:
    """Its picture, people hidden whoever asks."""
    try:
        found = await run_in_threadpool(opened, request, web, signed, PICTURE)
        if found.known.original == "deleted":
            raise HTTPException(410)
        body = await run_in_threadpool(room.ready, found.known, "view", found.number)
        body = body or await room.made(found.known, "view", found.number)
    except LinkRefused as exc:
        raise HTTPException(410 if exc.why == "expired" else 404) from exc
    except DecodeError as exc:
        raise HTTPException(404, mark("the picture can't be read any more")) from exc
    return Response(body, headers=PRIVATE, media_type="image/webp")


def opened(request: Request, web: Web, signed: str, below: str = "") -> Shared:
    """What a link leads to. Raises LinkRefused, HTTPException 404 when its frame is gone."""
    if not (web.state_dir / KEY_FILE).exists():
        raise LinkRefused("forged")  # nobody has made a link here, and asking makes no key
    raw = request.scope.get("raw_path") or f"/v/{signed}{below}".encode()
    path = raw.decode("latin-1").partition("?")[0].removesuffix(below)
    path = signer_path(path)
    checked = open_signer(web.state_dir, ANYWHERE).check(path, request.url.query, web.clock.now())
    frame_pk = frame_of(checked)
    with web.readers.read() as connection:
        known = read_known(connection, frame_pk)
        if known is None:
            raise HTTPException(404)
        encounter = of_frame(connection, frame_pk, known.station)
        card = cards_of(connection, [encounter])[0] if encounter else None
    holder = Principal("", "viewer", frozenset(), frozenset({known.station}), via="link")
    return Shared(frame_pk, known, card, holder)


def signer_path(path: str) -> str:
    """From `/v/` on: what a proxy puts before it is no part of what was signed."""
    return path[path.rfind("/v/") :] if "/v/" in path else path


def _private(answer: Response) -> Response:
    answer.headers.update(PRIVATE)
    return answer
