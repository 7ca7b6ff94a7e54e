"""What `sms` and `whatsapp` share: send once, ask what became of it, hear answers, through one account at Twilio."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from edge.api import Notice, NoticeRefused, Receipt, Reply, Services

from .sms_memory import Memory, Sent
from .twilio_account import Account, TwilioConfig
from .twilio_answers import Inbox, poll
from .twilio_callback import Desk, serving
from .twilio_errors import AboutOne, WrongLogin, undelivered
from .twilio_http import NotSent, TooBusy
from .twilio_pictures import Shelf

LOOKED_THROUGH = 50  # newest messages to a number; a number gets a handful an hour
SKEW = timedelta(minutes=5)  # between our clock and Twilio's
PORT_PAUSE_S = 30.0  # until a port that is taken is tried again
STATES_KEPT = 1000  # of messages that Twilio told about; the oldest goes first
# Status of a message → state of a receipt. Source: Twilio's OpenAPI document, message_enum_status; others still wait.
STATES: dict[str, Literal["delivered", "failed"]] = {
    "delivered": "delivered",
    "read": "delivered",
    "failed": "failed",
    "undelivered": "failed",
    "canceled": "failed",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """One message, ready. body: what it says, or will say where Twilio puts it together. fields: of `messages.create`.

    parts: what stands in it, by which it is found again at Twilio.
    """

    body: str
    fields: Mapping[str, Any]
    parts: tuple[str, ...] = ()


Compose = Callable[[Notice, str, str], Letter]


@dataclass(slots=True)
class TwilioChannel:
    """A notifier.

    compose: (notice, number, address of its picture or "") → letter. write: an answer's text → its form.
    """

    name: str
    account: Account
    services: Services
    compose: Compose
    write: Callable[[str], str]
    memory: Memory
    shelf: Shelf = field(default_factory=Shelf)
    _states: OrderedDict[str, Receipt] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _serves: threading.Event = field(default_factory=threading.Event)

    @property
    def config(self) -> TwilioConfig:
        """The channel's settings."""
        return self.account.config

    def send(self, notice: Notice, *, picture: bytes) -> str:
        """Hand the message to Twilio for each addressee, and give its names there, with commas between.

        Who has it already, also from before a restart, gets it no second time. Raises NotifyError, NoticeRefused.
        """
        numbers = (notice.to,) if notice.to else self.config.recipients
        shown = self._show(notice, picture)
        ids: list[str] = []
        faults: list[AboutOne] = []
        refusals: list[str] = []
        for number in numbers:
            try:
                ids.append(self._send_once(notice, number, shown))
            except AboutOne as exc:  # the others may have theirs
                faults.append(exc)
            except NoticeRefused as exc:
                refusals.append(str(exc))
        if faults:
            raise faults[0]
        if not ids:
            raise NoticeRefused("; ".join(refusals) or f"{self.name}: nobody to write to: set `recipients`")
        for reason in refusals:
            self.services.log.warning("notify.refused", channel=notice.channel, reason=reason)
        return ",".join(ids)

    def receipts(self, ids: Sequence[str]) -> Mapping[str, Receipt]:
        """What is known of these messages; one to several people is delivered when all have it. Raises NotifyError."""
        found = {}
        for given in ids:
            known = [state for sid in given.split(",") if (state := self._state(sid))]
            if failed := [each for each in known if each.state == "failed"]:
                found[given] = failed[0]
            elif known:
                done = all(each.state == "delivered" for each in known)
                found[given] = Receipt("delivered" if done else "waiting")
        return found

    def check(self) -> str:
        """Who answered. Raises NotifyError (not reached), NoticeRefused (wrong credentials)."""
        return self.account.check()

    def listen(self, hear: Callable[[Reply], str], stop: threading.Event) -> None:
        """Hear answers by call-back, by looking for them, or both, until stopped."""
        inbox = Inbox(self.name, hear, self.memory, self.account.prefix)
        with ExitStack() as stack:
            if desk := self._desk(inbox):
                self._open(desk, stack, stop)
            if self.config.poll_s:
                poll(self.account, inbox, stop, self.services, self.write)
            stop.wait()

    def _desk(self, inbox: Inbox) -> Desk | None:
        callback, token = self.config.callback, self.config.auth_token
        if callback is None or token is None:
            return None
        return Desk(callback, token.read(), inbox, self._note, self.write, self.shelf, self.services)

    def _open(self, desk: Desk, stack: ExitStack, stop: threading.Event) -> None:
        """Serve until the stack is left; a port that is taken is tried again until stopped."""
        while not stop.is_set():
            try:
                stack.enter_context(serving(desk))
            except OSError as exc:
                where = f"{desk.callback.listen}:{desk.callback.port}"
                self.services.log.warning("answers.no_port", where=where, reason=str(exc), again_in_s=PORT_PAUSE_S)
                stop.wait(PORT_PAUSE_S)
                continue
            self._serves.set()
            stack.callback(self._serves.clear)
            return

    def _show(self, notice: Notice, picture: bytes) -> str:
        """The address at which Twilio finds the picture, "" when it goes without one."""
        if not self.config.pictures or not picture:
            return ""
        if self.config.media_url:
            return self.config.media_url.replace("{link}", notice.link) if notice.link else ""
        if self.config.callback is None or not self._serves.is_set():
            return ""
        return f"{self.config.callback.url}/pictures/{self.shelf.put(picture)}"

    def _send_once(self, notice: Notice, number: str, shown: str) -> str:
        before = self.memory.find(notice.key, number)
        if before is not None and (sid := before.sid or self._found(number, before)):
            self.memory.settle(notice.key, number, sid)
            return sid
        letter = self.compose(notice, number, shown)
        fields = dict(letter.fields)
        if self.config.callback:
            fields["status_callback"] = f"{self.config.callback.url}/status"
        self.memory.begin(notice.key, number, "\n".join(letter.parts or (letter.body,)))
        try:
            sid = self.account.send(number, fields)
        except (NotSent, TooBusy, WrongLogin, AboutOne, NoticeRefused):
            self.memory.settle(notice.key, number, "")  # surely not taken
            raise
        self.memory.settle(notice.key, number, sid)
        return sid

    def _found(self, number: str, sent: Sent) -> str:
        """Twilio's name for a message whose fate we don't know, "" when Twilio has none such. Raises NotifyError.

        Twilio's list can be filtered by the day of sending, which a message in its queue has none of: so the newest
        ones are looked through here. A trial account puts a line of its own before the text.
        """
        parts = sent.body.split("\n")
        for message in self.account.recent_to(number, limit=LOOKED_THROUGH):
            is_ours = message.direction != "inbound" and all(part in (message.body or "") for part in parts)
            if is_ours and message.date_created and message.date_created >= sent.at - SKEW:
                return str(message.sid)
        return ""

    def _state(self, sid: str) -> Receipt | None:
        with self._lock:
            told = self._states.get(sid)
        if told is not None and told.state != "waiting":
            return told
        message = self.account.fetch(sid)
        if message is None:
            return told
        return _receipt(str(message.status), message.error_code, message.error_message)

    def _note(self, sid: str, status: str, code: int | None) -> None:
        with self._lock:
            if sid in self._states and self._states[sid].state != "waiting":
                return  # call-backs may overtake each other
            self._states[sid] = _receipt(status, code, None)
            while len(self._states) > STATES_KEPT:
                self._states.popitem(last=False)


def _receipt(status: str, code: int | None, message: str | None) -> Receipt:
    state = STATES.get(status)
    if state is None:
        return Receipt("waiting")
    return Receipt(state, undelivered(code, message) if state == "failed" else "")


def memory_of(account: Account, services: Services) -> Memory:
    """The memory of the channel with this sender: one file in the state folder."""
    kind = account.prefix.rstrip(":") or "sms"
    sender = "".join(each for each in account.config.sender if each.isalnum())
    return Memory(services.state_dir / "twilio" / f"{kind}-{sender}.sqlite", services)
