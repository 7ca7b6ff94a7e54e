"""The session with a mail server (SMTP): encryption, login, one mail handed over; what it says, as errors of ours."""

import base64
import smtplib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from edge.api import NoticeRefused, NotifyError, one_line

PORTS = {"starttls": 587, "tls": 465, "none": 25}  # RFC 8314, RFC 6409, RFC 5321
HELO = "[127.0.0.1]"  # RFC 5321 address literal; asking DNS for our own name can hang for longer than timeout_s
LOGIN_WANTED = (530, 534, 535, 538)  # RFC 4954: about us and the server, not about this mail
NOT_ASKED = (421, b"the server ended the session before it was asked")
MAILBOX_FULL = b"5.2.2"  # RFC 3463; shares the code 552 with a mail that is too large
TOO_LARGE = "the mail is larger than the server takes"

Refusals = Mapping[str, tuple[int, bytes]]


class SetupWrong(NotifyError):
    """Somebody has to mend the settings: a wrong login, a folder that is not there. Mails wait until then."""


class TooLarge(Exception):
    """The server does not take a mail of this size."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where to hand over mails. tls: None for security "none". username: "" without a login."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    tls: ssl.SSLContext | None
    username: str
    password: str = field(repr=False)
    timeout_s: float

    @property
    def place(self) -> str:
        """As people write it."""
        return f"{self.host}:{self.port}"

    @contextmanager
    def session(self) -> Iterator[smtplib.SMTP]:
        """A session that is encrypted and logged in as configured.

        Whatever goes wrong with the server in it is a NotifyError of one line, a SetupWrong when the login is refused.
        """
        try:
            with self._connect() as server:
                if self.security == "starttls":
                    server.starttls(context=self.tls)
                server.ehlo_or_helo_if_needed()
                if self.username:
                    _log_in(server, self.username, self.password)
                yield server
        except (smtplib.SMTPException, OSError) as exc:
            wrong = isinstance(exc, smtplib.SMTPAuthenticationError) and exc.smtp_code >= 500
            raise (SetupWrong if wrong else NotifyError)(f"mail server {self.place}: {_explain(exc)}") from exc

    @contextmanager
    def _connect(self) -> Iterator[smtplib.SMTP]:
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, local_hostname=HELO, timeout=self.timeout_s, context=self.tls
            )
        else:
            server = smtplib.SMTP(self.host, self.port, local_hostname=HELO, timeout=self.timeout_s)
        try:
            yield server
            # The mail is accepted by now: a server that is rude at the door must not make us send it twice. Its goodbye
            # is not waited for, as RFC 5321 says one should: a crash meanwhile would send again what is sent.
            with suppress(smtplib.SMTPException, OSError):
                server.putcmd("QUIT")
        finally:
            server.close()

    def submit(self, server: smtplib.SMTP, raw: bytes, sender: str, recipients: Sequence[str]) -> Refusals:
        """Hand over one mail; returns the recipients that the server refused, with its answers: nobody else lacks it.

        sender, recipients: bare addresses. Raises TooLarge (the session goes on), NoticeRefused when the server will
        never take this mail, and smtplib's own errors when it does not take it now.
        """
        most = server.esmtp_features.get("size", "")  # RFC 1870; 0 says that there is no fixed limit
        if most.isdecimal() and 0 < int(most) < len(raw):
            raise TooLarge(TOO_LARGE)
        try:
            return server.sendmail(sender, list(recipients), raw)
        except smtplib.SMTPRecipientsRefused as exc:
            # Nobody has it. After a 421 the others were not even asked, and smtplib does not name them.
            return {each: exc.recipients.get(each, NOT_ASKED) for each in recipients}
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as exc:
            text = exc.smtp_error if isinstance(exc.smtp_error, bytes) else exc.smtp_error.encode()
            if _is_about_size(exc.smtp_code, text):
                raise TooLarge(TOO_LARGE) from exc
            if exc.smtp_code < 500 or exc.smtp_code in LOGIN_WANTED or text.startswith(MAILBOX_FULL):
                raise
            raise NoticeRefused(f"mail server {self.place}: {_explain(exc)}") from exc

    def refused(self, refusals: Refusals) -> str:
        """What the server said about recipients, in one line."""
        return f"mail server {self.place}: " + "; ".join(map(_refusal, refusals, refusals.values()))


def _is_about_size(code: int, text: bytes) -> bool:
    """552 by RFC 1870; 5.2.3 and 5.3.4 by RFC 3463 under any code."""
    if text.startswith((b"5.2.3", b"5.3.4")):
        return True
    return code == 552 and not text.startswith(MAILBOX_FULL)


def _log_in(server: smtplib.SMTP, username: str, password: str) -> None:
    """Log in by what the server offers. smtplib knows ASCII only, so a `contraseña` goes by PLAIN, which is UTF-8."""
    if (username + password).isascii():
        server.login(username, password)
        return
    if "PLAIN" not in server.esmtp_features.get("auth", "").upper().split():
        raise smtplib.SMTPNotSupportedError
    token = base64.b64encode(f"\0{username}\0{password}".encode()).decode()  # RFC 4616
    code, answer = server.docmd("AUTH", f"PLAIN {token}")
    if code != 235:  # RFC 4954: authentication succeeded
        raise smtplib.SMTPAuthenticationError(code, answer)


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
        permanent = exc.smtp_code >= 500
        if not isinstance(exc, smtplib.SMTPAuthenticationError):
            return f"refused the mail {'permanently' if permanent else 'for now'}: {exc.smtp_code} {answer}"
        check = ": check `username` and `password`" if permanent else ""
        return f"refused the login {'permanently' if permanent else 'for now'}: {exc.smtp_code} {answer}{check}"
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return one_line(str(exc)) or type(exc).__name__
