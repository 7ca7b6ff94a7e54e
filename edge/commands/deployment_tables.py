"""Deployments and effort as tables and as JSON, for `tigrillo deployments`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Column, Table

from ..i18n import _, decimal, mark

if TYPE_CHECKING:
    from datetime import datetime

    from ..deployed import Deployment, Effort
    from ..fieldwork.deployments import Deployments

KINDS = {"failed": mark("failed"), "unknown": mark("nobody can tell")}
NUMBERS = ("days", "active_days", "failed_days", "unknown_days")
SHOWN_GAPS = 30


def as_json(each: "Deployment") -> dict[str, Any]:
    """All fields of a deployment; times in UTC, ISO 8601."""
    found = asdict(each)
    return {**found, "started_at": _utc(each.started_at), "ended_at": _utc(each.ended_at), "tags": list(each.tags)}


def effort_json(each: "Effort") -> dict[str, Any]:
    """An effort, its gaps and its months."""
    return {
        "deployment": each.deployment,
        "station": each.station,
        "start": _utc(each.start),
        "end": _utc(each.end),
        "timezone": each.zone,
        **_sums(each),
        "frames": each.frames,
        "first_frame": _utc(each.first_frame),
        "last_frame": _utc(each.last_frame),
        "gaps": [
            {"kind": gap.kind, "start": _utc(gap.start), "end": _utc(gap.end), "why": gap.why} for gap in each.gaps
        ],
        "months": [{"month": month.strftime("%Y-%m"), **_sums(part)} for month, part in each.by_month()],
    }


def print_list(found: "Sequence[Deployment]", work: "Deployments") -> None:
    """One line a deployment."""
    table = Table(_column(_("deployment")), box=None)
    for title in (_("station"), _("start"), _("end"), _("latitude"), _("longitude"), _("camera"), _("bait")):
        table.add_column(title, overflow="fold")  # a date that is cut says nothing
    for each in found:
        zone = work.zone_of(each)
        end = _at(each.ended_at, zone) if each.ended_at else _("goes on")
        place = (_place(each.latitude), _place(each.longitude))
        table.add_row(
            each.id,
            each.station,
            _at(each.started_at, zone),
            end,
            *place,
            each.camera_id or each.camera_model,
            each.bait,
        )
    _print(table)


def print_one(each: "Deployment", effort: "Effort", work: "Deployments") -> None:
    """All that is known of one."""
    zone = work.zone_of(each)
    table = Table(box=None, show_header=False)
    place = f"{_place(each.latitude)}, {_place(each.longitude)}" if each.latitude is not None else ""
    rows: list[tuple[str, Any]] = [
        (_("deployment"), each.id),
        (_("station"), each.station),
        (_("start"), _at(each.started_at, zone)),
        (_("end"), _at(each.ended_at, zone) if each.ended_at else _("goes on")),
        (_("zone"), zone),
        (_("place"), place),
        (_("uncertainty, m"), each.uncertainty_m),
        (_("camera"), " · ".join(filter(None, (each.camera_id, each.camera_model)))),
        (_("height, m"), each.height_m),
        (_("tilt, degrees"), each.tilt_deg),
        (_("heading, degrees"), each.heading_deg),
        (_("bait"), each.bait),
        (_("feature"), each.feature),
        (_("habitat"), each.habitat),
        (_("set up by"), each.setup_by),
        (_("tags"), ", ".join(each.tags)),
        (_("comments"), each.comments),
        (_("origin"), each.origin),
        *((key, value) for key, value in sorted(each.details.items()) if key != "problems"),
        (_("frames"), effort.frames),
        (_("trap-nights"), effort.trap_nights),
        (_("worked, nights"), effort.active_nights),
        (_("worked, days"), decimal(effort.active_days)),
        (_("failed, days"), decimal(effort.failed_days)),
        (_("unknown, days"), decimal(effort.unknown_days)),
    ]
    for what, value in rows:
        if value not in (None, ""):
            table.add_row(what, f"{value:g}" if isinstance(value, float) else str(value))
    _print(table)
    _print_gaps([effort])


def print_efforts(found: "Sequence[Effort]", *, months: bool) -> None:
    """One line a deployment, or a deployment and month; the sums; the gaps."""
    table = Table(_column(_("deployment")), *([_column(_("month"))] if months else []), box=None)
    for title in (
        *(_("trap-nights"), _("worked, nights"), _("worked, days"), _("failed, days"), _("unknown, days")),
        *([] if months else [_("frames")]),
    ):
        table.add_column(title, justify="right")
    for each in found:
        if months:
            for month, part in each.by_month():
                table.add_row(each.deployment, month.strftime("%Y-%m"), *_cells(part))
        else:
            table.add_row(each.deployment, *_cells(each), str(each.frames))
    totals = {name: sum(getattr(each, name) for each in found) for name in ("trap_nights", "active_nights", *NUMBERS)}
    cells = [str(totals["trap_nights"]), str(totals["active_nights"]), *(decimal(totals[name]) for name in NUMBERS[1:])]
    frames = [] if months else [str(sum(each.frames for each in found))]
    table.add_row(_("all"), *([""] if months else []), *cells, *frames)
    _print(table)
    _print_gaps(found)


def print_lines(lines: Sequence[str], most: int) -> None:
    """Lines to standard error, `most` of them."""
    for line in lines[:most]:
        typer.echo(line, err=True)
    if (more := len(lines) - most) > 0:
        typer.echo(_("… and {count} more; --json names them all").format(count=more), err=True)


def _print_gaps(found: "Sequence[Effort]") -> None:
    gaps = [(each, gap) for each in found for gap in each.gaps]
    for each, gap in gaps[:SHOWN_GAPS]:
        text = _("{deployment}: {kind} {start} – {end}: {why}")
        times = {"start": _at(gap.start, each.zone), "end": _at(gap.end, each.zone)}
        typer.echo(text.format(deployment=each.deployment, kind=_(KINDS[gap.kind]), why=_(gap.why), **times))
    if (more := len(gaps) - SHOWN_GAPS) > 0:
        typer.echo(_("… and {count} more; --json names them all").format(count=more))


def _column(title: str) -> Column:
    """A column whose cells are copied into other commands: never cut."""
    return Column(title, no_wrap=True)


def _cells(each: "Effort") -> list[str]:
    days = (decimal(getattr(each, name)) for name in NUMBERS[1:])
    return [str(each.trap_nights), str(each.active_nights), *days]


def _sums(each: "Effort") -> dict[str, Any]:
    return {
        "trap_nights": each.trap_nights,
        "active_nights": each.active_nights,
        **{name: round(getattr(each, name), 4) for name in NUMBERS},
    }


def _place(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def _at(at: "datetime", zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def _utc(at: "datetime | None") -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _print(table: Table) -> None:
    Console(markup=False, highlight=False).print(table)
