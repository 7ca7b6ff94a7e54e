"""What `tigrillo clock` prints: corrections, times before and after, findings; as tables and as JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from ..i18n import _, mark

if TYPE_CHECKING:
    from ..camera_clock import Correction
    from ..fieldwork.contradictions import Finding
    from ..store.clocks import Faced, Recorded

KINDS = {
    "future": mark("later than the frame's arrival"),
    "before": mark("before the station's first deployment"),
    "after": mark("after the station's last deployment"),
    "between": mark("between two deployments of the station"),
    "factory": mark("when clocks begin that were never set"),
    "order": mark("going back while the files' numbers go on"),
    "sunlit": mark("bright and coloured in the dark of night"),
    "infrared": mark("infrared under a high sun"),
    "unknown": mark("without a time"),
}


def print_corrections(rows: Sequence["Recorded"], zones: Mapping[str, str]) -> None:
    """One line a correction."""
    heads = (_("id"), _("station"), _("what"), _("since"), _("until"), _("made"), _("why"), _("undone"))
    table = Table(*heads, box=None)
    for row in rows:
        each, zone = row.correction, ZoneInfo(zones[row.correction.station])
        made = f"{_day(row.made_at, zone)} {row.made_by}"
        undone = f"{_day(row.undone_at, zone)} {row.undone_by}" if row.undone_at else ""
        ends = (_moment(each.since, zone), _moment(each.until, zone))
        table.add_row(str(each.pk), each.station, what_of(each), *ends, made, row.why, undone)
    Console(markup=False, highlight=False).print(table)


def what_of(each: "Correction") -> str:
    """A correction in few words: "+1:00:00", "read in -05:00"."""
    if each.timezone:
        return _("read in {zone}").format(zone=each.timezone)
    text = span(each.offset_s)
    if each.drift_s_per_day:
        text += _(", {drift} s a day from {anchor} on").format(
            drift=f"{each.drift_s_per_day:+.2f}", anchor=each.anchor.date().isoformat() if each.anchor else ""
        )
    return text


def span(seconds: float) -> str:
    """Seconds as "+1:00:00" or "-20647d 3:04:05"."""
    whole = abs(round(seconds))
    days, rest = divmod(whole, 86_400)
    text = f"{rest // 3600}:{rest % 3600 // 60:02}:{rest % 60:02}"
    return ("-" if seconds < 0 else "+") + (f"{days}d {text}" if days else text)


def print_changes(
    first: Sequence[tuple["Faced", datetime]], last: Sequence[tuple["Faced", datetime]], *, zone: tzinfo, count: int
) -> None:
    """Some frames with their times before and after, in the station's zone."""
    table = Table(_("file"), box=None)
    for head in (_("the camera said"), _("now"), _("then")):
        table.add_column(head, no_wrap=True)
    for frame, after in first:
        table.add_row(frame.name, frame.original, _second(frame.captured, zone), _second(after, zone))
    if len(first) + len(last) < count:
        table.add_row("…", "", "", "")
    for frame, after in last:
        table.add_row(frame.name, frame.original, _second(frame.captured, zone), _second(after, zone))
    Console(markup=False, highlight=False).print(table)
    typer.echo(_("{count} frames").format(count=count))


def print_findings(found: Mapping[str, tuple[Sequence["Finding"], str]]) -> None:
    """One line a finding: station, how many, what, when, which."""
    if not any(rows for rows, _zone in found.values()):
        typer.echo(_("no time contradicts what is known"))
        return
    table = Table(_("station"), _("frames"), _("what"), _("from"), _("to"), _("for example"), box=None)
    for station, (rows, zone) in found.items():
        for each in rows:
            count = f"{each.count} / {each.of}" if each.of else str(each.count)
            ends = (_moment(each.first, ZoneInfo(zone)), _moment(each.last, ZoneInfo(zone)))
            table.add_row(station, count, _(KINDS[each.kind]), *ends, ", ".join(each.examples))
    Console(markup=False, highlight=False).print(table)


def correction_json(row: "Recorded") -> dict[str, Any]:
    """A correction with its history; times in UTC."""
    each = row.correction
    return {
        "id": each.pk,
        "station": each.station,
        "since": _iso(each.since),
        "until": _iso(each.until),
        "offset_s": each.offset_s,
        "anchor": _iso(each.anchor),
        "drift_s_per_day": each.drift_s_per_day,
        "camera_timezone": each.timezone,
        "why": row.why,
        "made_by": row.made_by,
        "made_at": _iso(row.made_at),
        "undone_by": row.undone_by,
        "undone_at": _iso(row.undone_at),
        "applied": row.applied_at is not None,
    }


def faced_json(frame: "Faced", after: datetime) -> dict[str, Any]:
    """A frame before and after."""
    ends = {"before": _iso(frame.captured), "after": _iso(after)}
    return {"file": frame.name, "original": frame.original, "said": _iso(frame.said), **ends}


def finding_json(each: "Finding") -> dict[str, Any]:
    """A finding."""
    ends = {"first": _iso(each.first), "last": _iso(each.last)}
    return {"kind": each.kind, "frames": each.count, "of": each.of or None, **ends, "examples": each.examples}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _day(at: datetime | None, zone: tzinfo) -> str:
    return at.astimezone(zone).date().isoformat() if at else ""


def _moment(at: datetime | None, zone: tzinfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M") if at else ""


def _second(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
