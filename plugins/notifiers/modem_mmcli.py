"""A modem that ModemManager looks after, through its program `mmcli` (1.18 or newer).

A message is made first, then sent: what ModemManager keeps of it says later whether it left. It deletes nothing by
itself, so a message goes when it was sent and noted, an answer when it was heard.
Source: mmcli(1); D-Bus reference of ModemManager (MMModemState, MMModemLock, MMSmsState, MMSmsDeliveryState).
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edge.api import NoticeRefused, NotifyError, Receipt, _, one_line

from .modem_stick import MARGIN_S, Found, Letter, NotSent, Report, Tool, signal_words
from .program import Ended

EMPTY = "--"  # what mmcli writes for a value there is none of
REGISTERED = frozenset({"registered", "connecting", "connected", "disconnecting"})
MADE = re.compile(r"/org/freedesktop/ModemManager1/SMS/[0-9]+")
ERROR = re.compile(r"org\.freedesktop\.ModemManager1\.Error\.([A-Za-z]+\.[A-Za-z]+)")
# The message itself won't do; whether its number exists, ModemManager does not tell.
REFUSED = frozenset({"Core.InvalidArgs", "MobileEquipment.DialStringInvalid", "MobileEquipment.DialStringTooLong"})
# ModemManager may still be sending it.
UNCLEAR = ("Timeout was reached", "Message.NetworkTimeout", "Core.Aborted", "org.freedesktop.DBus.Error.NoReply")
NEXT_STEPS = {
    "couldn't find modem": "ModemManager knows no modem {modem!r}: is it plugged in? mmcli -L lists them",
    "ModemManager process": "ModemManager does not run ({said}): systemctl start ModemManager",
    "couldn't get bus": "ModemManager can't be reached ({said}): does D-Bus run?",
    "couldn't create manager": "ModemManager can't be reached ({said}): systemctl start ModemManager",
    "Unauthorized": "ModemManager lets this user not do that (docs/alerts.md, polkit): {said}",
    "AccessDenied": "ModemManager lets this user not do that (docs/alerts.md, polkit): {said}",
}
LOCKED = (
    "the SIM asks for its {lock}: switch that off with a telephone, or it silences the modem after each power cut; "
    "for now: mmcli -i any --pin=…"
)
SIM_FAULTS = {"sim-missing": "there is no SIM in the modem", "sim-error": "the SIM can't be read: is it in straight?"}


@dataclass(frozen=True, slots=True)
class Mmcli:
    """A Stick. modem: "any", an index or a D-Bus path. reports: whether the network is asked to tell of delivery."""

    tool: Tool
    modem: str = "any"
    reports: bool = True

    def check(self) -> str:
        """Which modem, which network, how well it is heard. Enables a modem that is off. Raises NotSent."""
        known = self._ready()
        generic, network = known["generic"], known["3gpp"]
        name = f"{generic['manufacturer']} {generic['model']}".replace(EMPTY, "").strip()
        return _("{modem}, network {network}, {signal}").format(
            modem=one_line(name) or self.modem,
            network=one_line(network["operator-name"]),
            signal=signal_words(_number(generic["signal-quality"]["value"])),
        )

    def prepare(self, number: str, text: str) -> str:
        """Make the message at ModemManager; gives its D-Bus path."""
        self._ready()
        asked = "yes" if self.reports else "no"
        told = f"number={number},delivery-report-request={asked},text={quoted(text)}"
        ended = self._run("-m", self.modem, f"--messaging-create-sms={told}")
        path = MADE.search(_output(ended))
        if ended.code != 0 or path is None:
            raise self._failure(ended, surely=True)
        return path.group()

    def send(self, place: str, number: str, text: str) -> str:  # noqa: ARG002  # because a Stick is told them
        """Send the message that was made."""
        ended = self._run("-s", place, "--send")
        if ended.code != 0:
            raise self._failure(ended, surely=False)
        try:
            return _value(self._sms(place), "message-reference")
        except NotifyError:  # it left; only its receipt is lost
            return ""

    def sent(self, place: str, number: str, text: str) -> str | None:
        """The reference of that message if it left since; paths begin anew when ModemManager does, so both must fit."""
        if not MADE.fullmatch(place):
            return None
        known = self._sms(place)
        if known is None or _value(known, "state") != "sent" or _content(known) != (number, _as_quoted(text).strip()):
            return None
        return _value(known, "message-reference")

    def look(self) -> Found:
        """Answers and delivery reports."""
        self._ready()
        ended = self._run("-m", self.modem, "-J", "--messaging-list-sms")
        paths = _json(ended).get("modem.messaging.sms") if ended.code == 0 else None
        if not isinstance(paths, list):
            raise self._failure(ended, surely=True)
        letters, reports = [], []
        for path in filter(MADE.fullmatch, map(str, paths)):
            known = self._sms(path)
            if known is None:
                continue
            kind, (number, text) = _value(known, "pdu-type"), _content(known)
            at = _moment(_value(known, "timestamp"))
            if kind == "status-report":
                receipt = delivery(_value(known, "delivery-state"))
                reports.append(Report(number, _value(known, "message-reference"), receipt, at, (path,)))
            elif kind in {"deliver", "cdma-deliver"}:
                name = hashlib.sha256("\0".join((number, str(at), text)).encode()).hexdigest()[:32]
                whole = _value(known, "state") == "received"
                letters.append(Letter(name, number, text, at, (path,), whole))
        letters.sort(key=lambda each: each.at or datetime.max.replace(tzinfo=UTC))
        return Found(tuple(letters), tuple(reports))

    def delete(self, places: Sequence[str]) -> None:
        """Delete messages at ModemManager and on the SIM."""
        for place in filter(MADE.fullmatch, places):
            ended = self._run("-m", self.modem, f"--messaging-delete-sms={place}")
            if ended.code != 0 and "couldn't find SMS" not in ended.last_error:
                raise self._failure(ended, surely=True)

    def _ready(self) -> Mapping[str, Any]:
        """What is known of the modem when it can send now. Raises NotSent with what to do otherwise."""
        known = self._modem()
        if known["generic"]["state"] == "disabled":  # nobody else does that on a machine without NetworkManager
            ended = self._run("-m", self.modem, "--enable")
            if ended.code != 0:
                raise self._failure(ended, surely=True)
            known = self._modem()
        generic = known["generic"]
        state, lock = generic["state"], generic["unlock-required"]
        if state == "locked":
            raise NotSent("modem: " + LOCKED.format(lock="PUK" if "puk" in lock else "PIN"))
        if state == "failed":
            reason = generic["state-failed-reason"]
            raise NotSent(f"modem: {SIM_FAULTS.get(reason, f'it failed ({one_line(reason)})')}")
        if state not in REGISTERED:
            percent = _number(generic["signal-quality"]["value"])
            heard = f"it hears a signal ({percent} %), so ask the network about the SIM" if percent else "no signal"
            raise NotSent(f"modem: not in a network ({one_line(state)}): {heard}")
        return known

    def _modem(self) -> Mapping[str, Any]:
        ended = self._run("-m", self.modem, "-J")
        known = _json(ended).get("modem") if ended.code == 0 else None
        try:
            assert known is not None
            known["3gpp"]["operator-name"], known["generic"]["manufacturer"], known["generic"]["model"]
            known["generic"]["signal-quality"]["value"], known["generic"]["state-failed-reason"]
            known["generic"]["state"], known["generic"]["unlock-required"]
        except (AssertionError, KeyError, TypeError) as exc:
            raise self._failure(ended, surely=True) from exc
        return dict(known)

    def _sms(self, path: str) -> Mapping[str, Any] | None:
        """One message; None when there is none at that path. Raises NotifyError when nobody can say."""
        ended = self._run("-s", path, "-J")
        if ended.code == 0:
            known = _json(ended).get("sms")
            return known if isinstance(known, dict) else None
        if "couldn't find SMS" in ended.last_error:
            return None
        raise self._failure(ended, surely=True)

    def _run(self, *arguments: str) -> Ended:
        own_s = max(int(self.tool.timeout_s - MARGIN_S), 1)
        return self.tool.run(f"--timeout={own_s}", *arguments)

    def _failure(self, ended: Ended, *, surely: bool) -> Exception:
        """What to raise for a run that failed. surely: whether nothing can have left in it."""
        said = ended.last_error.removeprefix("error: ")
        if (found := ERROR.search(said)) and found.group(1) in REFUSED:
            return NoticeRefused(f"modem: {said}")
        for sign, step in NEXT_STEPS.items():
            if sign in said:
                return NotSent(f"modem: {step.format(modem=self.modem, said=said)}")
        if ended.code is None:
            return NotSent(str(self.tool.too_slow())) if surely else self.tool.too_slow()
        if not surely and (not said or any(each in said for each in UNCLEAR)):
            return NotifyError(f"modem: {said or 'mmcli was ended'}")
        return NotSent(f"modem: {said or 'an answer of mmcli that can not be read'}")


def quoted(text: str) -> str:
    """A text as a value of mmcli's `key=value` list, which has two kinds of quotes and no way to escape either.

    Source: mm_common_parse_key_value_string of libmm-glib.
    """
    mark = "'" if '"' in text and "'" not in text else '"'
    return f"{mark}{_as_quoted(text)}{mark}"


def _as_quoted(text: str) -> str:
    """What arrives of a text: one with both kinds of quotes has ' for "."""
    return text.replace('"', "'") if "'" in text else text


