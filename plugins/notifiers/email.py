"""Notifier `email`: an alert as a mail with its picture, handed to a mail server (SMTP).

An alert's Message-ID is made of its key, so a mail that is sent again after a crash is the same mail to a mailbox that
looks. A mail server may take the mail for some recipients only: those are remembered, and the next attempt goes to the
others.
"""

import base64
import hashlib
import re
import smtplib
import ssl
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge.api import (
    ConfigError,
    Notice,
    NotifierSpec,
    NotifyError,
    Secret,
    Services,
    Wording,
    _,
    foreign,
    hookimpl,
    one_line,
    translate,
)

# 7bit: also a server without 8BITMIME gets every letter through. Lines end as SMTP wants them.
POLICY = policy.SMTP.clone(cte_type="7bit")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_BARE = rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*"  # what every mail server takes, RFC 5321 without quotes
ADDRESS = re.compile(rf"(?:(?P<name>[^<>@,;:\"\\()\[\]]*)<(?P<boxed>{_BARE})>|(?P<plain>{_BARE}))")
PORTS = {"starttls": 587, "tls": 465, "none": 25}  # RFC 8314, RFC 6409, RFC 5321
HALF_SENT_KEPT = 1000  # alerts of which we remember who has them; beyond that the oldest is forgotten
LOST = "The picture could not be read any more."
HELO = "[127.0.0.1]"  # RFC 5321 address literal; asking DNS for our own name can hang for longer than timeout_s


def _checked(text: str) -> str:
    if not text.isprintable() or not ADDRESS.fullmatch(text):
        raise ValueError(
            _("{text!r} is no mail address: write name@example.org or 'Name <name@example.org>'").format(text=text[:80])
        )
    return text


MailAddress = Annotated[str, AfterValidator(_checked)]


