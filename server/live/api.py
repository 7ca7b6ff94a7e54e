"""GET /api/v1/events: what happens, for programs."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response

from ..needs import Viewer
from ..web import Site
from .stream import LONGEST_S, EventStream

router = APIRouter()
LONGEST_ID = 64
ABOUT = (
    "Server-sent events: `encounter` (new, or changed), `frame` (observations recorded), `alert` (queued, sent, "
    "failed, acknowledged), `station` (online, silent), `quarantine`, `summary` (sums of a day are new) and `reset` "
    "(too much was missed: ask the lists again). Each has an id; send the last one as `Last-Event-ID` to go on there. "
    "Where nothing happens, `alive` comes each 15 seconds. A stream ends after ten minutes at most: connect again."
)


@router.get(
    "/events",
    summary="What happens, as it happens",
    description=ABOUT,
    response_class=Response,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The stream."},
        503: {"description": "Too many are watching: come again after `Retry-After` seconds."},
    },
)
async def events(
    web: Site,
    principal: Viewer,
    last_event_id: Annotated[str, Header(max_length=LONGEST_ID)] = "",
    seconds: Annotated[
        float, Query(ge=0, le=LONGEST_S, description="End the stream after so many seconds.")
    ] = LONGEST_S,
) -> EventStream:
    """The stream of one program."""
    after, who = last_event_id, principal.name
    return EventStream(web.live, principal.stations, language="", after=after, who=who, longest_s=seconds)
