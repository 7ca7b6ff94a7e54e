"""Hop 7, notify: whether a message that is due goes out now, waits for the digest, or is dropped, and why. Pure.

Asked again before each attempt, with what was sent so far: so a cooldown is charged by what was sent and nothing else,
a budget is never exceeded, and a message that failed in the evening does not ring at night.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ..i18n import mark, translate
from ..store.notices import Mute, NoticeRow
from .people import Addressee

Way = Literal["send", "digest", "drop", "wait"]
REASONS = {  # why a message was not sent, or not at once: codes of the column `reason`
    "late": mark("it came too long after it was taken; it is told in the digest"),
    "queue": mark("too many messages wait for this channel; it is told in the digest"),
    "quiet": mark("quiet hours; it is told in the digest"),
    "cooldown": mark("the rule's cooldown since the last message; it is told in the digest"),
    "budget": mark("the day's number of messages is reached; it is told in the digest"),
    "muted": mark("muted by the recipient; it is told in the digest"),
    "stopped": mark("the recipient has answered STOP"),
    "acknowledged": mark("somebody has acknowledged it"),
    "no digest": mark("it was for the digest, and this recipient has none"),
    "nobody": mark("the site has no such recipient or channel any more"),
    "refused": mark("the channel will never take it"),
    "expired": mark("given up: the channel took nothing for too long"),
}
HELD = frozenset({"late", "queue", "quiet", "cooldown", "budget", "muted"})  # for the digest


@dataclass(frozen=True, slots=True)
class Facts:
    """What was before. acked: somebody has answered ACK. sent_today: of the budget. cooling: the cooldown holds."""

    acked: bool = False
    mutes: Sequence[Mute] = ()
    sent_today: int = 0
    cooling: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a message; reason: one of REASONS, "" to send it."""

    way: Way
    reason: str = ""


SEND = Decision("send")


def decide(notice: NoticeRow, to: Addressee, facts: Facts, now: datetime) -> Decision:
    """Whether this message goes out now. A test and an answer to a person always do."""
    if notice.kind in {"test", "answer"}:
        return SEND
    if any(each.until is None and not each.station for each in facts.mutes):
        return Decision("drop", "stopped")
    if notice.kind == "digest":
        return Decision("wait", "quiet") if _rings_at_night(notice, to, now) else SEND
    if facts.acked and (notice.step > 0 or notice.kind == "update"):
        return Decision("drop", "acknowledged")
    reason = _held_back(notice, to, facts, now)
    return Decision("digest", reason) if reason else SEND


def _rings_at_night(notice: NoticeRow, to: Addressee, now: datetime) -> bool:
    """Whether a digest that failed when it was time would come in quiet hours that its own time is not in."""
    if notice.attempts == 0 or to.quiet is None or to.digest is None:
        return False
    local = to.local(now)
    hour, minute = map(int, to.digest.split(":"))
    own = local.replace(hour=hour, minute=minute)
    return to.quiet.forbids(notice.severity, local) and not to.quiet.forbids(notice.severity, own)


def _held_back(notice: NoticeRow, to: Addressee, facts: Facts, now: datetime) -> str:
    if any(each.station in {"", notice.station} for each in facts.mutes):
        return "muted"
    if to.quiet is not None and to.quiet.forbids(notice.severity, to.local(now)):
        return "quiet"
    if notice.kind == "alert" and notice.step == 0 and facts.cooling:
        return "cooldown"
    if notice.kind in {"alert", "update"} and to.per_day is not None and facts.sent_today >= to.per_day:
        return "budget"
    return ""


def tell_reason(code: str, language: str) -> str:
    """A reason in words; the code itself for one that this program does not know."""
    return translate(REASONS[code], language) if code in REASONS else code
