"""One HTTP request that can't be led astray and can't hang.

URL → the host is resolved once → every address is checked (addresses.py) → a connection to the very address that was
checked, so that a second answer of the name server changes nothing (DNS rebinding) → request → answer. Certificate, SNI
and Host go by the name. No redirect is followed, no proxy of the environment is used.

The standard library is enough, and less than a client library: those resolve inside their connection pool, where an
address can't be pinned without replacing private parts, and their time-outs hold for each read, so that a server which
drips a byte a second is waited for without end. Here one deadline holds for all of it.
"""

import http.client
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from edge.api import ConfigError, NotifyError, _, foreign, one_line

from .addresses import Network, Range, networks, why_not

ANSWER_BYTES = 65_536  # of an answer's body; the rest is not read
PORTS = {"https": 443, "http": 80}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


class Reach(BaseModel):
    """What channels over HTTP have in common.

    allow: ranges that are not public and may be gone to all the same. timeout_s: for one whole request.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow: tuple[Range, ...] = ()
    ca_file: Path | None = None
    timeout_s: float = Field(default=30.0, gt=0, le=300)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to. host: ASCII, without brackets. path: with the query; it may hold a key, so no text shows it."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)

    @property
    def place(self) -> str:
        """What messages call it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str, *, allow_http: bool, allow: Sequence[str]) -> Target:
    """An absolute URL as a target. Raises ValueError that says what would be right and shows no more than the host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError as exc:
        raise ValueError(_("this is no address: write https://host/path")) from exc
    numeric = _is_numeric(host)
    if parts.scheme not in PORTS or not (numeric or _NAME.fullmatch(host)):
        raise ValueError(_("this is no address: write https://host/path"))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (path.isascii() and path.isprintable()) or " " in path or url != url.strip():
        problem = _("the address of {host} has blanks or special characters: write them as %20")
        raise ValueError(problem.format(host=host))
    if parts.username is not None or parts.fragment:
        raise ValueError(_("the address of {host} has a user name or a `#`: leave them out").format(host=host))
    if parts.scheme == "http" and not allow_http:
        problem = _("http:// to {host} can be read on its way: write https://, or add `allow_http: true`")
        raise ValueError(problem.format(host=host))
    if numeric and (reason := why_not(host, networks(allow))):
        raise ValueError(_("{host} is {reason}: add it to `allow` if it is meant").format(host=host, reason=_(reason)))
    return Target(parts.scheme, host, port or PORTS[parts.scheme], path)


def _is_numeric(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return True
    return False


@dataclass(frozen=True, slots=True)
class Answer:
    """status: HTTP's. headers: names in lower case. body: its first bytes; whole: whether that is all of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool


