"""`tigrillo people`: frames that show people or vehicles, and their originals; thin, the work is in edge.privacy."""

import getpass
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from ..i18n import _, mark
from .station import JsonOption, SiteOption, site_path
from .words import Command, Group

if TYPE_CHECKING:
    from ..config import Plan

app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)
STATES = {
    "kept": mark("kept"),
    "released": mark("released"),
    "withheld": mark("withheld"),
    "deleted": mark("deleted"),
}


@command(
    "show",
    short_help=_("Show which frames show people or vehicles, and what became of their originals."),
    help=_(
        "Show how many frames show people or vehicles, what became of their originals, and the newest of them.\n\n"
        "What is done with originals stands in the site: people: {originals: keep}, delete, or 30d to withhold them "
        "for 30 days and then delete them. The observations stay whatever becomes of the picture."
    ),
)
def show(
    last: Annotated[int, typer.Option(min=0, max=10_000, help=_("How many of the newest to show."))] = 20,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print counts, and a line a frame."""
    from ..export import open_store
    from ..store.people import counts, with_people

    plan = _plan(site)
    with open_store(plan) as store:
        found, rows = counts(store), with_people(store, limit=last)
    if as_json:
        frames: list[dict[str, Any]] = [
            {"station": row.station, "frame": row.id, "name": row.name, "original": row.original}
            | {"captured_at": row.captured_at.isoformat() if row.captured_at else None, "path": str(row.path)}
            for row in rows
        ]
        head = {"policy": plan.file.people.originals, "counts": found, "frames": frames}
        typer.echo(json.dumps(head, ensure_ascii=False))
        return
    typer.echo(_("policy: {policy}").format(policy=plan.file.people.originals))
    typer.echo(", ".join(f"{_(STATES[state])} {count}" for state, count in found.items()))
    table = Table(_("station"), _("frame"), _("taken"), _("original file"), box=None)
    zone = ZoneInfo(plan.file.site.timezone)
    for row in rows:
        taken = f"{row.captured_at.astimezone(zone):%Y-%m-%d %H:%M}" if row.captured_at else "–"
        table.add_row(row.station, row.id, taken, _(STATES.get(row.original, row.original)))
    if rows:
        Console(markup=False, highlight=False).print(table)


@command(
    "release",
    short_help=_("Put a frame's original back where it was, for good."),
    help=_(
        "Put a withheld original back where it was, for good: no policy takes it again. Who did it and why is kept in "
        "the record's audit. One that was deleted can't come back."
    ),
)
def release(
    frame: Annotated[str, typer.Argument(metavar="FRAME", help=_("The frame's id, as `people show` gives it."))],
    by: Annotated[str, typer.Option("--by", help=_("Who answers for it."))],
    why: Annotated[str, typer.Option("--why", help=_("What it is needed for."))],
    station: Annotated[str, typer.Option(help=_("Needed when two stations have this id."))] = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """One original, with who and why."""
    from ..chores import do
    from ..clock import SystemClock

    values = {"frame": frame, "station": station, "who": by.strip() or getpass.getuser(), "why": why}
    said = do(_plan(site), "people.release", values, clock=SystemClock())
    typer.echo(json.dumps(dict(said), ensure_ascii=False) if as_json else str(said["path"]))


@command(
    "sweep",
    short_help=_("Withhold and delete originals now, as the site's policy says."),
    help=_(
        "Withhold and delete originals now, as the site's policy says; the daemon does it once a minute. 200 of each "
        "at most: run it again for more.\n\n"
        "Exit 1 when a file could not be moved or deleted; then it is said which."
    ),
)
def sweep(site: SiteOption = None, as_json: JsonOption = False) -> None:
    """One round."""
    from ..chores import do
    from ..clock import SystemClock

    done = do(_plan(site), "people.sweep", {}, clock=SystemClock())
    if as_json:
        typer.echo(json.dumps(dict(done), ensure_ascii=False))
    else:
        typer.echo(_("{withheld} withheld, {deleted} deleted").format(**done))
        for reason in done["failed"]:
            typer.echo(reason, err=True)
    if done["failed"]:
        raise typer.Exit(1)


def _plan(site: Path | None) -> "Plan":
    from ..config import load_plan
    from ..registry import load_registry

    return load_plan(site_path(site), load_registry())
