"""Notifier `email`: a notice as a mail with its picture, handed to a mail server (SMTP); answers from a mailbox (IMAP).

A mail's Message-ID is made of the notice's key and the attempt: one that is sent again because nobody knows what came
of it is a mail of its own, in the same thread. A mail server may take a mail for some recipients only: those are
remembered, and the next attempt goes to the others.

This file: settings, and who gets what. email_text.py writes, email_smtp.py hands over; email_answers.py hears and
email_reading.py reads what people answer; email_names.py: addresses and ids, email_journal.py: who has a mail already.
"""

import smtplib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge.api import (
    ConfigError,
    Notice,
    NoticeRefused,
    NotifierSpec,
    NotifyError,
    Reply,
    Secret,
    Services,
    _,
    foreign,
    hookimpl,
)

from .email_answers import IMAP_PORTS, Listener, Mailbox
from .email_journal import HalfSent
from .email_names import bare, checked, digest, message_id, parsed, tidied
from .email_reading import Letter
from .email_smtp import PORTS, MailServer, Refusals, SetupWrong, TooLarge
from .email_text import Letterhead, write_answer, write_notice

MailAddress = Annotated[str, AfterValidator(checked)]
Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]*$", max_length=100)]  # needs no encoding in IMAP


class AnswersConfig(BaseModel):
    """The mailbox that people's answers arrive in; it is for this alone, because every mail in it is marked as read.

    host, username, password, ca_file: the mail server's when left out. address: where people write to; the sender's
    when left out. done_folder: where mails go that were dealt with; left out, they stay, marked as read. most_an_hour:
    answers of one sender that are heard. require_auth: only mails that the receiving server `authserv_id` found to be
    from the sender's domain (DMARC, DKIM or SPF passed).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = ""
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Literal["tls", "starttls"] = "tls"
    ca_file: Path | None = None
    username: str = ""
    password: Secret | None = None
    address: MailAddress | None = None
    folder: Folder = "INBOX"
    done_folder: Folder | None = None
    every_s: float = Field(default=60.0, ge=1, le=3600)
    most_an_hour: int = Field(default=30, ge=1, le=1000)
    require_auth: bool = False
    authserv_id: str = Field(default="", pattern=r"^[A-Za-z0-9.-]*$")

    @model_validator(mode="after")
    def _login_is_whole_and_server_is_named(self) -> "AnswersConfig":
        if bool(self.username) != (self.password is not None):
            raise ValueError(_("`username` and `password` go together: give both or neither"))
        if self.require_auth and not self.authserv_id:
            raise ValueError(
                _(
                    "`require_auth` needs `authserv_id`: the first word of the Authentication-Results of a mail that "
                    "you received"
                )
            )
        return self


class EmailConfig(BaseModel):
    """A mail server, and whom to write to.

    security: `starttls` (port 587), `tls` from the first byte (465) or `none` (25); the certificate is always checked,
    against `ca_file` when given. username, password: both or neither. language: the site's when left out.
    unsubscribe_url: a page where people can end the mails, for List-Unsubscribe. answers: left out, nobody reads any.
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
    unsubscribe_url: str = Field(default="", pattern=r"^(https://[!-;=?-~]{1,500})?$")
    answers: AnswersConfig | None = None

    @model_validator(mode="after")
    def _login_is_whole_and_safe(self) -> "EmailConfig":
        if bool(self.username) != (self.password is not None):
            raise ValueError(_("`username` and `password` go together: give both or neither"))
        if self.username and self.security == "none":
            raise ValueError(_("`security: none` would send the password readable: use starttls or tls"))
        if self.answers and not (self.answers.username or self.username):
            raise ValueError(_("`answers` needs a login: give `username` and `password` there"))
        return self

    @property
    def answers_to(self) -> str:
        """The bare address where people's answers are read; "" when nobody reads any."""
        return bare(self.answers.address or self.sender) if self.answers else ""


