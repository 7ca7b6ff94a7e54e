"""The enrolment: a small HTTPS server where a Pi changes its token for a certificate, and an old certificate for a new.

    GET  /v1/ca       → the authority's certificate; the Pi compares it with its token before it says anything
    POST /v1/enroll   {"token": secret, "csr": PEM}          → {"station", "certificate", "ca", "broker": {host, port}}
    POST /v1/renew    {"csr": PEM}, over mutual TLS          → the same

Standard library only. It faces a network, so everything is bounded: bytes, seconds, connections, tries.
"""

import base64
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from ..errors import EdgeError, FatalError
from ..i18n import _
from ..services import Log
from .book import TokenRefused
from .desk import Denied, Desk, Granted

MOST_BODY_BYTES = 16_384  # a request for a P-256 key has 500
MOST_READ_BYTES = 262_144  # of a larger one, before it is refused
TIMEOUT_S = 10.0  # of a whole request, and of the handshake before it
MOST_CONNECTIONS = 8  # at once
# Tries within a minute, from one address and from all. 80 bits of secret would do; this keeps log and CPU quiet.
TRIES, ALL_TRIES, MINUTE_S = 10, 60, 60.0


@dataclass(slots=True)
class Tries:
    """How often somebody may ask."""

    _all: deque[tuple[float, str]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def allow(self, address: str, now_s: float) -> bool:
        """Whether this address may ask now; counts it when it may. At most ALL_TRIES are remembered."""
        with self._lock:
            while self._all and now_s - self._all[0][0] > MINUTE_S:
                self._all.popleft()
            if len(self._all) >= ALL_TRIES or sum(each == address for _at, each in self._all) >= TRIES:
                return False
            self._all.append((now_s, address))
            return True


class _Refusal(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Counter:
    """What the handlers share. broker: (host, port) that stations are told."""

    desk: Desk
    broker: tuple[str, int]
    log: Log
    tries: Tries = field(default_factory=Tries)

    def answer(self, path: str, body: bytes, peer: x509.Certificate | None) -> Granted:
        """The certificate that a request gets. Raises _Refusal."""
        request = _read(body)
        csr = request.get("csr")
        if not isinstance(csr, str):
            raise _Refusal(400, _("the request has no `csr`"))
        try:
            if path == "/v1/enroll":
                return self.desk.enroll(_secret(request.get("token")), csr)
            if peer is None:
                raise _Refusal(403, _("to renew, show the certificate that is to be renewed"))
            return self.desk.renew(f"{peer.serial_number:040x}", _common_name(peer), csr)
        except (TokenRefused, Denied) as exc:
            raise _Refusal(403, str(exc)) from exc
        except EdgeError as exc:
            raise _Refusal(503, str(exc)) from exc


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    timeout = TIMEOUT_S
    server_version, sys_version = "tigrillo", ""

    def do_GET(self) -> None:
        if self.path != "/v1/ca":
            self._say(404, {"error": "not found"})
            return
        self._say(200, {"ca": self.server.counter.desk.authority.pem})

    def do_POST(self) -> None:
        counter, address = self.server.counter, str(self.client_address[0])
        try:
            granted = self._granted(counter, address)
        except _Refusal as exc:
            counter.log.warning("station.denied", path=self.path[:40], address=address, reason=str(exc))
            self._say(exc.status, {"error": str(exc)})
            return
        way = self.path.rpartition("/")[2]
        counter.log.info("station.granted", way=way, station=granted.station, address=address)
        host, port = counter.broker
        self._say(
            200,
            {
                "station": granted.station,
                "certificate": granted.certificate,
                "ca": granted.ca,
                "broker": {"host": host, "port": port},
            },
        )

    def _granted(self, counter: Counter, address: str) -> Granted:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise _Refusal(411, "Content-Length is missing")
        size = int(length[:9])
        # also of what is refused: closed before it was read, a connection may lose the answer on its way
        body = self.rfile.read(min(size, MOST_READ_BYTES))
        if self.path not in ("/v1/enroll", "/v1/renew"):
            raise _Refusal(404, "not found")
        if not counter.tries.allow(address, time.monotonic()):
            raise _Refusal(429, _("too many tries: wait a minute"))
        if len(length) > 9 or size > MOST_BODY_BYTES:
            raise _Refusal(413, f"at most {MOST_BODY_BYTES} bytes")
        peer = self.connection.getpeercert(binary_form=True) if isinstance(self.connection, ssl.SSLSocket) else None
        return counter.answer(self.path, body, x509.load_der_x509_certificate(peer) if peer else None)

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # because http.server calls it so
        """Nothing: what matters is logged above, and a request's line may hold anything."""


class _Server(ThreadingTCPServer):  # not http.server's: that one asks the DNS for its own name
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, address: tuple[str, int], counter: Counter, context: ssl.SSLContext) -> None:
        self.counter = counter
        self._context = context
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection while there is room; else it is closed."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The handshake here, not where connections are accepted: one that is silent must stop nobody else."""
        try:
            request.settimeout(TIMEOUT_S)
            try:
                secured = self._context.wrap_socket(request, server_side=True)
            except OSError as exc:
                self.counter.log.debug("enrolment.handshake", address=str(client_address[0]), reason=str(exc))
                self.shutdown_request(request)
                return
            closer = threading.Timer(TIMEOUT_S * 2, secured.close)  # a body that drips has no time-out of its own
            closer.daemon = True
            closer.start()
            try:
                super().process_request_thread(secured, client_address)
            finally:
                closer.cancel()
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # because socketserver calls it so
        """A connection that broke; there is nobody to tell."""
        self.counter.log.debug("enrolment.broken", address=str(client_address[0]))


@contextmanager
def open_enrolment(desk: Desk, *, listen: str, port: int, broker: tuple[str, int], log: Log) -> Iterator[int]:
    """Answer at this address while the context lasts; gives the port. Raises FatalError when it is taken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(desk.folders.broker_certificate, desk.folders.broker_key)
    context.load_verify_locations(desk.folders.ca)
    context.verify_mode = ssl.CERT_OPTIONAL  # to renew, a station shows its certificate; to enroll, it has none
    try:
        server = _Server((listen, port), Counter(desk, broker, log), context)
    except OSError as exc:
        raise FatalError(
            _("enrolment: {address}:{port} can't be listened on: {reason}").format(
                address=listen or "*", port=port, reason=exc.strerror
            )
        ) from exc
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="enrolment", daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _read(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise _Refusal(400, _("the request is not JSON")) from exc
    if not isinstance(request, dict):
        raise _Refusal(400, _("the request is not JSON"))
    return request


def _secret(text: object) -> bytes:
    try:
        return base64.b32decode(str(text))
    except ValueError as exc:
        raise _Refusal(400, _("the request has no `token`")) from exc


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""
