"""HTTP servers on the loopback for tests of channels: one that notes requests and answers by a script, one of bytes."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Request:
    """headers: names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Local:
    """What a server was asked, and what it will answer: (status, headers, body), one after the other, then 200 {}."""

    port: int
    requests: list[Request] = field(default_factory=list)
    answers: deque[tuple[int, dict[str, str], bytes]] = field(default_factory=deque)
    names: list[str | None] = field(default_factory=list)  # that TLS clients asked for

    def url(self, path: str = "/hook", *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@contextmanager
def serving(*, host: str = "127.0.0.1", tls: tuple[Path, Path] | None = None) -> Iterator[Local]:
    """A server. tls: certificate and key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            local.requests.append(Request(self.command, self.path, headers, body))
            status, extra, said = local.answers.popleft() if local.answers else (200, {}, b"{}")
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(said))} | extra).items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(said)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815  # because http.server calls them so

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_args: object) -> None:
            """A client that hangs up is what some tests want."""

    with Server((host, 0), Handler) as server:
        local = Local(server.server_port)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            context.sni_callback = lambda _sock, name, _context: local.names.append(name)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield local
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def talking(talk: Callable[[socket.socket, threading.Event], None], *, host: str = "127.0.0.1") -> Iterator[int]:
    """A server whose every connection is `talk(connection, over)`'s; gives its port."""
    over, threads = threading.Event(), []

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection, over)

    def accept() -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                connection, _address = listener.accept()
                threads.append(threading.Thread(target=one, args=(connection,)))
                threads[-1].start()

    with socket.create_server((host, 0)) as listener:
        listener.settimeout(0.02)
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            over.set()
            for thread in (accepting, *threads):
                thread.join()


@dataclass(frozen=True)
class Papers:
    """Files of a CA and of a server's certificate by it, PEM."""

    ca: Path
    certificate: Path
    key: Path


def issue(folder: Path, *names: str) -> Papers:
    """A new CA, and a certificate for these names or addresses."""
    now = dt.datetime.now(dt.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _each in range(2)]
    ca_name, name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("test CA", "test server"))

    def sign(subject: x509.Name, number: int, extension: x509.ExtensionType) -> bytes:
        ca_key = keys[0].public_key()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(keys[number].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(extension, critical=number == 0)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[number].public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key), critical=False)
            .sign(keys[0], hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    alternatives = x509.SubjectAlternativeName([_alternative(each) for each in names])
    papers = Papers(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    papers.ca.write_bytes(sign(ca_name, 0, x509.BasicConstraints(ca=True, path_length=0)))
    papers.certificate.write_bytes(sign(name, 1, alternatives))
    form = serialization.PrivateFormat.PKCS8
    papers.key.write_bytes(keys[1].private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return papers


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