def delivery(state: str) -> Receipt:
    """A receipt of a delivery state as mmcli names it (TP-Status, 3GPP TS 23.040, 9.2.3.15)."""
    if state in {"completed-received", "completed-replaced-by-sc"}:
        return Receipt("delivered")
    if state.startswith(("error-", "temporary-fatal-error-")):  # the network tries no more
        return Receipt("failed", one_line(state.replace("-", " ")))
    return Receipt("waiting")


def _output(ended: Ended) -> str:
    return ended.output.decode("utf-8", "replace")


def _json(ended: Ended) -> dict[str, Any]:
    try:
        known = json.loads(_output(ended), strict=False)  # a text may have control characters
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def _value(known: Mapping[str, Any] | None, name: str) -> str:
    """A property of a message, "" when there is none."""
    properties = (known or {}).get("properties")
    value = properties.get(name, EMPTY) if isinstance(properties, dict) else EMPTY
    return "" if value == EMPTY else str(value)


def _content(known: Mapping[str, Any]) -> tuple[str, str]:
    content = known.get("content")
    told = content if isinstance(content, dict) else {}
    number, text = (str(told.get(name, EMPTY)) for name in ("number", "text"))
    return ("" if number == EMPTY else number), ("" if text == EMPTY else text.strip())


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
