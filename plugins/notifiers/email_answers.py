"""What people answer to the channel `email`: a mailbox that is looked into every so often (IMAP).

Each look is a connection of its own, so that none can go stale unnoticed. A mail is marked as read once it was dealt
with, and only then answered: at most once, so that two machines can't keep each other busy. How many answers of one
sender are heard in an hour is bounded for the same reason.
"""

import imaplib
import ssl
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from edge.api import NotifyError, Reply, RetryableError, Services, one_line

from .email_reading import Letter, NotHeard, read_letter
from .email_smtp import SetupWrong

IMAP_PORTS = {"starttls": 143, "tls": 993}  # RFC 8314
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # RFC 3501, in no locale
OLDEST = timedelta(days=7)  # an answer that lay there longer is left alone: what it is about is over
MOST_A_LOOK = 50  # mails; the others wait for the next look
MOST_BYTES = 65_536  # of a mail; an answer stands at its beginning
MOST_SENDERS = 1000  # that are counted; the one that was quiet longest is forgotten
HOUR_S = 3600.0
LONGEST_PAUSE_S = 1800.0  # between two tries while the server can't be reached; a login is not tried often (fail2ban)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where the answers arrive. done_folder: where those that were dealt with go; "" leaves them, marked as read."""

    host: str
    port: int
    security: Literal["tls", "starttls"]
    tls: ssl.SSLContext
    username: str
    password: str = field(repr=False)
    timeout_s: float
    folder: str
    done_folder: str = ""

    @property
    def place(self) -> str:
        """As people write it."""
        return f"{self.host}:{self.port}"

    @contextmanager
    def opened(self, *, only_look: bool = False) -> Iterator["OpenMailbox"]:
        """The folder, selected. Raises NotifyError of one line; SetupWrong for a refused login or a missing folder."""
        try:
            imap = self._connect()
            try:
                self._log_in(imap)
                self._select(imap, only_look=only_look)
                yield OpenMailbox(imap, self.done_folder)
            finally:
                with suppress(imaplib.IMAP4.error, OSError):
                    imap.logout()
                with suppress(OSError):  # what could not say good-bye leaves its socket open
                    imap.shutdown()
        except (imaplib.IMAP4.error, OSError) as exc:
            raise NotifyError(f"mailbox {self.place}: {_explain(exc)}") from exc

    def _connect(self) -> imaplib.IMAP4:
        if self.security == "tls":
            return imaplib.IMAP4_SSL(self.host, self.port, ssl_context=self.tls, timeout=self.timeout_s)
        imap = imaplib.IMAP4(self.host, self.port, timeout=self.timeout_s)
        try:
            imap.starttls(self.tls)
        except BaseException:
            with suppress(OSError):
                imap.shutdown()
            raise
        return imap

    def _log_in(self, imap: imaplib.IMAP4) -> None:
        """By PLAIN (RFC 4616), which is UTF-8, or by LOGIN, which is not."""
        try:
            if "AUTH=PLAIN" in imap.capabilities:
                token = f"\0{self.username}\0{self.password}".encode()
                imap.authenticate("PLAIN", lambda _challenge: token)
            elif (self.username + self.password).isascii() and (self.username + self.password).isprintable():
                imap.login(self.username, self.password)
            else:
                raise SetupWrong(f"mailbox {self.place}: it offers no login that takes this name or password")
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as exc:
            said = _said(exc)
            kind = NotifyError if "[UNAVAILABLE]" in said.upper() else SetupWrong  # RFC 5530
            raise kind(f"mailbox {self.place}: refused the login: {said}") from exc

    def _select(self, imap: imaplib.IMAP4, *, only_look: bool) -> None:
        answer, said = imap.select(_quoted(self.folder), readonly=only_look)
        if answer != "OK":
            reason = one_line(bytes(said[0] or b"").decode("utf-8", "replace"))
            raise SetupWrong(f"mailbox {self.place}: folder {self.folder!r} can't be opened: {reason}")


