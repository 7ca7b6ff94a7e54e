"""The section `web:` of a site: where the web page listens, who is believed, what is shown to whom."""

import ipaddress
import ssl
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, field_validator

from .foreign import foreign
from .i18n import _

RoleName = Literal["viewer", "reviewer", "manager", "admin"]


class TlsConfig(BaseModel):
    """Own TLS: PEM files; where a proxy does it, leave this out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Path
    key: Path


class WebConfig(BaseModel):
    """The section. `tigrillo run` serves the page when it is there, `tigrillo web` serves nothing but the page.

    listen: address of this machine; loopback when left out, for a proxy in front. address: what people type, such as
    https://traps.example.org; needed for links in messages and invitations. proxies: addresses whose X-Forwarded-For
    and X-Forwarded-Proto are believed. session_days: a log-in that is not used lasts so long. sees_people,
    sees_originals: the least role that may look at people unblurred, and at files as they came. upload_bytes: of all
    uploads that are not finished. tiles: a PMTiles file for the map, without which it shows positions only. logins:
    ways to log in that plugins have, each with its settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65_535)
    address: str = ""
    tls: TlsConfig | None = None
    proxies: tuple[str, ...] = ()
    session_days: int = Field(default=14, ge=1, le=366)
    sees_people: RoleName = "reviewer"
    sees_originals: RoleName = "reviewer"
    upload_bytes: ByteSize = Field(default=ByteSize(64_000_000_000), gt=0)
    tiles: Path | None = None
    logins: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("address")
    @classmethod
    def _is_address(cls, address: str) -> str:
        if address and not (
            address.startswith(("https://", "http://")) and address.isprintable() and " " not in address
        ):
            raise ValueError(_("{page!r} is no web address: write https://…").format(page=address[:80]))
        return address.rstrip("/")


def risks_of(web: WebConfig) -> list[tuple[str, str]]:
    """(what is open to others, what to do) of settings that work and should be looked at; in the reader's language."""
    found = []
    step = _("write `tls:`, or `proxies:` with a proxy in front, under `web:` (docs/web.md)")
    if not _is_loopback(web.listen) and web.tls is None and not web.proxies:
        says = _("web.listen {listen}: passwords and pictures cross the network in the open")
        found.append((says.format(listen=web.listen), step))
    if web.address.startswith("https://") and web.tls is None and not web.proxies:
        says = _("web.address is https, but nobody is believed who says so: log-in cookies travel without `Secure`")
        found.append((says, step))
    return found


def tls_fault(tls: TlsConfig | None) -> str:
    """Why no browser could be answered with these files, "" when all could; in the reader's language."""
    if tls is None:
        return ""
    for path in (tls.certificate, tls.key):
        try:
            path.open("rb").close()
        except OSError as exc:
            return _("web.tls: {path} can't be read: {reason}").format(path=path, reason=foreign(exc.strerror or exc))
    try:
        # a key with a passphrase is refused: OpenSSL would ask for it at a terminal that a service has not
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, password="")
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", None) or exc
        says = _(
            "web.tls: {certificate} and {key} are no certificate and its key, in PEM, without passphrase: {reason}"
        )
        return says.format(certificate=tls.certificate, key=tls.key, reason=reason)
    return ""


def _is_loopback(listen: str) -> bool:
    try:
        return ipaddress.ip_address(listen).is_loopback
    except ValueError:
        return listen == "localhost"
