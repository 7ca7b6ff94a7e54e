"""The one-time token that lets a Raspberry Pi become a station: a text short enough to type.

Standard library only: a Raspberry Pi imports this.

    base32 in groups of four:  version and length of the host's name (1 byte) · host (4 bytes of IPv4, or its name) ·
    port (2) · secret (10) · first bytes of the SHA-256 of the authority's certificate (10) · check (2)

80 bits of secret live for 15 minutes behind a server that counts tries; 80 bits of fingerprint would have to be met by
another certificate within the same time. The check finds what was typed wrong before anything is sent.
"""

import base64
import hashlib
import ipaddress
import re
import secrets
import zlib
from dataclasses import dataclass
from datetime import timedelta

from .i18n import _

LIFE = timedelta(minutes=15)
SECRET_BYTES = 10
FINGERPRINT_BYTES = 10
IPV4 = 0  # in the place of the name's length
MOST_HOST = 63  # of a name, bytes in ASCII; the first byte keeps two bits for versions to come
GROUP = 4
# Letters that base32 does not have because people take them for these.
MISREAD = str.maketrans("018", "OIB")


class TokenError(ValueError):
    """A text that is no token; the message says what to look at, and never repeats the token."""


@dataclass(frozen=True, slots=True)
class Token:
    """Where to ask, with what, and whom to believe. fingerprint: the first bytes of SHA-256 of the authority."""

    host: str
    port: int
    secret: bytes
    fingerprint: bytes

    @property
    def text(self) -> str:
        """As it is typed: base32 in groups of four."""
        body = _host_bytes(self.host) + self.port.to_bytes(2, "big") + self.secret + self.fingerprint
        plain = base64.b32encode(body + _check(body)).decode().rstrip("=")
        return "-".join(plain[start : start + GROUP] for start in range(0, len(plain), GROUP))

    def trusts(self, certificate_der: bytes) -> bool:
        """Whether this is the certificate of the authority that the token means."""
        found = hashlib.sha256(certificate_der).digest()[:FINGERPRINT_BYTES]
        return secrets.compare_digest(found, self.fingerprint)


def make_token(host: str, port: int, authority_sha256: bytes) -> Token:
    """A new token. host: name or IPv4 address. Raises TokenError when it does not fit."""
    _host_bytes(host)
    return Token(host, port, secrets.token_bytes(SECRET_BYTES), authority_sha256[:FINGERPRINT_BYTES])


def read_token(text: str) -> Token:
    """Read what a person typed; case, spaces and dashes don't matter. Raises TokenError."""
    plain = re.sub(r"[\s-]", "", text).upper().translate(MISREAD)
    try:
        raw = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except ValueError as exc:
        raise TokenError(_("has letters that no token has")) from exc
    body, check = raw[:-2], raw[-2:]
    if len(raw) < 3 or _check(body) != check:
        raise TokenError(_("is not typed right: a group is missing or a letter is wrong"))
    length = body[0]
    end = 1 + (4 if length == IPV4 else length)
    if length > MOST_HOST or len(body) != end + 2 + SECRET_BYTES + FINGERPRINT_BYTES:
        raise TokenError(_("is from another version of tigrillo"))
    host = str(ipaddress.IPv4Address(body[1:end])) if length == IPV4 else body[1:end].decode("ascii", "replace")
    port = int.from_bytes(body[end : end + 2], "big")
    secret = body[end + 2 : end + 2 + SECRET_BYTES]
    return Token(host, port, secret, body[end + 2 + SECRET_BYTES :])


def secret_sha256(secret: bytes) -> str:
    """What is kept of a secret: 80 random bits need no salt."""
    return hashlib.sha256(secret).hexdigest()


def _host_bytes(host: str) -> bytes:
    try:
        return bytes([IPV4]) + ipaddress.IPv4Address(host).packed
    except ValueError:
        name = host.encode("ascii", "replace")
    if not 1 <= len(name) <= MOST_HOST or b"?" in name:
        raise TokenError(
            _("host {host!r}: a name of 1 to {most} ASCII letters, or an IPv4 address").format(
                host=host[:80], most=MOST_HOST
            )
        )
    return bytes([len(name)]) + name


def _check(body: bytes) -> bytes:
    return (zlib.crc32(body) & 0xFFFF).to_bytes(2, "big")