@dataclass(frozen=True, slots=True)
class OpenMailbox:
    """A selected folder."""

    imap: imaplib.IMAP4
    done_folder: str

    def unread(self, since: date) -> list[str]:
        """UIDs of unread mails that arrived since, oldest first."""
        day = f"{since.day:02}-{MONTHS[since.month - 1]}-{since.year}"
        return " ".join(_text(each) for each in self._uid("SEARCH", "UNSEEN", "UNDELETED", "SINCE", day)).split()

    def read(self, uid: str) -> bytes:
        """The beginning of a mail, b"" when it is gone by now; it stays unread."""
        for part in self._uid("FETCH", uid, f"(BODY.PEEK[]<0.{MOST_BYTES}>)"):
            if isinstance(part, tuple):
                return bytes(part[1])
        return b""

    def finish(self, uid: str) -> None:
        """Mark a mail as read and put it where such mails go; it stays where the server can't move it (RFC 6851)."""
        self._uid("STORE", uid, "+FLAGS.SILENT", r"(\Seen)")
        if self.done_folder and "MOVE" in _text(self.imap.capability()[1][0]).upper().split():
            self.imap.create(_quoted(self.done_folder))  # says NO when it is there
            self._uid("MOVE", uid, _quoted(self.done_folder))

    def _uid(self, command: str, *args: str) -> list[object]:
        answer, said = self.imap.uid(command, *args)
        if answer != "OK":
            raise imaplib.IMAP4.error(f"{command}: {_text(said[0] if said else b'')}")
        return list(said)


@dataclass(frozen=True, slots=True)
class Listener:
    """Looks into the mailbox every `every_s` seconds. See read_letter for at_domain, ours, trusted."""

    mailbox: Mailbox
    services: Services
    answer: Callable[[Letter, str], None]
    every_s: float
    most_an_hour: int
    at_domain: str
    ours: frozenset[str]
    trusted: str
    heard: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def listen(self, hear: Callable[[Reply], str], stop: threading.Event) -> None:
        """See edge.hookspecs.Hears."""
        pause_s, failures = 0.0, 0
        while not stop.wait(pause_s):
            try:
                self.look(hear, stop)
            except RetryableError as exc:
                failures += 1
                pause_s = min(self.every_s * 2.0 ** min(failures, 16), max(LONGEST_PAUSE_S, self.every_s))
                self.services.log.warning("email.unheard", reason=str(exc), again_in_s=pause_s)
            else:
                pause_s, failures = self.every_s, 0

    def look(self, hear: Callable[[Reply], str], stop: threading.Event) -> int:
        """Deal with what is unread now; returns how many mails were given to `hear`. Raises RetryableError."""
        count = 0
        with self.mailbox.opened() as folder:
            for uid in folder.unread((self.services.clock.now() - OLDEST).date())[:MOST_A_LOOK]:
                if stop.is_set():
                    break
                count += self._take(folder, uid, hear)
        return count

    def _take(self, folder: OpenMailbox, uid: str, hear: Callable[[Reply], str]) -> bool:
        raw = folder.read(uid)
        if not raw:
            return False
        try:
            letter = read_letter(raw, at_domain=self.at_domain, ours=self.ours, trusted=self.trusted)
            self._count(letter.sender)
        except NotHeard as exc:
            self.services.log.info("email.not_heard", reason=str(exc))
            folder.finish(uid)
            return False
        text = hear(Reply("email", letter.sender, letter.text, letter.id, letter.about))
        folder.finish(uid)
        if text:
            self.answer(letter, text)
        return True

    def _count(self, sender: str) -> None:
        """Raises NotHeard when this sender was heard often enough within the last hour."""
        now_s = self.services.clock.monotonic_s()
        times = self.heard.pop(sender, deque())
        while times and times[0] <= now_s - HOUR_S:
            times.popleft()
        self.heard[sender] = times
        while len(self.heard) > MOST_SENDERS:
            self.heard.popitem(last=False)
        if len(times) >= self.most_an_hour:
            raise NotHeard(f"{sender} was heard {self.most_an_hour} times within an hour")
        times.append(now_s)


def _quoted(folder: str) -> str:
    return f'"{folder}"'  # the settings allow neither " nor \


def _text(said: object) -> str:
    return bytes(said).decode("latin-1") if isinstance(said, bytes) else ""


def _said(exc: Exception) -> str:
    said = exc.args[0] if exc.args else ""
    return one_line(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said))


def _explain(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({exc.verify_message}): check `host`, or give its CA as `ca_file`"
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return _said(exc) or type(exc).__name__ if isinstance(exc, imaplib.IMAP4.error) else one_line(str(exc))
