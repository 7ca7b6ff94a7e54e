"""What the channel `modem` does with a stick: send once, ask what became of it, hear answers."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from edge.api import Notice, NoticeRefused, NotifyError, Receipt, Reply, RetryableError, Services, one_line

from .modem_stick import Letter, NotSent, Report, Stick
from .sms_memory import Memory

SETTLING = timedelta(minutes=1)  # a modem gets half a minute for a message; till then it may yet leave
OLDEST = timedelta(days=1)  # an answer that lay there longer is about what is over; so is a report
SKEW = timedelta(minutes=10)  # between our clock and the network's
REFERENCE_LASTS = timedelta(hours=12)  # the network's numbers go from 0 to 255, then begin anew
MOST_A_LOOK = 50  # answers; the others wait for the next look
RECEIPTS_KEPT = 1000  # the oldest goes first
PAUSE_S, LONGEST_PAUSE_S = 10.0, 600.0  # after a failed look, doubled up to ten minutes


class Settling(NotifyError):
    """This message may be on its way; others may be sent."""


@dataclass(slots=True)
class ModemChannel:
    """A notifier. compose: notice → text of its SMS. write: an answer's text → its form. poll_s: 0 for no answers.

    tracks: whether the network was asked to report.
    """

    stick: Stick
    services: Services
    recipients: Sequence[str]
    compose: Callable[[Notice], str]
    write: Callable[[str], str]
    memory: Memory
    poll_s: float
    tracks: bool = True
    _told: OrderedDict[str, Receipt] = field(default_factory=OrderedDict)

    def send(self, notice: Notice, *, picture: bytes) -> str:  # noqa: ARG002  # because an SMS has none
        """Send it to each addressee, and give what `receipts` asks for, with commas between.

        Who has it already, also from before a restart, gets it no second time. Raises NotifyError, NoticeRefused.
        """
        text = self.compose(notice)
        ids: list[str] = []
        refusals: list[str] = []
        waits: list[Settling] = []
        for number in (notice.to,) if notice.to else self.recipients:
            try:
                ids.append(self._send_once(notice.key, number, text))
            except Settling as exc:  # the others may have theirs
                waits.append(exc)
            except NoticeRefused as exc:
                refusals.append(str(exc))
        if waits:
            raise waits[0]
        if not ids:
            raise NoticeRefused("; ".join(refusals) or "modem: nobody to write to: set `recipients`")
        for reason in refusals:
            self.services.log.warning("notify.refused", channel=notice.channel, reason=reason)
        return ",".join(ids)

    def receipts(self, ids: Sequence[str]) -> Mapping[str, Receipt]:
        """What the network said of these; one to several people is delivered when all have it. Raises NotifyError."""
        names = {name for given in ids for name in given.split(",")}
        if not names or not self.tracks:
            return {}
        lying = self.stick.look().reports
        reports = {name: report for report in lying for name in names if _is_about(report, name)}
        for name, report in reports.items():
            self._note(name, report.receipt)
        found = {}
        for given in ids:
            known = [self._told[name] for name in given.split(",") if name in self._told]
            if failed := [each for each in known if each.state == "failed"]:
                found[given] = failed[0]
            elif known:
                done = len(known) == len(given.split(",")) and all(each.state == "delivered" for each in known)
                found[given] = Receipt("delivered" if done else "waiting")
        over = {name for given, receipt in found.items() if receipt.state != "waiting" for name in given.split(",")}
        for name in over & reports.keys():  # the others stay, so that a restart forgets none of several
            self._delete(reports[name].places)
        return found

    def check(self) -> str:
        """Which modem and network. Raises NotifyError with what to do."""
        return self.stick.check()

    def listen(self, hear: Callable[[Reply], str], stop: threading.Event) -> None:
        """Look for answers every `poll_s` until stopped."""
        if not self.poll_s:
            stop.wait()
        pause_s = 0.0
        while not stop.wait(pause_s):
            try:
                self._look(hear, stop)
            except RetryableError as exc:
                pause_s = min(max(2 * pause_s, PAUSE_S, self.poll_s), max(LONGEST_PAUSE_S, self.poll_s))
                self.services.log.warning("answers.deferred", channel="modem", reason=str(exc), again_in_s=pause_s)
            else:
                pause_s = self.poll_s

    def _send_once(self, key: str, number: str, text: str) -> str:
        before = self.memory.find(key, number)
        if before is not None:
            if before.sid:
                return before.sid
            place, _line, body = before.body.partition("\n")
            reference = self.stick.sent(place, number, body)
            if reference is not None:
                return self._settle(key, number, reference, place, before.at)
            age = self.services.clock.now() - before.at
            if place and timedelta() <= age < SETTLING:
                left_s = (SETTLING - age).total_seconds()
                raise Settling("modem: it may still be sending this message", again_in_s=left_s)
            self._delete([place])
        place = self.stick.prepare(number, text)
        self.memory.begin(key, number, f"{place}\n{text}")
        at = self.services.clock.now()
        try:
            reference = self.stick.send(place, number, text)
        except (NotSent, NoticeRefused):
            self.memory.settle(key, number, "")
            self._delete([place])
            raise
        return self._settle(key, number, reference, place, at)

    def _settle(self, key: str, number: str, reference: str, place: str, at: datetime) -> str:
        name = f"{number}#{reference}@{int(at.timestamp())}"
        self.memory.settle(key, number, name)
        self._delete([place])
        return name

    def _look(self, hear: Callable[[Reply], str], stop: threading.Event) -> None:
        now = self.services.clock.now()
        found = self.stick.look()
        for report in found.reports:
            if report.at is not None and now - report.at > OLDEST:
                self._delete(report.places)
        for letter in found.letters[:MOST_A_LOOK]:
            if stop.is_set():
                return
            if letter.at is not None and now - letter.at > OLDEST:
                self.services.log.info("modem.not_heard", sender=one_line(letter.sender), reason="older than a day")
                self._delete(letter.places)
            elif letter.whole:
                self._take(letter, hear, now)

    def _take(self, letter: Letter, hear: Callable[[Reply], str], now: datetime) -> None:
        answer = ""
        if not self.memory.has_heard(letter.id):
            answer = hear(Reply("modem", one_line(letter.sender), one_line(letter.text), letter.id))
            self.memory.hear(letter.id, min(letter.at or now, now))
        self._delete(letter.places)
        if not answer:
            return
        text = self.write(answer)
        try:
            place = self.stick.prepare(letter.sender, text)
            self.stick.send(place, letter.sender, text)
            self._delete([place])
        except (NotifyError, NoticeRefused) as exc:  # the command was carried out; only its confirmation is lost
            self.services.log.warning("answers.unanswered", channel="modem", reason=str(exc))

    def _note(self, name: str, receipt: Receipt) -> None:
        self._told.pop(name, None)
        self._told[name] = receipt
        while len(self._told) > RECEIPTS_KEPT:
            self._told.popitem(last=False)

    def _delete(self, places: Sequence[str]) -> None:
        """Delete what is there; what can't be deleted now must not cost a message, and is tried at the next look."""
        try:
            self.stick.delete([place for place in places if place])
        except (NotifyError, NoticeRefused) as exc:
            self.services.log.warning("modem.not_deleted", reason=str(exc))


def _is_about(report: Report, name: str) -> bool:
    """Whether a report is about the message of this name: NUMBER#REFERENCE@SECONDS."""
    number, _mark, rest = name.partition("#")
    reference, _at, seconds = rest.partition("@")
    if not reference or (report.number, report.reference) != (number, reference) or not seconds.isdigit():
        return False
    began = datetime.fromtimestamp(int(seconds), tz=UTC)
    return report.at is None or -SKEW <= report.at - began < REFERENCE_LASTS
