"""What the heartbeat says, in words: a headline that says it all in one line, and a row for each thing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..alerts.heartbeat import GB
from ..alerts.people import Addressee
from ..alerts.watch import Told
from ..i18n import decimal, mark, translate
from ..wording import one_line, percent

MOST_ROWS, MOST_NAMES = 40, 5
TEXTS = {  # sort → what is bad, what is told when it is over
    "silent": (mark("silent, last heard {gone} ago, {at}"), mark("heard again; it was silent for {lasted}")),
    "never": (mark("nothing was ever heard of it, for {gone}"), mark("heard again; it was silent for {lasted}")),
    "disk": (mark("the disk is nearly full, {free} free"), mark("the disk has room again, {free} free")),
    "disk_last": (
        mark("the disk is full, {free} free: soon no more frames are taken"),
        mark("the disk is not full any more"),
    ),
    "spool": (
        mark("the frames that wait fill {share} of limits.spool_bytes; when it is full, cameras keep theirs"),
        mark("the frames that wait have room again"),
    ),
    "battery": (mark("battery low, {charge}"), mark("battery fine again, {charge}")),
    "supply": (mark("its supply voltage is too low"), mark("its supply voltage is fine again")),
    "card": (mark("its disk is nearly full, {free} free"), mark("its disk has room again, {free} free")),
    "backlog": (mark("{count} frames wait there, the oldest for {gone}"), mark("its frames come in time again")),
    "clock": (mark("its clock is off by {off}"), mark("its clock is right again")),
    "queue": (mark("frames wait to be looked at, the oldest for {gone}"), mark("frames are looked at in time again")),
    "workers": (mark("nothing is looked at: {names} stand still"), mark("frames are looked at again")),
    "channel": (mark("channel {name} takes nothing, for {gone}: {reason}"), mark("channel {name} works again")),
    "source": (mark("source {name} fails again and again: {reason}"), mark("source {name} runs again")),
    "quarantine": (
        mark("{count} or more frames went into quarantine within a day: `tigrillo doctor` and the log say why"),
        mark("few frames go into quarantine again"),
    ),
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a week without alerts looked like. oldest: of the stations that were heard, the longest silent one, since.

    heard: of all `stations`, in the time after which they count as silent. blank: share of frames without animals.
    """

    days: int
    heard: int
    stations: int
    frames: int
    blank: float | None = None
    oldest: tuple[str, timedelta] | None = None
    disk_free: float | None = None
    last_alert: datetime | None = None


def told_words(told: Sequence[Told], to: Addressee) -> dict[str, Any]:
    """The words of a message about what began, goes on, or is over; most urgent first."""
    ordered = sorted(
        told, key=lambda each: (each.way == "over", each.way != "over" and each.finding.severity != "critical")
    )
    lines = [(_label(each, to), _text(each, to)) for each in ordered]
    return {"headline": one_line(_headline(ordered, lines, to)), "rows": _rows(lines, to)}


def report_words(report: Report, still: Sequence[Told], to: Addressee) -> dict[str, Any]:
    """The words of the message that silence is not taken for health, or for illness. still: what is bad now."""
    language = to.language
    lines = [(_label(each, to), _text(each, to)) for each in still]
    if still:
        headline = translate("No alert for {days} days, and not all is well: {what}", language)
    else:
        headline = translate("All is well: no alert for {days} days, {heard} of {stations} stations heard", language)
    filled: dict[str, object] = {"days": report.days, "heard": report.heard, "stations": report.stations}
    filled |= {"what": _headline(still, lines, to)} if still else {}
    lines.append((translate("Stations heard", language), f"{report.heard} / {report.stations}"))
    lines.append((translate("Frames received", language), str(report.frames)))
    if report.blank is not None:
        lines.append((translate("Without animals", language), percent(report.blank, language)))
    if report.oldest is not None:
        name, gone = report.oldest
        lines.append((translate("Longest silent", language), f"{name}, {lasting(gone, language)}"))
    if report.disk_free is not None:
        lines.append((translate("Free on the disk", language), gigabytes(report.disk_free, language)))
    last = _moment(report.last_alert, to) if report.last_alert else translate("never", language)
    lines.append((translate("Last alert", language), last))
    return {"headline": one_line(headline.format(**filled)), "rows": _rows(lines, to)}


def lasting(length: timedelta, language: str) -> str:
    """A length of time, as coarse as people say it: 40 s, 25 min, 26 h, 3 d."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 72 * 3600 else f"{decimal(seconds / 86400, language=language)} d"


def gigabytes(size: float, language: str) -> str:
    """Bytes as people read them."""
    return f"{decimal(size / GB, language=language)} GB"


def _headline(ordered: Sequence[Told], lines: Sequence[tuple[str, str]], to: Addressee) -> str:
    """The first thing; stations that fell silent together as one; and how much more there is."""
    silent = [each.finding.station for each in ordered if each.way == "begun" and each.finding.sort == "silent"]
    urgent = any(each.finding.severity == "critical" and each.way != "over" for each in ordered)
    if len(silent) > 1 and not urgent:
        names = ", ".join(silent[:MOST_NAMES]) + (", …" if len(silent) > MOST_NAMES else "")
        first = translate("{count} stations are silent: {names}", to.language).format(count=len(silent), names=names)
        more = len(ordered) - len(silent)
    else:
        first, more = ": ".join(lines[0]), len(ordered) - 1
    if not more:
        return first
    return translate("{first}; and {count} more", to.language).format(first=first, count=more)


def _label(each: Told, to: Addressee) -> str:
    return each.finding.station or translate("Server", to.language)


def _text(each: Told, to: Addressee) -> str:
    bad, over = TEXTS[each.finding.sort]
    text = translate(over if each.way == "over" else bad, to.language).format(**_facts(each, to))
    return translate("still: {text}", to.language).format(text=text) if each.way == "still" else text


def _facts(each: Told, to: Addressee) -> dict[str, str]:
    """What texts name, as people read it."""
    language, known = to.language, each.finding.facts
    facts = {name: str(known[name]) for name in ("name", "names", "count", "reason") if name in known}
    facts |= {name: lasting(known[name], language) for name in ("gone", "off", "lasted") if name in known}
    if "at" in known:
        facts["at"] = _moment(known["at"], to)
    if "free" in known:
        facts["free"] = gigabytes(known["free"], language)
    if "share" in known:
        facts["share"] = percent(known["share"], language)
    if "volts" in known:
        facts["charge"] = f"{decimal(known['volts'], digits=2, language=language)} V"
    elif "percent" in known:
        facts["charge"] = percent(known["percent"] / 100, language)
    return facts


def _moment(at: datetime, to: Addressee) -> str:
    return f"{to.local(at):%Y-%m-%d %H:%M}"


def _rows(lines: Sequence[tuple[str, str]], to: Addressee) -> list[list[str]]:
    told = [[one_line(label), one_line(text)] for label, text in lines[:MOST_ROWS]]
    if (more := len(lines) - MOST_ROWS) > 0:
        told.append(["", translate("and {count} more", to.language).format(count=more)])
    return told
