"""What people write back: given on once, whether Twilio brings it (call-back) or we fetch it (poll)."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edge.api import NoticeRefused, NotifyError, Reply, RetryableError, Services, one_line

from .sms_memory import Memory
from .twilio_account import Account

OVERLAP = timedelta(hours=1)  # Twilio may list a message later than one that was written after it
MOST_AT_ONCE = 200  # answers a look; who writes more is no ranger
PAUSE_S, LONGEST_PAUSE_S = 10.0, 600.0  # after a failed look, doubled up to ten minutes


@dataclass(slots=True)
class Inbox:
    """Gives each answer to `hear` once, one at a time. channel: the kind of channel, as replies name it."""

    channel: str
    hear: Callable[[Reply], str]
    memory: Memory
    prefix: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, sid: str, sender: str, text: str, *, at: datetime) -> str:
        """What to write back, "" for nothing or when it was taken before. Raises RetryableError as `hear` does."""
        with self._lock:
            if self.memory.has_heard(sid):
                return ""
            number = sender.removeprefix(self.prefix)
            answer = self.hear(Reply(self.channel, one_line(number), one_line(text), sid))
            self.memory.hear(sid, at)
            return answer


def look(account: Account, inbox: Inbox) -> list[tuple[str, str]]:
    """Fetch what came since the last look: (number, what to write back). Raises NotifyError, RetryableError."""
    began, mark = inbox.memory.began(), inbox.memory.mark()
    found = account.received(since=max(began, mark - OVERLAP), limit=MOST_AT_ONCE)
    sent = [each for each in reversed(found) if each.date_sent and each.date_sent >= began]  # oldest first
    answers = []
    for message in sorted(sent, key=lambda each: each.date_sent):  # whole seconds: those of one second stay in order
        text = inbox.take(message.sid, message.from_, message.body or "", at=message.date_sent)
        if text:
            answers.append((message.from_.removeprefix(inbox.prefix), text))
    return answers


def poll(
    account: Account, inbox: Inbox, stop: threading.Event, services: Services, write: Callable[[str], str]
) -> None:
    """Look every `poll_s` until stopped. write: puts what to answer into the channel's form; it is sent once."""
    inbox.memory.began()  # before the first look: what was written before is not for us
    pause_s = account.config.poll_s
    while not stop.wait(pause_s):
        pause_s = account.config.poll_s
        try:
            for number, text in look(account, inbox):
                _answer(account, number, write(text), services)
        except NoticeRefused as exc:
            pause_s = LONGEST_PAUSE_S
            services.log.warning("answers.refused", channel=inbox.channel, reason=str(exc), again_in_s=pause_s)
        except RetryableError as exc:
            pause_s = max(exc.again_in_s or 0.0, min(max(2 * pause_s, PAUSE_S), LONGEST_PAUSE_S))
            services.log.warning("answers.deferred", channel=inbox.channel, reason=str(exc), again_in_s=pause_s)


def _answer(account: Account, number: str, text: str, services: Services) -> None:
    try:
        account.send(number, {"body": text})
    except (NotifyError, NoticeRefused) as exc:  # the command was carried out; only its confirmation is lost
        services.log.warning("answers.unanswered", channel=account.prefix or "sms", reason=str(exc))
