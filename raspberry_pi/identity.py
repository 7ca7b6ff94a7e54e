"""A station's identity: its key, made here and never sent, the certificate for it, and how the server is asked for one.

Needs `cryptography`, which is imported where it is used: an agent without an identity does without.
"""

# ruff: noqa: PLC0415  # because an agent without an identity starts without cryptography
import http.client
import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.i18n import _
from edge.paths import write_atomically
from edge.tls import Tls, open_context, why

TIMEOUT_S = 30.0  # a slow link, and five connections for a handshake
MOST_ANSWER_BYTES = 65_536
ENROLLED = "enrolled.json"  # beside the certificate: where it came from


class EnrollError(Exception):
    """No certificate; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The files of one station's identity."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The site's authority."""
        return self.folder / "ca.pem"

    @property
    def cert(self) -> Path:
        """Who we are."""
        return self.folder / "cert.pem"

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / "key.pem"

    @property
    def origin(self) -> Path:
        """Where the enrolment is, JSON {"host", "port"}."""
        return self.folder / ENROLLED

    def tls(self) -> Tls:
        """For a connection to the site."""
        return Tls(self.ca, self.cert, self.key)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server gave: PEM texts, and where the broker is."""

    station: str
    certificate: str
    ca: str
    broker_host: str
    broker_port: int


def new_key() -> bytes:
    """A new P-256 key as PEM, without a password: nobody is there to type one when the Pi starts."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signing_request(key_pem: bytes) -> str:
    """The request for a certificate of this key, PEM. Its name is empty: the server knows whose token it is."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = serialization.load_pem_private_key(key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def expires_at(certificate_pem: bytes) -> datetime:
    """When a certificate ends. Raises ValueError for what is none."""
    from cryptography import x509

    found = x509.load_pem_x509_certificate(certificate_pem)
    # Debian 12's cryptography 38 has the time without a zone only
    moment = getattr(found, "not_valid_after_utc", None) or found.not_valid_after.replace(tzinfo=UTC)
    assert isinstance(moment, datetime)
    return moment


def ask(host: str, port: int, context: ssl.SSLContext, path: str, request: dict[str, str] | None = None) -> Any:
    """The server's answer to a request, GET without one. Raises EnrollError with what the server, or the net, says."""
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    where = f"{host}:{port}"
    try:
        body = json.dumps(request).encode() if request is not None else None
        connection.request("GET" if body is None else "POST", path, body)
        response = connection.getresponse()
        answer = json.loads(response.read(MOST_ANSWER_BYTES))
    except ssl.SSLError as exc:
        raise EnrollError(f"{where}: {why(exc)}") from exc
    except (OSError, http.client.HTTPException) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise EnrollError(_("{where}: can't be reached: {reason}").format(where=where, reason=reason)) from exc
    except ValueError as exc:
        raise EnrollError(_("{where}: is no tigrillo server").format(where=where)) from exc
    finally:
        connection.close()
    if response.status != http.client.OK or not isinstance(answer, dict):
        said = answer.get("error") if isinstance(answer, dict) else None
        raise EnrollError(f"{where}: {said or response.status}")
    return answer


def read_answer(answer: dict[str, Any]) -> Answer:
    """The fields of a grant. Raises EnrollError when one is missing."""
    try:
        broker = answer["broker"]
        return Answer(
            str(answer["station"]),
            str(answer["certificate"]),
            str(answer["ca"]),
            str(broker["host"]),
            int(broker["port"]),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise EnrollError(_("the server's answer can't be read: is it of another version?")) from exc


def secured(tls: Tls) -> ssl.SSLContext:
    """The context for these files. Raises EnrollError when one can't be read."""
    try:
        return open_context(tls)
    except OSError as exc:
        raise EnrollError(f"{exc.strerror or exc} {exc.filename or ''}".strip()) from exc


def save(identity: Identity, answer: Answer, *, key: bytes, host: str, port: int) -> None:
    """Write the four files; the certificate last, because with it the identity is complete. Raises OSError."""
    identity.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(identity.key, key, mode=0o600)
    write_atomically(identity.ca, answer.ca.encode(), mode=0o644)
    write_atomically(identity.origin, json.dumps({"host": host, "port": port}).encode(), mode=0o644)
    write_atomically(identity.cert, answer.certificate.encode(), mode=0o644)
