"""Links to pages, for whoever was sent one: signed, and good for a while; short enough for an SMS.

    https://traps.example.org/v/1a2b-Xw3k_9QbTz0LmN4c-hp5tz
                              ──────┬─────────────── ──┬──
                    path     HMAC-SHA256, 96 bits,    end, minutes since 1970 in base 36
                             of path and end

The key is the site's own: 32 random bytes in the state folder, made by whoever needs them first. 96 bits can't be tried
through a web server; the end stands last because mail and SMS programs leave a `-` or `_` at the end of a link out.
Whoever has the link can open the page: it is for the reader, and does not belong into a log.
"""

import base64
import hmac
import os
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from .errors import EdgeError, FatalError
from .foreign import foreign
from .i18n import _
from .paths import sync_dir

KEY_FILE = "link-key"
PREVIOUS_FILE = "link-key.previous"
KEY_BYTES = 32  # as many as SHA-256 gives, RFC 2104
MAC_BYTES = 12  # 16 characters of base64 without a bit to spare, so that no letter can be another one
PURPOSE = b"tigrillo link 1\0"  # what else may once be signed with this key is no link
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATH = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+")  # what no program on the way writes in another way
SIGNED = re.compile(r"(?P<path>/.*)-(?P<mac>[A-Za-z0-9_-]{16})-(?P<end>[0-9a-z]{1,8})")
FRAME = re.compile(r"/v/(?P<number>[1-9a-z][0-9a-z]{0,12})")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class LinkRefused(EdgeError):
    """A link that opens nothing. why: "expired" is told only of links that we made."""

    def __init__(self, why: Literal["expired", "forged"]) -> None:
        super().__init__(f"link {why}")
        self.why: Literal["expired", "forged"] = why


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes links and checks them. previous: keys whose links are still taken."""

    key: bytes = field(repr=False)
    base_url: str
    previous: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if any(len(each) < KEY_BYTES for each in (self.key, *self.previous)):
            raise ValueError(f"a key has {KEY_BYTES} bytes at least")
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"base_url {self.base_url!r}: write https://name, with a path where the page has one")

    def link(self, path: str, *, expires_at: datetime) -> str:
        """The link to `path` ("/v/1a2b"), good until `expires_at` (aware), rounded up to a minute."""
        if not PATH.fullmatch(path):
            raise ValueError(f"path must begin with / and have letters, digits, '_.~-' only, got {path!r}")
        end = in_base36(-(-(expires_at - EPOCH) // MINUTE))
        return f"{self.base_url.rstrip('/')}{path}-{_mac(self.key, path, end)}-{end}"

    def check(self, url_path: str, query: str, now: datetime) -> str:
        """The path that a link was made for. Raises LinkRefused.

        url_path, query: as they came, not unquoted, without the path of base_url. A link has no query, for it would not
        be signed.
        """
        found = SIGNED.fullmatch(url_path)
        if found is None or query or not PATH.fullmatch(found["path"]):
            raise LinkRefused("forged")
        # all are compared, so that the time taken does not tell which fits
        fits = [hmac.compare_digest(_mac(key, found["path"], found["end"]), found["mac"]) for key in self._keys]
        if not any(fits):
            raise LinkRefused("forged")
        if now >= EPOCH + int(found["end"], 36) * MINUTE:
            raise LinkRefused("expired")
        return found["path"]

    @property
    def _keys(self) -> tuple[bytes, ...]:
        return (self.key, *self.previous)


def open_signer(state_dir: Path, base_url: str) -> Signer:
    """A signer with the site's key, which is made when there is none, and the one before it. Raises FatalError."""
    before = state_dir / PREVIOUS_FILE
    return Signer(_open_key(state_dir), base_url, (_read_key(before),) if before.exists() else ())


def rotate_key(state_dir: Path) -> None:
    """Make a new key; links of the old one stay good until they end, those of the one before it do not.

    Takes effect for what opens a signer afterwards: stop the site first. Raises FatalError.
    """
    current = state_dir / KEY_FILE
    if current.exists():
        # a crash after this leaves no key, and the next one to open makes it
        current.replace(state_dir / PREVIOUS_FILE)
        sync_dir(state_dir)
    _open_key(state_dir)


def frame_path(pk: int) -> str:
    """The path of a frame's page, by its number in the store: 47873 → "/v/10xt"."""
    return f"/v/{in_base36(pk)}"


def frame_of(path: str) -> int:
    """The number in the store that a checked path names. Raises LinkRefused when it is no frame's."""
    found = FRAME.fullmatch(path)
    if found is None:
        raise LinkRefused("forged")
    return int(found["number"], 36)


def in_base36(number: int) -> str:
    """0 → "0", 36 → "10"; what int(text, 36) reads. Raises ValueError below 0."""
    if number < 0:
        raise ValueError(f"base 36 is for numbers from 0 on, got {number}")
    text = ""
    while number >= 36:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return DIGITS[number] + text


def _mac(key: bytes, path: str, end: str) -> str:
    digest = hmac.digest(key, PURPOSE + f"{path}\0{end}".encode(), sha256)
    return base64.urlsafe_b64encode(digest[:MAC_BYTES]).decode()


def _open_key(state_dir: Path) -> bytes:
    path = state_dir / KEY_FILE
    try:
        if not path.exists():
            _make_key(path)
    except OSError as exc:
        problem = _("{path}: the key of links can't be read or made: {reason}")
        raise FatalError(problem.format(path=path, reason=foreign(exc))) from exc
    return _read_key(path)


def _make_key(path: Path) -> None:
    """Put a new key at `path`, whole and on disk, unless another process was faster: then its key stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)  # fails where a rename would take the place of the other's
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
    sync_dir(path.parent)


def _read_key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as exc:
        problem = _("{path}: the key of links can't be read or made: {reason}")
        raise FatalError(problem.format(path=path, reason=foreign(exc))) from exc
    if len(key) != KEY_BYTES:
        problem = _("{path}: the key of links is not what was written there: delete it, and links sent so far end")
        raise FatalError(problem.format(path=path))
    return key
