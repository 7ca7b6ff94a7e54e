"""GET /events: what happens, for the pages; GET /live.js comes with the other static files."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from ..needs import Viewer
from ..page import speech_of
from ..web import Site
from .stream import EventStream

router = APIRouter()
LONGEST_ID = 64


@router.get("/events", response_class=Response)
async def events(
    request: Request,
    web: Site,
    principal: Viewer,
    last_event_id: Annotated[str, Header(max_length=LONGEST_ID)] = "",
    last: Annotated[str, Query(max_length=LONGEST_ID)] = "",
) -> EventStream:
    """The stream of this browser. last: as the header, for one that begins a stream anew after a pause."""
    language = speech_of(request).language
    after = last_event_id or last
    return EventStream(web.live, principal.stations, language=language, after=after, who=principal.name)
