"""`tigrillo quarantine`: what could not be looked at, and trying it again; thin, the work is in edge.store."""

import getpass
import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from ..i18n import _
from .station import JsonOption, SiteOption, site_path
from .words import Command, Group

if TYPE_CHECKING:
    from pathlib import Path

    from ..config import Plan

MOST_PK = 2**31 - 1  # of a row
app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)


@command(
    "list",
    short_help=_("List what is in quarantine, the newest first, with the reasons."),
    help=_(
        "List what is in quarantine, the newest first, with the reasons: frames that could not be looked at, and what "
        "never became a frame because it was refused when it came. Nothing in quarantine is ever deleted."
    ),
)
def list_(
    last: Annotated[int, typer.Option(min=1, max=10_000, help=_("How many of the newest to show."))] = 20,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a line each."""
    from ..export import open_store
    from ..foreign import foreign
    from ..store.quarantine import page_of

    plan = _plan(site)
    with open_store(plan) as store, store.reading() as connection:
        rows = page_of(connection, limit=last)
    if as_json:
        found = [asdict(row) | {"at": row.at.isoformat(), "can_retry": row.can_retry} for row in rows]
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    zone = ZoneInfo(plan.file.site.timezone)
    table = Table(_("number"), _("when"), _("station"), _("name"), _("reason"), box=None)
    for row in rows:
        table.add_row(
            str(row.pk), f"{row.at.astimezone(zone):%Y-%m-%d %H:%M}", row.station, row.name, foreign(row.reason)
        )
    if rows:
        Console(markup=False, highlight=False).print(table)
    else:
        typer.echo(_("nothing is in quarantine"))


@command(
    "retry",
    short_help=_("Have a frame in quarantine, or all of them, looked at again."),
    help=_(
        "Have a frame in quarantine looked at again, from its first attempt: after an update, or when its file was put "
        "right; with --all every one, 10,000 at once. What never became a frame can't be; have it sent or copied anew. "
        "Who did it is kept in the audit."
    ),
)
def retry(
    number: Annotated[
        int | None, typer.Argument(metavar="NUMBER", help=_("As `quarantine list` gives it."), show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help=_("All of them, instead of one."))] = False,
    by: Annotated[str, typer.Option("--by", help=_("Who answers for it; the user who runs this when left out."))] = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """One frame, or all."""
    from ..chores import do
    from ..clock import SystemClock

    if (number is None) is not every:
        raise typer.BadParameter(_("say which one, or --all"), param_hint="NUMBER")
    what, which = ("quarantine.retry_all", {"upto": MOST_PK}) if every else ("quarantine.retry", {"pk": number})
    values = {"who": by.strip() or getpass.getuser(), **which}
    said = do(_plan(site), what, values, clock=SystemClock())
    if as_json:
        typer.echo(json.dumps(dict(said), ensure_ascii=False))
    elif every:
        typer.echo(_("frames that wait to be looked at again: {count}; files that are gone: {gone}").format(**said))
    else:
        typer.echo(_("{station}/{frame} waits to be looked at again").format(**said))


def _plan(site: "Path | None") -> "Plan":
    from ..config import load_plan
    from ..registry import load_registry

    return load_plan(site_path(site), load_registry())
