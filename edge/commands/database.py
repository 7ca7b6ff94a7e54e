"""`tigrillo database`: the record in another database; thin, the work is in edge.store.copying."""

import json
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from ..i18n import _
from .station import JsonOption, SiteOption, site_path
from .words import Command, Group

app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)


@command(
    "copy",
    short_help=_("Copy a whole record into the site's new, empty database: SQLite to PostgreSQL, or back."),
    help=_(
        "Copy a whole record into the site's new, empty database: from SQLite to PostgreSQL, or back.\n\n"
        "Stop the daemon, write the new `database:` into the site, then: tigrillo database copy state/tigrillo.sqlite. "
        "The old database stays as it is, the new one gets all of it or nothing; pictures stay where they are."
    ),
)
def copy(
    old: Annotated[str, typer.Argument(metavar="OLD", help=_("An SQLite file, or postgresql://USER@HOST/NAME."))],
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how many rows came."""
    from ..config import load_plan
    from ..daemon import only_one
    from ..registry import load_registry
    from ..site_database import url_of
    from ..store.copying import copy_record
    from ..store.sql import Store
    from .export import progress_bar

    plan = load_plan(site_path(site), load_registry())
    with (
        only_one(plan.state_dir),
        Store(url_of(old), read_only=True) as source,
        Store(plan.database_url) as target,
        progress_bar(Console(stderr=True)) as bar,
    ):
        task = bar.add_task("", total=None)
        copied = copy_record(source, target, lambda done, of: bar.update(task, completed=done, total=of))
    if as_json:
        typer.echo(json.dumps(copied))
        return
    typer.echo(
        _("copied: {frames} frames, {observations} observations, {rows} rows in all").format(
            frames=copied.get("frames", 0),
            observations=copied.get("observations", 0),
            rows=sum(copied.values()),
        )
    )
