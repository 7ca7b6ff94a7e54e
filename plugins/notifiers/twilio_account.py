"""An account at Twilio: its settings, and what is asked of it, through the `twilio` package.

The package is imported at the first request: it takes 19 MB and 0.15 s, which a site without SMS need not pay.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge.api import NoticeRefused, NotifyError, Secret, _, one_line

from .sms_text import PhoneNumber, check_number
from .twilio_errors import NOT_FOUND, WrongLogin, told
from .twilio_http import TWILIO, BoundedHttp

if TYPE_CHECKING:
    from twilio.rest import Client
    from twilio.rest.api.v2010.account.message import MessageInstance

SID = r"[0-9a-fA-F]{32}"  # of Twilio's OpenAPI document, api.v2010
SERVICE = re.compile(rf"MG{SID}")
SHORT_CODE = re.compile(r"[0-9]{3,8}")
NAMED = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11}")  # an alphanumeric sender, one way only
USUAL_POLL_S = 30.0


def _sid(prefix: str, text: str) -> str:
    if not re.fullmatch(prefix + SID, text):
        raise ValueError(
            _(
                "what stands here is no {prefix} identifier: {prefix} and 32 digits, as the Twilio console shows it"
            ).format(prefix=prefix)
        )
    return text


def _sender(text: str) -> str:
    if SERVICE.fullmatch(text) or SHORT_CODE.fullmatch(text) or NAMED.fullmatch(text):
        return text
    return check_number(text.removeprefix("whatsapp:"))


def _base(text: str) -> str:
    """A URL without a slash at its end. Readable (http) only where nobody listens: on this machine."""
    url = urlsplit(text)
    if url.query or url.fragment or not url.hostname or (url.scheme != "https" and not _is_here(url)):
        raise ValueError(_("{text!r} is no https:// address without a query").format(text=text[:120]))
    return text.rstrip("/")


def _is_here(url: Any) -> bool:
    try:
        return url.scheme == "http" and (url.hostname == "localhost" or ip_address(url.hostname).is_loopback)
    except ValueError:
        return False


def _media(text: str) -> str:
    if text.count("{link}") != 1 or re.search(r"[{}\s]", text.replace("{link}", "")):
        raise ValueError(_("`media_url` is an address with {{link}} in it, such as '{{link}}/picture.jpg'").format())
    return text


AccountSid = Annotated[str, AfterValidator(lambda text: _sid("AC", text))]
KeySid = Annotated[str, AfterValidator(lambda text: _sid("SK", text))]
ContentSid = Annotated[str, AfterValidator(lambda text: _sid("HX", text))]
Sender = Annotated[str, AfterValidator(_sender)]
Url = Annotated[str, AfterValidator(_base)]


class Callback(BaseModel):
    """Where Twilio reaches us: `url` from outside, usually a proxy with a certificate that hands on to listen:port."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Url
    port: int = Field(ge=1, le=65535)
    listen: str = "127.0.0.1"


