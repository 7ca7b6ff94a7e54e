"""Notifier `webhook`: a notice as one JSON document, posted to an address of the site's choice and signed.

Signature and headers are those of Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature), for which most
languages have a library that checks them; docs/alerts.md says how to do it by hand.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from pydantic import model_validator

from edge.api import ConfigError, Notice, NotifierSpec, PictureLimits, Secret, Services, _, hookimpl

from .answers import demand_success
from .notice_json import document, encode
from .outbound import Answer, Outbound, Reach, Target, open_outbound, parse_target

LIMITS = PictureLimits(max_bytes=1_000_000, max_side_px=1280)  # base64 adds a third; many servers take 2 MB at most
LEAST_SECRET = 16  # bytes; shorter ones can be guessed from one signed message
SAID_BYTES = 4096  # of an answer that is no success
TOO_LARGE = 413
KEY_CHARACTERS = 200  # of the idempotency key as a header


class WebhookConfig(Reach):
    """Where to post. url: https://…; secret_url: the same where the address itself is a secret.

    secret: signs what is posted; bearer: goes along as `Authorization: Bearer …`. picture: in the document or not.
    language: the site's when left out.
    """

    url: str = ""
    secret_url: Secret | None = None
    secret: Secret | None = None
    bearer: Secret | None = None
    picture: Literal["none", "base64"] = "base64"
    allow_http: bool = False
    language: Literal["en", "es"] | None = None

    @model_validator(mode="after")
    def _one_address_that_may_be(self) -> "WebhookConfig":
        if bool(self.url) == (self.secret_url is not None):
            raise ValueError(_("a webhook has one address: give `url` or `secret_url`"))
        if self.url:
            self.target(self.url)
        return self

    def target(self, url: str) -> Target:
        """Where `url` is, when this channel may go there. Raises ValueError."""
        return parse_target(url, allow_http=self.allow_http, allow=self.allow)


@dataclass(frozen=True, slots=True)
class WebhookNotifier:
    """Posts notices. key: of the signature, b"" for none."""

    config: WebhookConfig
    services: Services
    outbound: Outbound
    key: bytes = field(repr=False)
    bearer: str = field(repr=False)

    def send(self, notice: Notice, *, picture: bytes) -> None:
        """Post one document; returns when the server answered 2xx. Raises NotifyError, NoticeRefused.

        A server for which the document is too large (413) gets it once more without the picture.
        """
        shown = picture if self.config.picture == "base64" else b""
        answer = self._post(notice, shown)
        if answer.status == TOO_LARGE and shown:
            self.services.log.warning("notify.picture_refused", key=notice.key, status=answer.status)
            answer = self._post(notice, b"")
        hide = (self.bearer, self.outbound.target.path if len(self.outbound.target.path) > 1 else "")
        demand_success(answer, self.outbound.target.place, now=self.services.clock.now(), hide=hide)

    def check(self) -> str:
        """Connect, look at the certificate, hang up: nothing is posted."""
        return self.outbound.reach()

    def _post(self, notice: Notice, picture: bytes) -> Answer:
        body = encode(document(notice, self.services, picture=_picture(picture) if picture else None))
        headers = self.headers(notice, body)
        path = self.outbound.target.path
        return self.outbound.request("POST", path, headers=headers, body=body, most=SAID_BYTES, deaf=True)

    def headers(self, notice: Notice, body: bytes) -> dict[str, str]:
        """Content type, the key by which a repetition is known, time and signature."""
        key = header_key(notice.key)
        stamp = str(int(self.services.clock.now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Idempotency-Key": key,
            "webhook-id": key,
            "webhook-timestamp": stamp,
        }
        if self.key:
            headers["webhook-signature"] = sign(self.key, key, stamp, body)
        if self.bearer:
            headers["Authorization"] = f"Bearer {self.bearer}"
        return headers


def sign(secret: bytes, key: str, stamp: str, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `key.stamp.body`, as Standard Webhooks has it."""
    digest = hmac.new(secret, f"{key}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")


def header_key(key: str) -> str:
    """A notice's key as a header can carry it: other than letters, digits and `/_-~` as %XX; a long one as its hash."""
    safe = quote(key, safe="/").replace(".", "%2E")  # dots part what is signed
    return safe if len(safe) <= KEY_CHARACTERS else hashlib.sha256(key.encode()).hexdigest()


def _picture(jpeg: bytes) -> dict[str, object]:
    return {"media_type": "image/jpeg", "bytes": len(jpeg), "base64": base64.b64encode(jpeg).decode("ascii")}


def signing_key(text: str) -> bytes:
    """The bytes to sign with: `whsec_…` is base64 (Standard Webhooks), anything else is itself. Raises ConfigError."""
    try:
        key = base64.b64decode(text[6:], validate=True) if text.startswith("whsec_") else text.encode()
    except binascii.Error as exc:
        raise ConfigError(_("webhook: after `whsec_` the secret must be base64")) from exc
    if len(key) < LEAST_SECRET:
        raise ConfigError(_("webhook: the secret must have at least {least} bytes").format(least=LEAST_SECRET))
    return key


@contextmanager
def build(config: WebhookConfig, services: Services) -> Iterator[WebhookNotifier]:
    """Read the secrets and the CA once. Raises ConfigError."""
    try:
        target = config.target(config.secret_url.reveal() if config.secret_url else config.url)
    except ValueError as exc:
        raise ConfigError(_("channel webhook: {reason}").format(reason=exc)) from exc
    key = signing_key(config.secret.reveal()) if config.secret else b""
    bearer = config.bearer.reveal() if config.bearer else ""
    if not (bearer.isascii() and bearer.isprintable()):
        raise ConfigError(_("webhook: `bearer` must be one line of ASCII"))
    yield WebhookNotifier(config, services, open_outbound(target, config), key, bearer)


SPEC = NotifierSpec("webhook", WebhookConfig, build, picture=LIMITS, shows=lambda config: config.picture != "none")


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[WebhookConfig]]:
    """Name this channel."""
    return [SPEC]
