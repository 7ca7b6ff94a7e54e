"""ETags of the API's JSON answers: who has an answer already is told so in 304 and no body.

A strong tag is the hash of the bytes before compression. Routes that change something can ask for the tag of what is
changed: `must_match(request, tag_of(what it is now))`, after their GET set the header `etag` to the same; 412 then
tells that somebody else was quicker.
"""

import hashlib
import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/api/"
JSON = "application/json"


def tag_of(value: Any) -> str:
    """A strong tag of a value that JSON can hold, or of bytes."""
    body = value if isinstance(value, bytes) else json.dumps(jsonable_encoder(value), sort_keys=True).encode()
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def must_match(request: Request, tag: str) -> None:
    """Raises HTTPException 412 when If-Match names other tags than that of what is there now."""
    asked = request.headers.get("if-match")
    if asked is not None and asked.strip() != "*" and tag not in _tags(asked):
        raise HTTPException(412, "it has changed since you read it: read it again")


def is_known(asked: str, tag: str) -> bool:
    """Whether If-None-Match names this tag; compared weakly, as of RFC 9110, 13.1.2."""
    return asked.strip() == "*" or tag in {each.removeprefix("W/") for each in _tags(asked)}


def _tags(text: str) -> set[str]:
    return {each.strip() for each in text.split(",")}


class Etags:
    """Sets the tag of JSON answers to GET below /api/ and answers 304; everything else passes through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. A JSON answer is held until it is whole: lists are paged, so it is short."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(PREFIX):
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def tagged(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                kind = Headers(raw=message["headers"]).get("content-type", "").partition(";")[0]
                if message["status"] == 200 and kind == JSON:
                    start = message
                    return
            if start is None:
                await send(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                await _answer(start, bytes(body), Headers(scope=scope).get("if-none-match", ""), send)

        await self.app(scope, receive, tagged)


async def _answer(start: Message, body: bytes, asked: str, send: Send) -> None:
    headers = MutableHeaders(raw=start["headers"])
    headers.setdefault("etag", tag_of(body))
    if asked and is_known(asked, headers["etag"]):
        del headers["content-length"], headers["content-type"]
        await send({**start, "status": 304, "headers": headers.raw})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({**start, "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})


def install(app: FastAPI) -> None:
    """Before guard.install: inside compression, so that the tag is that of the JSON."""
    app.add_middleware(Etags)