class TwilioConfig(BaseModel):
    """What every channel through Twilio has; docs/alerts.md says what each key means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_sid: AccountSid
    auth_token: Secret | None = None
    api_key: KeySid | None = None
    api_secret: Secret | None = None
    sender: Sender
    recipients: tuple[PhoneNumber, ...] = ()
    language: Literal["en", "es"] | None = None
    answers: float | None = Field(default=None, ge=0, le=3600)
    callback: Callback | None = None
    pictures: bool = False
    media_url: Annotated[str, AfterValidator(_media)] | None = None
    timeout_s: float = Field(default=15.0, gt=0, le=60)
    api_base: Url = TWILIO

    @model_validator(mode="after")
    def _login_is_whole(self) -> "TwilioConfig":
        if bool(self.api_key) != bool(self.api_secret):
            raise ValueError(_("`api_key` and `api_secret` go together: give both or neither"))
        if not self.auth_token and not self.api_key:
            raise ValueError(_("a login is missing: `auth_token`, or `api_key` and `api_secret`"))
        if self.callback and not self.auth_token:
            raise ValueError(_("`callback` needs `auth_token`: Twilio signs with it, and an API key can't check that"))
        return self

    @model_validator(mode="after")
    def _answers_can_come(self) -> "TwilioConfig":
        if self.answers and not self.sender.startswith("+"):
            raise ValueError(_("`answers` needs a telephone number as `sender`; a messaging service needs `callback`"))
        if self.pictures and not self.callback and not self.media_url:
            raise ValueError(_("`pictures` needs `callback` or `media_url`: Twilio fetches a picture from an address"))
        return self

    @property
    def poll_s(self) -> float:
        """Seconds between two looks for answers, 0 for none."""
        if self.answers is not None:
            return self.answers
        return USUAL_POLL_S if self.sender.startswith("+") and not self.callback else 0.0


@dataclass(slots=True)
class Account:
    """Requests to Twilio. Each raises NotifyError or NoticeRefused; may be used from several threads.

    prefix: before every number, "" or "whatsapp:". token: for signatures, None without one.
    """

    config: TwilioConfig
    prefix: str = ""
    _login: tuple[str, Any] = field(default=("", None), repr=False)
    _made: "Client | None" = field(default=None, repr=False)
    _making: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        """Read the secret once, so that a site whose secret is missing does not start. Raises ConfigError."""
        if self.config.api_key and self.config.api_secret:
            self._login = (self.config.api_key, self.config.api_secret.read())
        elif self.config.auth_token:
            self._login = (self.config.account_sid, self.config.auth_token.read())

    def send(self, number: str, fields: dict[str, Any]) -> str:
        """Hand one message over, and give Twilio's name for it. fields: of the package's `messages.create`."""
        sender = self.config.sender
        origin = {"messaging_service_sid": sender} if SERVICE.fullmatch(sender) else {"from_": self._address(sender)}
        with self._asking(number) as client:
            return str(client.messages.create(to=self._address(number), **origin, **fields).sid)

    def recent_to(self, number: str, *, limit: int) -> Sequence["MessageInstance"]:
        """The newest messages to this number, newest first, those that still wait among them."""
        with self._asking() as client:
            return list(client.messages.list(to=self._address(number), limit=limit))

    def received(self, *, since: datetime, limit: int, number: str = "") -> Sequence["MessageInstance"]:
        """The newest messages that people wrote to the sender (from `number`, when given) since then."""
        search: dict[str, Any] = {"date_sent_after": since, "limit": limit}
        if self.config.sender.startswith("+"):
            search["to"] = self._address(self.config.sender)
        if number:
            search["from_"] = self._address(number)
        with self._asking() as client:
            return [each for each in client.messages.list(**search) if each.direction == "inbound"]

    def fetch(self, sid: str) -> "MessageInstance | None":
        """One message as it is now; None when Twilio has none of that name."""
        from twilio.base.exceptions import TwilioRestException  # noqa: PLC0415  # because it takes 19 MB

        with self._asking() as client:
            try:
                return client.messages(sid).fetch()
            except TwilioRestException as exc:
                if exc.status == NOT_FOUND:
                    return None
                raise

    def check(self) -> str:
        """Who answered. Raises NoticeRefused when the login or the account won't do."""
        try:
            with self._asking() as client:
                if self.config.api_key:  # a standard key may not read the account: twilio.com/docs/iam/api-keys
                    client.messages.list(limit=1, page_size=1)
                    return _("Twilio, account {account}, key {key}; sender {sender}").format(
                        account=self.config.account_sid, key=self.config.api_key, sender=self.config.sender
                    )
                account = client.api.accounts(self.config.account_sid).fetch()
        except WrongLogin as exc:
            raise NoticeRefused(str(exc)) from exc
        if account.status != "active":
            raise NoticeRefused(f"Twilio: the account is {account.status}: see the Twilio console")
        return _("Twilio, account {account} ({name}); sender {sender}").format(
            account=self.config.account_sid, name=one_line(account.friendly_name or ""), sender=self.config.sender
        )

    def _address(self, number: str) -> str:
        return f"{self.prefix}{number}"

    @contextmanager
    def _asking(self, to: str = "") -> Iterator["Client"]:
        from twilio.base.exceptions import (  # noqa: PLC0415  # because it takes 19 MB
            TwilioException,
            TwilioRestException,
            TwilioServiceException,
        )

        try:
            yield self._client()
        except (TwilioRestException, TwilioServiceException) as exc:
            raise told(exc, to=to) from exc
        except (
            TwilioException,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
        ) as exc:  # an answer that is not what Twilio says
            raise NotifyError(f"Twilio: an answer that can't be read ({type(exc).__name__})") from exc

    def _client(self) -> "Client":
        from twilio.rest import Client  # noqa: PLC0415  # because it takes 19 MB

        with self._making:
            if self._made is None:
                username, secret = self._login
                self._made = Client(
                    username,
                    secret.expose(),
                    self.config.account_sid,
                    http_client=BoundedHttp(self.config.api_base, self.config.timeout_s),
                    environment={"TIGRILLO": "1"},  # not ours: TWILIO_EDGE and TWILIO_REGION would send us elsewhere
                )
            return self._made
