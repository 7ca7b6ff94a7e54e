"""A modem on a serial port, through the program `gammu` (1.40 or newer), for machines without ModemManager.

Each run opens the port, so nothing else may hold it: not ModemManager, not gammu-smsd.
Source: gammu(1); what it prints: gammu/message.c, helper/message-display.c.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path

from edge.api import NoticeRefused, NotifyError, Receipt, _, one_line

from .gsm7 import measure
from .modem_stick import Found, Letter, NotSent, Report, Tool
from .program import Ended

EMPTY_ENTRY = 122  # exit codes of gammu(1): 100 and a GSM_Error
LONGEST = "1600"  # characters; without a length gammu cuts a text to one SMS, and says nothing
NEXT_STEPS: Mapping[int, str] = {
    102: "the port can't be opened: is the modem plugged in, and does nothing else (ModemManager) hold the port?",
    103: "the port is locked: another program (ModemManager, gammu-smsd) holds it",
    104: "there is no such port: is the modem plugged in? Look at `device` in gammu's file",
    105: "the port is in use: another program (ModemManager, gammu-smsd) holds it",
    106: "this user may not open the port: it belongs to the group dialout (docs/alerts.md)",
    108: "no modem answers on the port: look at `device` in gammu's file",
    114: "the modem does not answer: is it plugged in, and is `connection` in gammu's file right?",
    123: "the SIM asks for its PIN: switch that off with a telephone, or it silences the modem after each power cut",
    131: "the SIM knows no message centre: gammu setsmsc 1 NUMBER",
    133: "no modem answers on the port: look at `device` in gammu's file",
    149: "the SIM can't be read: is it in straight?",
    169: "the SIM knows no message centre: gammu setsmsc 1 NUMBER",
}
# Cause of a network for no message ever to that number: unassigned number, unidentified subscriber, unknown subscriber.
# Source: 3GPP TS 24.011, table E-2, which modems repeat as +CMS ERROR.
NO_SUCH_NUMBER = frozenset({1, 28, 30})
CAUSE = re.compile(r"\.\.error (\d+), message reference=")
REFERENCE = re.compile(r"\.\.OK, message reference=(\d+)")
LOCATION = re.compile(r'^Location (\d+), folder ".*', re.MULTILINE)
COUNTED = re.compile(r"^(\d+) SMS parts in \d+ SMS sequences\s*\Z", re.MULTILINE)
FIELD = re.compile(r"^([A-Z][A-Za-z ]*[a-z]) *: (.*)$")
LINKED = re.compile(r"ID \((\d+) bit\) (\d+), part (\d+) of (\d+)")
IN_NETWORK = frozenset({"home network", "roaming network"})


@dataclass(frozen=True, slots=True)
class Gammu:
    """A Stick. config: gammu's own file. reports: whether the network is asked to tell of delivery."""

    tool: Tool
    config: Path
    reports: bool = True

    def check(self) -> str:
        """Which modem, which network. gammu tells the strength of a signal only by changing how the modem works."""
        lock = self._ask("getsecuritystatus").strip()
        if lock and lock != "Nothing to enter.":
            raise NotSent(f"modem: {one_line(lock)} {NEXT_STEPS[123]}")
        name = _fields(self._ask("identify").splitlines())
        network = _fields(self._ask("networkinfo").splitlines())
        state = network.get("Network state", "")
        if state not in IN_NETWORK:
            raise NotSent(f"modem: not in a network ({one_line(state) or 'no signal'}): see to aerial and SIM")
        told = network.get("Name in phone") or network.get("Network", "")
        modem = f"{name.get('Manufacturer', '')} {name.get('Model', '')}".strip()
        return _("{modem}, network {network}").format(modem=one_line(modem), network=one_line(told.strip('"')))

    def prepare(self, number: str, text: str) -> str:  # noqa: ARG002  # because a Stick is told them
        """Nowhere: gammu makes and sends in one run."""
        return ""

    def send(self, place: str, number: str, text: str) -> str:  # noqa: ARG002  # because a Stick is told it
        """Send it."""
        options = ["-len", LONGEST]
        options += ["-unicode"] if measure(text).encoding == "UCS-2" else []
        options += ["-report"] if self.reports else []
        ended = self._run("sendsms", "TEXT", number, *options, "-textutf8", text)
        said = _output(ended)
        if ended.code == 0:
            found = REFERENCE.findall(said)
            return str(found[-1]) if found else ""
        if (cause := CAUSE.search(said)) and int(cause.group(1)) in NO_SUCH_NUMBER:
            raise NoticeRefused(f"modem: the network knows no number {number} (cause {cause.group(1)})")
        if cause:
            raise NotSent(f"modem: the network took no message (cause {cause.group(1)}, 3GPP TS 24.011, E-2)")
        raise self._failure(ended, surely="Sending SMS" not in said)

    def sent(self, place: str, number: str, text: str) -> str | None:  # noqa: ARG002  # because a Stick is told them
        """Not known: a modem on a serial port keeps no list of what it sent."""
        return None

    def look(self) -> Found:
        """Answers, and delivery reports where the modem keeps them.

        A text may hold lines that look like the head of another message, with another sender. When the count at the
        end says so, each message is read alone: what stands before its text is then gammu's.
        """
        said = self._ask("getallsms")
        counted = COUNTED.search(said)
        starts = [found.start() for found in LOCATION.finditer(said)]
        if counted is None:
            raise NotSent("modem: a list of gammu that can't be read")
        if int(counted.group(1)) == len(starts):
            borders = [*starts, counted.start()]
            return _found(read_entry(said[start:end]) for start, end in pairwise(borders))
        places = sorted({int(found.group(1)) for found in LOCATION.finditer(said)})
        alone = [self._ask("getsms", "0", str(place), str(place)) for place in places]
        return _found(read_entry(entry) for entry in alone)

    def delete(self, places: Sequence[str]) -> None:
        """Delete messages in the modem."""
        for place in places:
            ended = self._run("deletesms", "0", place)
            if ended.code not in {0, EMPTY_ENTRY}:
                raise self._failure(ended, surely=True)

    def _ask(self, *arguments: str) -> str:
        ended = self._run(*arguments)
        if ended.code != 0:
            raise self._failure(ended, surely=True)
        return _output(ended)

    def _run(self, *arguments: str) -> Ended:
        return self.tool.run("-c", str(self.config), *arguments)

    def _failure(self, ended: Ended, *, surely: bool) -> NotifyError:
        if ended.code is None:
            slow = self.tool.too_slow()
            return NotSent(str(slow)) if surely else slow
        if step := NEXT_STEPS.get(ended.code):
            return NotSent(f"modem: {step}")
        lines = [one_line(line) for line in _output(ended).splitlines()]
        said = next((line for line in reversed(lines) if line), ended.last_error)
        kind = NotSent if surely else NotifyError
        return kind(f"modem: gammu ended with code {ended.code}: {said}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One SMS, maybe a part of a message. head: the lines before the text, by name. link: (bits, id, part, of)."""

    place: str
    kind: str
    head: Mapping[str, str]
    text: str
    link: tuple[int, int, int, int] | None

    @property
    def number(self) -> str:
        """Who sent it, or to whom it went."""
        return self.head.get("Remote number", "").strip('"')

    @property
    def at(self) -> datetime | None:
        """When the network took it."""
        try:
            at = parsedate_to_datetime(self.head.get("Sent", ""))
        except ValueError:
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)