class EmailConfig(BaseModel):
    """A mail server, and whom to write to.

    security: `starttls` (port 587), `tls` from the first byte (465) or `none` (25); the certificate is always checked,
    against `ca_file` when given. username, password: both or neither. language: the site's when left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = None
    username: str = ""
    password: Secret | None = None
    sender: MailAddress
    recipients: tuple[MailAddress, ...] = ()
    language: Literal["en", "es"] | None = None
    timeout_s: float = Field(default=30.0, gt=0, le=300)

    @model_validator(mode="after")
    def _login_is_whole_and_safe(self) -> "EmailConfig":
        if bool(self.username) != (self.password is not None):
            raise ValueError(_("`username` and `password` go together: give both or neither"))
        if self.username and self.security == "none":
            raise ValueError(_("`security: none` would send the password readable: use starttls or tls"))
        return self


@dataclass(frozen=True, slots=True)
class EmailNotifier:
    """Writes and sends the mail of an alert. accepted: alert key → recipients who have it while others don't."""

    config: EmailConfig
    services: Services
    password: str = field(repr=False)
    tls: ssl.SSLContext | None
    accepted: OrderedDict[str, frozenset[str]] = field(default_factory=OrderedDict)

    def send(self, notice: Notice, *, picture: bytes) -> None:
        """Hand the mail to the server; returns when it was accepted for every recipient. Raises NotifyError."""
        message = self.write(notice, picture=picture)
        has_it = self.accepted.get(notice.key, frozenset())
        missing = [each for each in map(_bare, self._addressees(notice)) if each not in has_it]
        with self._connected() as server:
            refused = _submit(server, message, _bare(self.config.sender), missing)
        if not refused:
            self.accepted.pop(notice.key, None)
            return
        self.accepted[notice.key] = has_it | (set(missing) - set(refused))
        while len(self.accepted) > HALF_SENT_KEPT:
            self.accepted.popitem(last=False)
        raise NotifyError(f"mail server {self._place}: " + "; ".join(map(_refusal, refused, refused.values())))

    def write(self, notice: Notice, *, picture: bytes) -> EmailMessage:
        """The mail: text, and HTML with the picture inside it; only text when there is no picture."""
        words, language = notice.words, notice.language
        digest = hashlib.sha256(notice.key.encode()).hexdigest()[:40]
        domain = _bare(self.config.sender).rpartition("@")[2]
        message = EmailMessage(POLICY)
        message["Subject"] = words.headline
        message["From"] = _parsed(self.config.sender)
        message["To"] = [_parsed(each) for each in self._addressees(notice)]
        message["Date"] = format_datetime(self.services.clock.now())
        message["Message-ID"] = f"<{digest}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies, please
        lost = "" if picture or notice.alert is None else translate(LOST, language)
        message.set_content(_text(words, lost))
        message.add_alternative(_html(words, lost, cid=digest if picture else "", language=language), subtype="html")
        message["Content-Language"] = language  # last: content headers that are there go to the first part
        if picture:
            parts = message.get_payload()
            assert isinstance(parts, list)
            html = parts[1]
            assert isinstance(html, EmailMessage)
            frame_id = notice.alert.frame_id if notice.alert else "picture"
            name = f"{re.sub(r'[^A-Za-z0-9._-]', '_', f'{notice.station}-{frame_id}')[:120]}.jpg"
            html.add_related(picture, "image", "jpeg", cid=f"<{digest}>", filename=name, disposition="inline")
        return message

    def _addressees(self, notice: Notice) -> tuple[str, ...]:
        return (notice.to,) if notice.to else self.config.recipients

    @property
    def _port(self) -> int:
        return self.config.port or PORTS[self.config.security]

    @property
    def _place(self) -> str:
        return f"{self.config.host}:{self._port}"

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A session that is encrypted and logged in as configured; whatever goes wrong is a NotifyError of one line."""
        try:
            with self._connect() as server:
                if self.config.security == "starttls":
                    server.starttls(context=self.tls)
                if self.config.username:
                    _log_in(server, self.config.username, self.password)
                yield server
        except (smtplib.SMTPException, OSError) as exc:
            raise NotifyError(f"mail server {self._place}: {_explain(exc)}") from exc

    @contextmanager
    def _connect(self) -> Iterator[smtplib.SMTP]:
        host, port, timeout_s = self.config.host, self._port, self.config.timeout_s
        if self.config.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, local_hostname=HELO, timeout=timeout_s, context=self.tls
            )
        else:
            server = smtplib.SMTP(host, port, local_hostname=HELO, timeout=timeout_s)
        try:
            yield server
            # The mail is accepted by now; a server that is rude at the door must not make us send it twice.
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
        finally:
            server.close()


def _log_in(server: smtplib.SMTP, username: str, password: str) -> None:
    """Log in by what the server offers. smtplib knows ASCII only, so a `contraseña` goes by PLAIN, which is UTF-8."""
    if (username + password).isascii():
        server.login(username, password)
        return
    server.ehlo_or_helo_if_needed()
    if "PLAIN" not in server.esmtp_features.get("auth", "").upper().split():
        raise smtplib.SMTPNotSupportedError
    token = base64.b64encode(f"\0{username}\0{password}".encode()).decode()  # RFC 4616
    code, answer = server.docmd("AUTH", f"PLAIN {token}")
    if code != 235:  # RFC 4954: authentication succeeded
        raise smtplib.SMTPAuthenticationError(code, answer)


Refusals = dict[str, tuple[int, bytes]]


def _submit(server: smtplib.SMTP, message: EmailMessage, sender: str, recipients: list[str]) -> Refusals:
    """Hand over one mail; returns the recipients that the server refused, with its answers."""
    try:
        return server.send_message(message, sender, recipients)
    except smtplib.SMTPRecipientsRefused as exc:
        return exc.recipients


def _refusal(recipient: str, answer: tuple[int, bytes]) -> str:
    code, text = answer
    kind = "permanently refused" if code >= 500 else "refused for now"
    return f"{recipient} {kind}: {code} {one_line(text.decode('utf-8', 'replace'))}"


def _explain(exc: smtplib.SMTPException | OSError) -> str:
    if isinstance(exc, smtplib.SMTPNotSupportedError):
        return "it offers no STARTTLS, or no login that fits: check `port` and `security`"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({exc.verify_message}): check `host`, or give its CA as `ca_file`"
    if isinstance(exc, smtplib.SMTPResponseException):
        text = exc.smtp_error
        answer = one_line(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
        kind = "refused the login" if isinstance(exc, smtplib.SMTPAuthenticationError) else "refused the mail"
        return f"{kind}{' permanently' if exc.smtp_code >= 500 else ' for now'}: {exc.smtp_code} {answer}"
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return one_line(str(exc)) or type(exc).__name__


def _parsed(text: str) -> Address:
    found = ADDRESS.fullmatch(text)
    assert found is not None  # the config was checked
    return Address((found["name"] or "").strip(), addr_spec=found["boxed"] or found["plain"])


def _bare(address: str) -> str:
    return _parsed(address).addr_spec


def _text(words: Wording, lost: str) -> str:
    lines = [f"{label}: {value}" for label, value in words.rows]
    return "\n".join([words.headline, "", *lines, *(["", lost] if lost else []), ""])


def _html(words: Wording, lost: str, *, cid: str, language: str) -> str:
    """Plain enough for any mail reader; every value is escaped."""
    rows = "".join(
        f'<tr><th align="left" valign="top">{escape(label)}</th><td>{escape(value)}</td></tr>\n'
        for label, value in words.rows
    )
    headline = escape(words.headline)
    image = f'<p><img src="cid:{cid}" alt="{headline}" style="max-width:100%"></p>\n' if cid else ""
    note = f"<p><em>{escape(lost)}</em></p>\n" if lost else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{headline}</title></head>\n'
        f'<body style="font-family:sans-serif">\n<h2>{headline}</h2>\n{image}{note}'
        f'<table cellpadding="4">\n{rows}</table>\n</body></html>\n'
    )


@contextmanager
def build(config: EmailConfig, services: Services) -> Iterator[EmailNotifier]:
    """Read the password and the CA once, so that a site whose secret is missing does not start. Raises ConfigError."""
    password = config.password.reveal() if config.password else ""
    try:
        tls = None if config.security == "none" else ssl.create_default_context(cafile=config.ca_file)
    except OSError as exc:
        problem = _("ca_file {path}: is no certificate that can be read: {reason}")
        raise ConfigError(problem.format(path=config.ca_file, reason=foreign(exc))) from exc
    yield EmailNotifier(config, services, password, tls)


SPEC = NotifierSpec("email", EmailConfig, build, address=_checked, has_own=lambda config: bool(config.recipients))


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[EmailConfig]]:
    """Name this channel."""
    return [SPEC]