@dataclass(frozen=True, slots=True)
class Outbound:
    """The way to one target. tls: None for http://."""

    target: Target
    allow: tuple[Network, ...]
    tls: ssl.SSLContext | None
    timeout_s: float

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        most: int = ANSWER_BYTES,
        deaf: bool = False,
    ) -> Answer:
        """Ask, and give the answer, whatever its status. Raises NotifyError of one line that names the host.

        most: bytes of the answer's body to read; an answer that stops in the middle is one with `whole` False.
        deaf: read nothing of it when the status is 2xx.
        """
        deadline_s = time.monotonic() + self.timeout_s  # real time, not services.clock: the network keeps no other
        sent = {"User-Agent": "tigrillo", "Connection": "close"} | dict(headers)
        try:
            with closing(self._open(deadline_s)) as connection:
                # A server may refuse a large body before it has all of it, and hang up: what it said is still there.
                with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                    connection.request(method, path, body or None, sent)
                response = connection.getresponse()
                answered, whole = _read(response, 0 if deaf and 200 <= response.status < 300 else most)
                names = {name.lower(): value for name, value in response.getheaders()}
                return Answer(response.status, names, answered, whole)
        except (OSError, http.client.HTTPException) as exc:
            raise NotifyError(f"{self.target.place}: {self._explain(exc)}") from exc

    def reach(self) -> str:
        """Connect and hang up; says who was there. Raises NotifyError."""
        try:
            with closing(self._open(time.monotonic() + self.timeout_s)) as connection:
                kind = connection.sock.version() if isinstance(connection.sock, ssl.SSLSocket) else "http"
                return f"{self.target.place} ({connection.sock.getpeername()[0]}, {kind})"
        except OSError as exc:
            raise NotifyError(f"{self.target.place}: {self._explain(exc)}") from exc

    def _open(self, deadline_s: float) -> http.client.HTTPConnection:
        target, plain = self.target, self._connect(deadline_s)
        if self.tls is None:
            connection = http.client.HTTPConnection(target.host, target.port)
            connection.sock = plain
            return connection
        try:
            _hurry(plain)  # the handshake as a whole ends with it
            tls = self.tls.wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise
        assert isinstance(tls, _TlsSocket)
        tls.deadline_s = deadline_s
        connection = http.client.HTTPSConnection(target.host, target.port, context=self.tls)
        connection.sock = tls
        return connection

    def _connect(self, deadline_s: float) -> "_PlainSocket":
        """A connection to the first address that answers; none is tried unless all are allowed."""
        found = _resolve(self.target.host, self.target.port, deadline_s)
        for _family, address in found:
            if reason := why_not(address[0], self.allow):
                hint = f"leads to {address[0]}, {reason}: add it to `allow` if it is meant"
                raise NotifyError(f"{self.target.place}: {hint}")
        fault: OSError = OSError("has no address")
        for index, (family, address) in enumerate(found):
            plain = _PlainSocket(family, socket.SOCK_STREAM)
            plain.deadline_s = deadline_s
            try:
                # Each address its share of the time: a dead IPv6 route must not cost the IPv4 one.
                plain.settimeout(max(deadline_s - time.monotonic(), 0.001) / (len(found) - index))
                plain.connect(address)
            except OSError as exc:
                plain.close()
                fault = exc
            else:
                return plain
        raise fault

    def _explain(self, exc: Exception) -> str:
        if isinstance(exc, ssl.SSLCertVerificationError):
            why = one_line(exc.verify_message)
            return f"its certificate is not trusted ({why}): check the address, or give its CA as `ca_file`"
        if isinstance(exc, TimeoutError):
            return f"no answer within {self.timeout_s:g} s"
        return one_line(str(exc)) or type(exc).__name__


def open_outbound(target: Target, reach: Reach) -> Outbound:
    """The way to a target, its CA read. Raises ConfigError when that can't be."""
    if target.scheme == "http":
        return Outbound(target, networks(reach.allow), None, reach.timeout_s)
    try:
        tls = ssl.create_default_context(cafile=reach.ca_file)
    except OSError as exc:
        problem = _("ca_file {path}: is no certificate that can be read: {reason}")
        raise ConfigError(problem.format(path=reach.ca_file, reason=foreign(exc))) from exc
    tls.sslsocket_class = _TlsSocket
    return Outbound(target, networks(reach.allow), tls, reach.timeout_s)


def _read(response: http.client.HTTPResponse, most: int) -> tuple[bytes, bool]:
    """At most so many bytes of the body, and whether it came to its end, or to `most`."""
    body = b""
    try:
        while len(body) < most and (more := response.read1(most - len(body))):
            body += more
    except (OSError, http.client.HTTPException):
        return body, False
    return body, True


Place = tuple[socket.AddressFamily, Any]  # the second as getaddrinfo gives it and connect takes it


def _resolve(host: str, port: int, deadline_s: float) -> list[Place]:
    """Every address of a host, asked for once. Raises OSError, TimeoutError at the deadline."""
    answers: list[list[Place] | OSError | UnicodeError] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.append([(family, address) for family, _type, _protocol, _name, address in found])
        except (OSError, UnicodeError) as exc:
            answers.append(exc)

    # getaddrinfo takes no time-out; one that hangs is left behind, and ends when the system's resolver gives up.
    thread = threading.Thread(target=ask, name="resolve", daemon=True)
    thread.start()
    thread.join(max(deadline_s - time.monotonic(), 0))
    if not answers:
        raise TimeoutError
    if isinstance(answers[0], OSError):
        raise answers[0]
    if isinstance(answers[0], UnicodeError):
        raise OSError("is no host name") from answers[0]
    return answers[0]


def _hurry(sock: "_PlainSocket | _TlsSocket") -> None:
    """Let the next call of this socket last until its deadline at most."""
    if sock.deadline_s < math.inf:
        left_s = sock.deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        sock.settimeout(left_s)


class _PlainSocket(socket.socket):
    deadline_s = math.inf

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _hurry(self)
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        _hurry(self)
        super().sendall(*args, **kwargs)


class _TlsSocket(ssl.SSLSocket):
    deadline_s = math.inf

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _hurry(self)
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:  # sendall of TLS is made of these
        _hurry(self)
        return super().send(*args, **kwargs)
