"""Where Twilio calls back: answers of people, and what became of messages. Everything without its signature is refused.

A small HTTP server behind the site's own proxy, bounded in time, size and threads: `URL/answers` and `URL/status` take
POSTs that Twilio signed with the account's token, `URL/pictures/NAME.jpg` gives a picture put on the shelf for it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edge.api import RetryableError, Services

from .twilio_account import Callback
from .twilio_answers import Inbox
from .twilio_pictures import Shelf

MOST_BYTES = 64_000  # of a call; Twilio's have about 1 kB, and a text 1600 characters
MOST_FIELDS = 100
MOST_CALLS = 8  # at once; others are told to come back
LONGEST_S = 15.0  # a call, whatever happens; Twilio waits as long
SIGNATURE = "X-Twilio-Signature"
XML, PLAIN, JPEG = "text/xml; charset=utf-8", "text/plain; charset=utf-8", "image/jpeg"


class Form(dict[str, list[str]]):
    """A form's fields in the shape that Twilio's RequestValidator reads: a name may stand there twice."""

    def getlist(self, name: str) -> list[str]:
        """All values of a field."""
        return self.get(name, [])

    def one(self, name: str) -> str:
        """The first value of a field, "" without one."""
        return self.get(name, [""])[0]


@dataclass(slots=True)
class Desk:
    """What the server does with calls. forged: how many had no right signature. note: (message, status, error code)."""

    callback: Callback
    token: Any = field(repr=False)  # a SecretText
    inbox: Inbox
    note: Callable[[str, str, int | None], None]
    write: Callable[[str], str]
    shelf: Shelf
    services: Services
    forged: int = 0

    def take(self, path: str, query: str, signature: str, body: bytes) -> tuple[HTTPStatus, str, str]:
        """Status, content type and text of the answer to one POST. path: its last part tells what it is about."""
        name = path.rpartition("/")[2]
        if name not in {"answers", "status"}:
            return HTTPStatus.NOT_FOUND, PLAIN, ""
        try:
            form = Form(parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
        except ValueError:
            return HTTPStatus.BAD_REQUEST, PLAIN, ""
        if not self._is_signed(name, query, signature, form):
            return HTTPStatus.FORBIDDEN, PLAIN, ""
        if name == "status":
            code = form.one("ErrorCode")
            self.note(form.one("MessageSid"), form.one("MessageStatus"), int(code) if code.isdecimal() else None)
            return HTTPStatus.NO_CONTENT, PLAIN, ""
        return self._hear(form)

    def _is_signed(self, name: str, query: str, signature: str, form: Form) -> bool:
        """Whether Twilio sent it: by the address it was told, not by what the call says of itself (Host, scheme)."""
        from twilio.request_validator import RequestValidator  # noqa: PLC0415  # because few sites have a call-back

        address = f"{self.callback.url}/{name}" + (f"?{query}" if query else "")
        if RequestValidator(self.token.expose()).validate(address, form, signature):
            return True
        self.forged += 1
        if self.forged == 1 or self.forged % 100 == 0:
            self.services.log.warning("answers.forged", count=self.forged, address=address[:200])
        return False

    def _hear(self, form: Form) -> tuple[HTTPStatus, str, str]:
        from twilio.twiml.messaging_response import MessagingResponse  # noqa: PLC0415  # because few sites need it

        now = datetime.now(UTC)
        try:
            text = self.inbox.take(form.one("MessageSid"), form.one("From"), form.one("Body"), at=now)
        except RetryableError as exc:
            self.services.log.warning("answers.deferred", channel=self.inbox.channel, reason=str(exc))
            return HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, ""
        answer = MessagingResponse()
        if text:
            answer.message(self.write(text))
        return HTTPStatus.OK, XML, str(answer)


class Handler(BaseHTTPRequestHandler):
    """One call."""

    timeout = 10.0  # for each piece of it
    server_version, sys_version = "tigrillo", ""
    server: "Server"

    def do_POST(self) -> None:
        """An answer or a status."""
        told = self.headers.get("Content-Length", "")
        if not (told.isascii() and told.isdigit()) or int(told) > MOST_BYTES:
            self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, PLAIN, b"")
            return
        body = self.rfile.read(int(told))
        url = urlsplit(self.path)
        status, kind, text = self.server.desk.take(url.path, url.query, self.headers.get(SIGNATURE, ""), body)
        self._say(status, kind, text.encode())

    def do_GET(self) -> None:
        """A picture."""
        *_rest, folder, name = ["", *urlsplit(self.path).path.split("/")]
        picture = self.server.desk.shelf.get(name) if folder == "pictures" else None
        if picture is None:
            self._say(HTTPStatus.NOT_FOUND, PLAIN, b"")
        else:
            self._say(HTTPStatus.OK, JPEG, picture)

    do_HEAD = do_GET  # noqa: N815  # because http.server calls it so; Twilio looks at the type first

    def _say(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.close_connection = True
        self.send_response(status)
        if body:
            self.send_header("Content-Type", kind)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # because http.server calls it so
        """Nothing: whoever finds the port must not fill the log."""


class Server(ThreadingHTTPServer):
    """At most MOST_CALLS calls at once, each LONGEST_S at most."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._free = threading.BoundedSemaphore(MOST_CALLS)
        super().__init__((desk.callback.listen, desk.callback.port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a call in a thread of its own, or say that all are busy."""
        if not self._free.acquire(blocking=False):
            with _unbothered():
                request.sendall(b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Take a call; cut it off when it takes too long."""
        watch = threading.Timer(LONGEST_S, _hang_up, (request,))
        watch.daemon = True
        watch.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            watch.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # because socketserver calls it so
        """A caller that went away or was cut off is nothing to print a traceback for."""
        self.desk.services.log.debug("answers.broken_call", address=str(client_address[0]))


@contextmanager
def serving(desk: Desk) -> Iterator[None]:
    """The server in a thread of its own. Raises OSError when the port can't be had."""
    server = Server(desk)
    thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="twilio-callback", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _unbothered() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


def _hang_up(request: socket) -> None:
    with _unbothered():
        request.shutdown(SHUT_RDWR)
