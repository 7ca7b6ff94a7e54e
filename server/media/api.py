"""/api/v1/frames/{pk}: one frame, and where its animals are over the time of a clip."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException

from ..needs import Viewer
from ..page import speech_of
from ..rights import Principal
from ..web import Site, Web
from .frames import FrameTold, Tracks, told, tracks_of
from .known import Known
from .pages import known_frame

router = APIRouter()
FramePk = Annotated[int, Path(ge=1, le=2**63 - 1, description="The frame's number in this site's record.")]


@router.get("/frames/{frame_pk}", summary="One frame", responses={404: {"description": "No recorded frame of yours."}})
def frame(request: Request, web: Site, principal: Viewer, frame_pk: FramePk) -> FrameTold:
    """What the machine and people said of a frame, and where its pictures are."""
    known = _found(web, principal, frame_pk)
    with web.readers.read() as connection:
        return told(connection, known, speech_of(request), principal)


@router.get(
    "/frames/{frame_pk}/tracks",
    summary="Boxes over time",
    responses={404: {"description": "No recorded frame of yours."}},
)
def tracks(request: Request, web: Site, principal: Viewer, frame_pk: FramePk) -> Tracks:
    """The pictures of a clip that were looked at, with the boxes on each; of a still its only one."""
    known = _found(web, principal, frame_pk)
    with web.readers.read() as connection:
        return tracks_of(connection, known, speech_of(request))


def _found(web: Web, principal: Principal, frame_pk: int) -> Known:
    known = known_frame(web, principal, frame_pk)
    if known is None:
        raise HTTPException(404)
    return known
