"""The site's own certificate authority: one P-256 key, and what it signs.

It signs two kinds of certificate that can't be taken for each other: one for the broker (serverAuth), which stations
believe, and those of stations and of the server itself (clientAuth), whose common name is who they are at the broker.
"""

import hashlib
import ipaddress
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import FatalError
from ..i18n import _
from .folders import PRIVATE, PUBLIC, Folders, make_folder, write_file

SERVER = "server"  # the daemon's name at the broker; no station may have it
BACKDATED = timedelta(hours=24)  # a Pi has no clock battery, and believes a certificate from yesterday at the latest
STATION_LIFE = timedelta(days=730)
OWN_LIFE = timedelta(days=3650)  # the broker's and the server's key never leave the authority's own machine
CA_LIFE = timedelta(days=7300)
RENEW_OWN = timedelta(days=365)
# mosquitto refuses everybody once its list is out of date; ours is written anew with each change and each start.
CRL_LIFE = timedelta(days=3650)

Key = ec.EllipticCurvePrivateKey


class RequestRefused(Exception):
    """A signing request that can't be granted; the text says why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was made. pem: as text. serial: hexadecimal."""

    pem: str
    serial: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority's certificate and key, opened."""

    certificate: x509.Certificate
    key: Key

    @classmethod
    def open(cls, folders: Folders) -> "Authority":
        """The one that is there. Raises FatalError when it is not, or can't be read."""
        try:
            certificate = x509.load_pem_x509_certificate(folders.ca.read_bytes())
            key = load_pem_private_key(folders.ca_key.read_bytes(), None)
        except (OSError, ValueError) as exc:
            raise FatalError(
                _("{path}: the authority can't be read ({reason}): put the folder back from a backup").format(
                    path=folders.folder, reason=exc
                )
            ) from exc
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(certificate, key)

    @classmethod
    def open_or_make(cls, folders: Folders, *, site: str, now: datetime) -> "Authority":
        """The one that is there, else a new one. Raises FatalError when half of it was lost."""
        if folders.ca.exists() or (folders.ca_key.exists() and folders.book.exists()):
            return cls.open(folders)
        make_folder(folders.folder)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"tigrillo {site}"[:64])
        certificate = (
            _builder(name, name, key.public_key(), now, CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        # A crash between the two leaves a key that has signed nothing, and the next call makes another.
        write_file(folders.ca_key, key_pem(key), mode=PRIVATE)
        write_file(folders.ca, certificate.public_bytes(Encoding.PEM), mode=PUBLIC)
        return cls(certificate, key)

    @property
    def pem(self) -> str:
        """The certificate as text."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate, 32 bytes."""
        return hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).digest()

    def sign_station(
        self, station: str, public_key: ec.EllipticCurvePublicKey, now: datetime, *, life: timedelta = STATION_LIFE
    ) -> Issued:
        """A certificate for a station, valid from yesterday."""
        return self._sign(station, public_key, now, life, ExtendedKeyUsageOID.CLIENT_AUTH)

    def ensure_own(self, folders: Folders, names: Collection[str], now: datetime) -> bool:
        """See that broker and server have certificates, the broker's with these names; whether one was made.

        names: host names and addresses by which stations reach the broker. What is there and does is left alone, and
        names it has beside these stay.
        """
        made = False
        if not _lasts(folders.server_certificate, folders.server_key, self.certificate, now):
            self._make_own(folders.server_certificate, folders.server_key, (), now)
            made = True
        known = names_in(folders.broker_certificate)
        if not _lasts(folders.broker_certificate, folders.broker_key, self.certificate, now) or set(names) - known:
            self._make_own(folders.broker_certificate, folders.broker_key, sorted({*names} | known), now)
            made = True
        return made

    def write_crl(self, folders: Folders, revoked: Iterable[tuple[int, datetime]], now: datetime) -> None:
        """Write the list of revoked certificates: (serial, since when)."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - BACKDATED).next_update(now + CRL_LIFE)
        for serial, at in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
            builder = builder.add_revoked_certificate(entry)
        body = builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)
        write_file(folders.crl, body, mode=PUBLIC)

    def _make_own(self, certificate: Path, key_file: Path, names: Sequence[str], now: datetime) -> None:
        """For the broker when there are names, else for the server."""
        key = ec.generate_private_key(ec.SECP256R1())
        who = "broker" if names else SERVER
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        issued = self._sign(who, key.public_key(), now, OWN_LIFE, purpose, names)
        write_file(key_file, key_pem(key), mode=PRIVATE)
        write_file(certificate, issued.pem.encode(), mode=PUBLIC)

    def _sign(
        self,
        name: str,
        public_key: ec.EllipticCurvePublicKey,
        now: datetime,
        life: timedelta,
        purpose: x509.ObjectIdentifier,
        names: Sequence[str] = (),
    ) -> Issued:
        builder = _builder(_name(name), self.certificate.subject, public_key, now, life)
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(map(_alternative, names)), critical=False)
        made = builder.sign(self.key, hashes.SHA256())
        return Issued(
            made.public_bytes(Encoding.PEM).decode(),
            f"{made.serial_number:040x}",
            made.not_valid_before_utc,
            made.not_valid_after_utc,
        )


def key_pem(key: Key) -> bytes:
    """A private key as a file holds it, without a password: a station starts with nobody there to type one."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_request(pem: str) -> ec.EllipticCurvePublicKey:
    """The key in a signing request, which must be P-256 and have signed it. Raises RequestRefused.

    Whatever name the request gives is not looked at: the token says who asks.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise RequestRefused(_("the signing request can't be read")) from exc
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1" or not signed:
        raise RequestRefused(_("the signing request must hold a P-256 key and be signed with it"))
    return key


def names_in(certificate: Path) -> set[str]:
    """The host names and addresses in a certificate; none when it can't be read."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return set()
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def _lasts(certificate: Path, key_file: Path, issuer: x509.Certificate, now: datetime) -> bool:
    """Whether a certificate of this issuer is there with its key, and is good for a year more."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        key = load_pem_private_key(key_file.read_bytes(), None)
        found.verify_directly_issued_by(issuer)
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    return key.public_key() == found.public_key() and found.not_valid_after_utc - now > RENEW_OWN


def _builder(
    name: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
