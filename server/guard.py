"""What holds for every answer: safe headers, a bound on bodies, the time it took. Plain ASGI: streams must stream.

A body has a bound in bytes, and one in time that grows with what has come: who sends less than LEAST_BYTES_S keeps a
place that others need. What a route makes of a body that was cut off does not matter: the answer is 413 or 408.
"""

import asyncio
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 2_000_000  # of a body; uploads have a bound of their own (server/upload)
UPLOADS = "/api/v1/uploads/"
FIRST_S = 60.0  # before the rate counts: a phone that changes cells is silent for so long
LEAST_BYTES_S = 500  # a tenth of what GPRS carries
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
Refusal = Callable[[Request, int], Response]
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Adds the headers; answers 413 to a body that is too long, whether or not it says so, 408 to one that trickles.

    refusal: makes that answer.
    """

    def __init__(self, app: ASGIApp, refusal: Refusal) -> None:
        self.app = app
        self.refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        body = Body(receive, most=None if scope["path"].startswith(UPLOADS) else MOST_BYTES)
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if body.refused and not begun:
                raise RefusedError(body.refused)
            begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "private, no-cache")
                headers["server-timing"] = f"app;dur={(time.perf_counter() - started) * 1000:.1f}"
                if scope["scheme"] == "https":
                    headers.setdefault("strict-transport-security", "max-age=31536000")
            await send(message)

        length = _header(scope, b"content-length")
        if body.most is not None and length.isdigit() and int(length) > body.most:
            await self._refuse(scope, guarded, 413)
            return
        try:
            await self.app(scope, body.receive, guarded)
        except RefusedError as refused:
            if not begun:
                body.refused = 0
                await self._refuse(scope, guarded, refused.status)

    async def _refuse(self, scope: Scope, send: Send, status: int) -> None:
        """And hang up: the rest of the body is not read."""
        answer = self.refusal(Request(scope), status)
        answer.headers["connection"] = "close"
        await answer(scope, _nothing_more, send)


class Body:
    """A request's body as it comes. most: bytes, None where the route has a bound. refused: the status, 0 for none."""

    def __init__(self, receive: Receive, *, most: int | None) -> None:
        self._receive = receive
        self.most = most
        self.refused = 0
        self._seen = 0
        self._is_whole = False
        self._began = time.monotonic()

    async def receive(self) -> Message:
        """The next of it. Raises RefusedError when it is too long; one that trickles is cut off."""
        if self._is_whole:
            return await self._receive()  # what comes now is the end of the connection: streams wait for it
        left_s = self._began + FIRST_S + self._seen / LEAST_BYTES_S - time.monotonic()
        try:
            async with asyncio.timeout(left_s):
                message = await self._receive()
        except TimeoutError:
            self.refused = 408
            return {"type": "http.disconnect"}  # who keeps what has come of a broken upload keeps this, too
        self._seen += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self.most is not None and self._seen > self.most:
            self.refused = 413
            raise RefusedError(413)
        return message


class RefusedError(Exception):
    """A body is not taken. status: 413, too long; 408, too slow."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


def _header(scope: MutableMapping[str, Any], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}


def install(app: FastAPI, refusal: Refusal) -> None:
    """Put the guard around the app, and gzip inside it (never around event streams or pictures)."""
    app.add_middleware(GZipMiddleware, minimum_size=500, compresslevel=6)
    app.add_middleware(Guard, refusal=refusal)