def read_entry(said: str) -> Entry | None:
    """What gammu prints of one SMS; None for a place that is empty, or one that was not received (drafts, sent ones).

    Two lines, lines `Name : value`, an empty line, the text and an empty line.
    """
    start = LOCATION.match(said)
    head, _gap, text = said.partition("\n\n")
    lines = head.splitlines()
    if start is None or len(lines) < 3:
        return None
    known = _fields(lines[2:])
    if known.get("Status") not in {"Read", "UnRead"}:
        return None
    link = None
    if linked := LINKED.search(known.get("User Data Header", "")):
        bits, name, part, of = map(int, linked.groups())
        link = (bits, name, part, of)
    return Entry(start.group(1), lines[1].strip(), known, text.rstrip("\n"), link)


def _fields(lines: Iterable[str]) -> dict[str, str]:
    """`Name : value` of each line; the first of a name counts."""
    known: dict[str, str] = {}
    for line in lines:
        if found := FIELD.match(line):
            known.setdefault(found.group(1), found.group(2).strip())
    return known


def _found(entries: Iterable[Entry | None]) -> Found:
    """Letters put together from their parts, and reports."""
    parts: dict[tuple[object, ...], list[Entry]] = {}
    reports = []
    for entry in filter(None, entries):
        if entry.kind == "SMS status report":
            reports.append(
                Report(
                    entry.number, entry.head.get("Reference number", ""), _receipt(entry.head), entry.at, (entry.place,)
                )
            )
        elif entry.kind == "SMS message":
            bits, name, _part, of = entry.link or (0, 0, 0, 0)
            key = (entry.number, bits, name, of) if entry.link else (entry.place,)
            parts.setdefault(key, []).append(entry)
    letters = [letter for group in parts.values() for letter in _letters(group)]
    return Found(tuple(sorted(letters, key=lambda each: each.at or datetime.max.replace(tzinfo=UTC))), tuple(reports))


def _letters(group: Sequence[Entry]) -> Iterator[Letter]:
    """The message of these parts; where a telephone used one number twice, the parts that came first make the first."""
    first = group[0]
    of = first.link[3] if first.link else 1
    chosen: dict[int, Entry] = {}
    left = []
    for entry in group:
        part = entry.link[2] if entry.link else 1
        if part in chosen:
            left.append(entry)
        else:
            chosen[part] = entry
    text = "".join(chosen[part].text for part in sorted(chosen))
    name = hashlib.sha256("\0".join((first.number, str(first.at), text)).encode()).hexdigest()[:32]
    yield Letter(name, first.number, text, first.at, tuple(each.place for each in chosen.values()), len(chosen) == of)
    if left:
        yield from _letters(left)


def _receipt(head: Mapping[str, str]) -> Receipt:
    state, why = head.get("Delivery status", ""), one_line(head.get("Details", ""))
    if state == "Delivered":
        return Receipt("delivered")
    return Receipt("failed", why or "not delivered") if state == "Failed" else Receipt("waiting")


def _output(ended: Ended) -> str:
    return ended.output.decode("utf-8", "replace").replace("\r\n", "\n")
