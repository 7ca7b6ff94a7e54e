"""The desk where stations are added, enrolled, renewed and revoked: authority, rows and the broker's list together."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from ..clock import Clock
from ..errors import FatalError
from ..i18n import _
from ..tokens import LIFE, Token, make_token, secret_sha256
from .authority import SERVER, Authority, Issued, RequestRefused, key_pem, read_request
from .book import Book, Certificate, StationRow
from .folders import Folders, locked, make_folder


class Denied(Exception):
    """A certificate that won't be given; the text says why, for the person at the Pi."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a station gets: its name, its certificate and the authority's, as PEM."""

    station: str
    certificate: str
    ca: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Desk:
    """One site's desk. list_changed: called when the list of revoked certificates is new, so that the broker reads it.

    Any process may have one open; what they change goes through the rows and a lock.
    """

    folders: Folders
    authority: Authority
    book: Book
    clock: Clock
    list_changed: Callable[[], None] = lambda: None

    def add(self, row: StationRow) -> None:
        """Add a station, or change the one of this name. Raises FatalError for the server's own name."""
        if row.name.lower() == SERVER:
            raise FatalError(_("{name!r} is what the server calls itself: choose another name").format(name=row.name))
        self.book.add(row)

    def invite(self, station: str, *, host: str, port: int) -> Token:
        """A token with which a Pi becomes this station, within 15 minutes, once. Raises TokenError for a bad host."""
        token = make_token(host, port, self.authority.fingerprint)
        now = self.clock.now()
        self.book.open_token(secret_sha256(token.secret), station, now=now, expires_at=now + LIFE)
        return token

    def enroll(self, secret: bytes, request_pem: str) -> Granted:
        """The certificate for whoever has this token. Raises Denied, TokenRefused.

        The request is read first, so that a damaged one does not use the token up.
        """
        key = _key_of(request_pem)
        station = self.book.use_token(secret_sha256(secret), self.clock.now())
        return self._grant(station, key, "enroll")

    def renew(self, serial: str, station: str, request_pem: str) -> Granted:
        """A new certificate for a station that showed the old one. Raises Denied."""
        row = self.book.find(station)
        held = {each.serial for each in row.certificates if each.revoked_at is None} if row else set()
        if row is None or row.revoked_at is not None or serial not in held:
            raise Denied(_("this station's certificate is revoked or unknown: add it anew on the server"))
        return self._grant(station, _key_of(request_pem), "renew")

    def bundle(self, station: str) -> tuple[Granted, bytes]:
        """(certificate, private key as PEM) for a station that can't make its own. Its earlier ones are revoked."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._grant(station, key.public_key(), "bundle"), key_pem(key)

    def revoke(self, station: str) -> bool:
        """Take a station's right away; False when there is none of this name. The broker's list is new then."""
        if not self.book.revoke(station, self.clock.now()):
            return False
        self.write_list()
        return True

    def write_list(self) -> None:
        """Write the list of revoked certificates, and tell the broker."""
        with locked(self.folders.folder / "list.lock"):  # or an older list could be written over a newer one
            self.authority.write_crl(self.folders, self.book.revoked_serials(), self.clock.now())
        self.list_changed()

    def _grant(self, station: str, key: ec.EllipticCurvePublicKey, way: str) -> Granted:
        issued = self.authority.sign_station(station, key, self.clock.now())
        self.book.add_certificate(station, _row(issued, way, self.clock.now()))
        if way != "renew":
            self.write_list()
        return Granted(station, issued.pem, self.authority.pem, issued.expires_at)


def open_desk(
    state_dir: Path,
    *,
    site: str,
    names: Collection[str],
    clock: Clock,
    list_changed: Callable[[], None] = lambda: None,
) -> Desk:
    """The desk of a site; makes the authority and the broker's certificate where they are missing. Raises FatalError.

    names: host names and addresses by which stations reach this machine.
    """
    folders, now = Folders.of(state_dir), clock.now()
    try:
        make_folder(folders.folder)
        with locked(folders.folder / "authority.lock"):  # the daemon and `station add` may both be the first
            authority = Authority.open_or_make(folders, site=site, now=now)
            renewed = authority.ensure_own(folders, names, now)
        desk = Desk(folders, authority, Book(folders.book), clock, list_changed)
        if renewed or not folders.crl.exists():
            desk.write_list()
    except OSError as exc:
        raise FatalError(
            _("{path}: can't be written ({reason}): check `state_dir` and its owner").format(
                path=folders.folder, reason=exc
            )
        ) from exc
    return desk


def _key_of(request_pem: str) -> ec.EllipticCurvePublicKey:
    try:
        return read_request(request_pem)
    except RequestRefused as exc:
        raise Denied(str(exc)) from exc


def _row(issued: Issued, way: str, now: datetime) -> Certificate:
    return Certificate(issued.serial, way, now, issued.expires_at, None)
