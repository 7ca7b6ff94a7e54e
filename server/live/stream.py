"""One event stream: what its hub tells, as `text/event-stream` (WHATWG HTML, section 9.2), until its reader goes."""

import json
import time
from typing import Any

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .hub import Hub, News, Stream, TooManyError

# nginx gives up on 60 s of silence, telephone networks on less; and static/live.js takes a line that is silent for
# longer for a dead one, so that it is an event: scripts do not see comments.
KEEP_ALIVE_S = 15.0
LONGEST_S = 600.0  # then the reader comes again, and is asked again who they are
AGAIN_S = 30  # when too many watch
RETRY_MS = 3000
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",  # nginx, and what understands its word
}


class EventStream(Response):
    """The answer. stations, language, after, who: as of `Hub.watching`. longest_s: what the reader wants at most."""

    media_type = "text/event-stream"

    def __init__(
        self,
        hub: Hub,
        stations: frozenset[str] | None,
        *,
        language: str,
        after: str,
        who: str = "",
        longest_s: float = LONGEST_S,
    ) -> None:
        super().__init__()
        self.hub, self.stations, self.language, self.after, self.who = hub, stations, language, after, who
        self.longest_s = min(longest_s, LONGEST_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the reader hangs up, the hub closes, or it has been long enough."""
        try:
            watching = self.hub.watching(self.stations, language=self.language, after=self.after, who=self.who)
            with watching as stream:
                async with anyio.create_task_group() as both:

                    async def hang_up() -> None:
                        while (await receive())["type"] != "http.disconnect":
                            pass
                        both.cancel_scope.cancel()

                    both.start_soon(hang_up)
                    await self._pump(stream, send)
                    both.cancel_scope.cancel()
        except TooManyError:
            busy = Response("too many are watching: try again\n", 503, {"retry-after": str(AGAIN_S)}, "text/plain")
            await busy(scope, receive, send)

    async def _pump(self, stream: Stream, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        # an id at once, so that one who loses the line before the first news knows where to go on
        reached = self.hub.id_reached(stream, self.after)
        await _send(send, f"retry: {RETRY_MS}\nid: {reached}\nevent: ready\ndata: {{}}\n\n")
        until_s = time.monotonic() + self.longest_s
        while not self.hub.is_closed and not stream.ended and (left_s := until_s - time.monotonic()) > 0:
            if found := stream.take():
                await _send(send, "".join(self._event(news) for news in found))
                continue
            await stream.wait(min(KEEP_ALIVE_S, left_s))
            reached = self.hub.id_reached(stream, self.after)
            if not self.hub.is_closed and not stream.ended and stream.first is None:
                await _send(send, f"id: {reached}\nevent: alive\ndata: {{}}\n\n")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _event(self, news: News) -> str:
        values: dict[str, Any] = {"station": news.station, **news.data} if news.kind != "reset" else {}
        if self.language in news.html:
            values["html"] = news.html[self.language]
        body = json.dumps(values, ensure_ascii=False, separators=(",", ":"))  # one line: JSON has no line breaks
        return f"id: {self.hub.id_of(news)}\nevent: {news.kind}\ndata: {body}\n\n"


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
