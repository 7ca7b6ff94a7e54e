"""`tigrillo export`: the command around edge.export."""

import gc
import json
import time
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ..errors import FatalError
from ..i18n import _, decimal
from .station import JsonOption, SiteOption, site_path

if TYPE_CHECKING:
    from ..export import Exported
    from ..registry import Registry


SHOWN_STATIONS = 5


class Only(StrEnum):
    """The categories, as typer wants them."""

    animal = "animal"
    person = "person"
    vehicle = "vehicle"


def export(
    name: Annotated[str, typer.Argument(metavar="FORMAT", help=_("One of --list."))] = "",
    out: Annotated[Path | None, typer.Option(help=_("The file or folder to write."))] = None,
    site: SiteOption = None,
    station: Annotated[list[str] | None, typer.Option(help=_("Only this station; may be given again."))] = None,
    taxon: Annotated[
        list[str] | None,
        typer.Option(help=_("Only this taxon and what is below it: scientific, English or Spanish name; again.")),
    ] = None,
    category: Annotated[list[Only] | None, typer.Option(help=_("Only these; may be given again."))] = None,
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help=_("Only what is at least so sure: the answer, else the detection."))
    ] = 0.0,
    since: Annotated[str | None, typer.Option(help=_("Taken at or after: 2026-11-22 or 2026-11-22T18:30."))] = None,
    until: Annotated[str | None, typer.Option(help=_("Taken at or before; a date means to its end."))] = None,
    with_suppressed: Annotated[
        bool, typer.Option("--with-suppressed", help=_("Also repeated detections that were suppressed."))
    ] = False,
    independent: Annotated[
        str | None,
        typer.Option(help=_("Only records of a kind not seen at the station for so long before: 30m, 1h.")),
    ] = None,
    chosen: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help=_("An option of the format (--list); may be given again.")),
    ] = None,
    list_formats: Annotated[bool, typer.Option("--list", help=_("List the formats and leave."))] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what was recorded in a format that other tools open."""
    from ..registry import load_registry

    registry = load_registry()
    if list_formats:
        _list(registry, as_json=as_json)
        return
    from ..clock import SystemClock
    from ..config import load_plan
    from ..export import (
        Wanted,
        context_of,
        known_stations,
        open_store,
        read_interval,
        read_options,
        read_taxa,
        read_time,
        refuse_format,
        services_for,
        why_nothing,
        write_export,
    )
    from ..logs import make_log
    from ..store.harvest import Span

    if name not in registry.exporters:
        refuse_format(name, registry.exporters)
    if out is None:
        raise FatalError(_("say where to: --out PATH"))
    if not out.absolute().parent.is_dir():
        raise FatalError(_("{path}: no such folder").format(path=out.absolute().parent))
    interval = read_interval(independent) if independent else None
    options = read_options(chosen or [], registry.exporters[name])
    plan = load_plan(site_path(site), registry)
    zone = plan.file.site.timezone
    taxa, faults = read_taxa(taxon or [])
    span = Span(
        tuple(dict.fromkeys(station or [])),
        read_time(since, zone, end=False) if since else None,
        read_time(until, zone, end=True) if until else None,
    )
    wanted = Wanted(span, taxa, frozenset(each.value for each in category or []), min_score, with_suppressed, interval)
    gc.freeze()  # what was imported stays: looking through it again and again takes a twentieth of the time
    console = Console(stderr=True)
    started = time.monotonic()
    with open_store(plan) as store:
        stations = known_stations(plan, SystemClock())
        context = context_of(
            store, span, timezone_of=lambda name: stations[name].timezone if name in stations else zone
        )
        context = replace(context, options=options)
        log = make_log(json_lines=False, level="warning")
        services = services_for(plan, log=log, clock=SystemClock(), context=context)
        with progress_bar(console) as bar:
            task = bar.add_task("", total=sum(period.frames for period in context.periods))
            done = write_export(
                store,
                registry.exporters[name],
                out.absolute(),
                services,
                wanted,
                progress=lambda read: bar.update(task, completed=read),
            )
        reason = "" if done.frames else why_nothing(store, wanted, faults)
    seconds = time.monotonic() - started
    summary = {
        "format": name,
        "out": str(out),
        "stations": len(context.periods),
        "frames": done.frames,
        "observations": done.observations,
        "failures": done.failures,
        "without_position": done.without_position,
        "seconds": round(seconds, 2),
    }
    _warn(done, faults if done.frames else [], reason)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        text = _("{frames} frames, {observations} observations in {seconds} s → {out}")
        typer.echo(text.format(**{**summary, "seconds": decimal(seconds)}))


def progress_bar(console: Console) -> Progress:
    """A bar on a terminal; nothing elsewhere."""
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn(_("left")),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _warn(done: "Exported", faults: list[str], reason: str) -> None:
    if not done.frames:
        text = _("nothing matches: {reason}").format(reason=reason) if reason else _("nothing matches")
        typer.echo(text, err=True)
    for fault in faults:
        typer.echo(fault, err=True)
    if done.without_position:
        shown = ", ".join(done.without_position[:SHOWN_STATIONS])
        shown += ", …" if len(done.without_position) > SHOWN_STATIONS else ""
        text = _("no position: {stations}: give latitude and longitude under `stations:` in the site")
        typer.echo(text.format(stations=shown), err=True)


def _list(registry: "Registry", *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "name": spec.name,
            "suffix": spec.suffix,
            "folder": spec.folder,
            "about": _(spec.about) if spec.about else "",
            "options": [{"name": each.name, "default": each.default, "about": _(each.about)} for each in spec.options],
        }
        for _name, spec in sorted(registry.exporters.items())
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table(_("format"), _("file"), _("what it is"), box=None)
    for row in rows:
        table.add_row(row["name"], row["suffix"], row["about"])
        for each in row["options"]:
            table.add_row("", "", f"--set {each['name']}={each['default']}: {each['about']}")
    Console().print(table)