@dataclass(frozen=True, slots=True)
class EmailNotifier:
    """Writes and sends the mail of a notice. half_sent: who has a mail while others don't."""

    config: EmailConfig
    services: Services
    server: MailServer
    head: Letterhead
    half_sent: HalfSent

    def send(self, notice: Notice, *, picture: bytes) -> str:
        """Hand the mail to the server; returns its Message-ID when it was accepted for every recipient.

        A picture that makes it too large for the server is left out, and the mail says so. Raises NoticeRefused when
        the server will never take it, or only for some; NotifyError for everything that may change.
        """
        has_it = self.half_sent.have(notice.key)
        missing = [
            each for each in dict.fromkeys(to.addr_spec for to in self._addressees(notice)) if each not in has_it
        ]
        with self.server.session() as session:
            refused = self._hand_over(session, notice, picture, missing) if missing else {}
        if refused:
            self._remember(notice.key, has_it | (set(missing) - set(refused)), refused)
        self.half_sent.forget(notice.key)
        return message_id(notice.key, self.head.domain, notice.attempt)

    def write(self, notice: Notice, *, picture: bytes, too_large: bool = False) -> EmailMessage:
        """The mail. Raises NoticeRefused when it is to nobody."""
        at = self.services.clock.now()
        return write_notice(self.head, notice, self._addressees(notice), at=at, picture=picture, too_large=too_large)

    def check(self) -> str:
        """Log in to the mail server without sending anything. Raises NotifyError, NoticeRefused for a wrong login."""
        with _set_up_right(), self.server.session():
            return _("mail server {place} takes mails").format(place=self.server.place)

    def _hand_over(self, session: smtplib.SMTP, notice: Notice, picture: bytes, missing: list[str]) -> Refusals:
        sender = bare(self.config.sender)
        for shown, too_large in ((picture, False), (b"", True)):
            raw = self.write(notice, picture=shown, too_large=too_large).as_bytes()
            try:
                return self.server.submit(session, raw, sender, missing)
            except TooLarge:
                if not picture:
                    break
        raise NoticeRefused(f"mail server {self.server.place}: the mail is too large for it, also without a picture")

    def _remember(self, key: str, have: set[str] | frozenset[str], refused: Refusals) -> None:
        """Raise what the refusals mean; who has the mail is kept for the next attempt, if there is to be one."""
        reason = self.server.refused(refused)
        if all(code >= 500 for code, _text in refused.values()):
            self.half_sent.forget(key)
            raise NoticeRefused(reason + ("; the other recipients have it" if have else ""))
        if have:
            self.half_sent.keep(key, have)
        raise NotifyError(reason)

    def _addressees(self, notice: Notice) -> list[Address]:
        try:
            found = (
                [parsed(checked(notice.to), name=notice.person)] if notice.to else map(parsed, self.config.recipients)
            )
            people = list(found)
        except ValueError as exc:
            raise NoticeRefused(str(exc)) from exc
        if not people:
            raise NoticeRefused("the mail is to nobody: it names no address, and the channel has no `recipients`")
        return people


@dataclass(frozen=True, slots=True)
class AnsweredEmailNotifier(EmailNotifier):
    """An EmailNotifier that people can answer."""

    mailbox: Mailbox

    def check(self) -> str:
        """Log in to the mail server and to the mailbox; as EmailNotifier."""
        said = EmailNotifier.check(self)
        with _set_up_right(), self.mailbox.opened(only_look=True):
            return said + "; " + _("answers are read from {place}").format(place=self.mailbox.place)

    def listen(self, hear: Callable[[Reply], str], stop: threading.Event) -> None:
        """See edge.hookspecs.Hears."""
        settings = self.config.answers
        assert settings is not None
        Listener(
            mailbox=self.mailbox,
            services=self.services,
            answer=self._answer,
            every_s=settings.every_s,
            most_an_hour=settings.most_an_hour,
            at_domain=self.head.domain,
            ours=frozenset(map(tidied, (self.config.sender, self.config.answers_to))),
            trusted=settings.authserv_id if settings.require_auth else "",
        ).listen(hear, stop)

    def _answer(self, letter: Letter, text: str) -> None:
        """A failure costs this mail only: what was asked for has been done, and who gets no answer asks again."""
        message = write_answer(
            self.head,
            letter.sender,
            text,
            subject=letter.subject,
            answered=letter.message_id,
            key=f"answer/{digest(letter.id)}",
            at=self.services.clock.now(),
        )
        try:
            with self.server.session() as session:
                refused = self.server.submit(session, message.as_bytes(), bare(self.config.sender), [letter.sender])
            reason = self.server.refused(refused) if refused else ""
        except (NotifyError, NoticeRefused, TooLarge) as exc:
            reason = str(exc)
        if reason:
            self.services.log.warning("email.unanswered", reason=reason)


@contextmanager
def _set_up_right() -> Iterator[None]:
    """What somebody has to mend is refused for good, as ChecksOnline asks."""
    try:
        yield
    except SetupWrong as exc:
        raise NoticeRefused(str(exc)) from exc


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as exc:
        problem = _("ca_file {path}: is no certificate that can be read: {reason}")
        raise ConfigError(problem.format(path=ca_file, reason=foreign(exc))) from exc


@contextmanager
def build(config: EmailConfig, services: Services) -> Iterator[EmailNotifier]:
    """Read passwords and CAs once, so that a site whose secret is missing does not start. Raises ConfigError."""
    server = MailServer(
        host=config.host,
        port=config.port or PORTS[config.security],
        security=config.security,
        tls=None if config.security == "none" else _tls(config.ca_file),
        username=config.username,
        password=config.password.reveal() if config.password else "",
        timeout_s=config.timeout_s,
    )
    head = Letterhead(config.sender, config.answers_to, config.unsubscribe_url)
    half_sent = HalfSent(services)
    if config.answers is None:
        yield EmailNotifier(config, services, server, head, half_sent)
    else:
        yield AnsweredEmailNotifier(config, services, server, head, half_sent, _mailbox(config, config.answers, server))


def _mailbox(config: EmailConfig, answers: AnswersConfig, server: MailServer) -> Mailbox:
    own_tls = _tls(answers.ca_file or config.ca_file) if answers.ca_file or server.tls is None else server.tls
    return Mailbox(
        host=answers.host or config.host,
        port=answers.port or IMAP_PORTS[answers.security],
        security=answers.security,
        tls=own_tls,
        username=answers.username or config.username,
        password=answers.password.reveal() if answers.password else server.password,
        timeout_s=config.timeout_s,
        folder=answers.folder,
        done_folder=answers.done_folder or "",
    )


SPEC = NotifierSpec("email", EmailConfig, build, address=tidied, has_own=lambda config: bool(config.recipients))


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[EmailConfig]]:
    """Name this channel."""
    return [SPEC]
