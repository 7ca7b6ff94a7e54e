"""`tigrillo import`: the command around edge.importing."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from ..errors import FatalError
from ..i18n import _
from .station import JsonOption, SiteOption, site_path

SHOWN_FAULTS = 20


def import_(
    name: Annotated[str, typer.Argument(metavar="FORMAT", help=_("One of --list."))] = "",
    path: Annotated[Path | None, typer.Argument(help=_("The file or folder to read."))] = None,
    site: SiteOption = None,
    images: Annotated[
        Path | None, typer.Option(help=_("The folder that the file's names start from; left out, none is looked for."))
    ] = None,
    station: Annotated[
        str, typer.Option(help=_("Whose frames they are; left out, what the file or its first folder says."))
    ] = "",
    list_formats: Annotated[bool, typer.Option("--list", help=_("List the formats and leave."))] = False,
    as_json: JsonOption = False,
) -> None:
    """Take into the record what another program found."""
    from ..importing.table import IMPORTS

    if list_formats:
        rows = [{"name": key, "about": _(each.about)} for key, each in IMPORTS.items()]
        typer.echo(
            json.dumps(rows, ensure_ascii=False)
            if as_json
            else "\n".join(f"{row['name']:14}{row['about']}" for row in rows)
        )
        return
    from ..clock import SystemClock
    from ..config import load_plan
    from ..daemon import only_one
    from ..export import known_stations, refuse_format
    from ..importing.imported import Options
    from ..registry import load_registry
    from ..store.sql import Store

    if name not in IMPORTS:
        refuse_format(name, IMPORTS)
    if path is None:
        raise FatalError(_("say what to read: tigrillo import {format} PATH").format(format=name))
    if not path.exists():
        raise FatalError(_("{path}: no such file or folder").format(path=path))
    plan = load_plan(site_path(site), load_registry())
    clock = SystemClock()
    stations = known_stations(plan, clock)

    def timezone_of(of: str) -> str:
        known = stations.get(of)
        return known.timezone if known else plan.file.site.timezone

    # without `..`, which is refused below the folder
    folder = None if images is None else Path(os.path.abspath(images))  # noqa: PTH100  # because links stay as they are
    options = Options(folder, station, timezone_of, clock.now())
    with only_one(plan.state_dir), Store(plan.database_url) as store:
        done = IMPORTS[name].run(store, path, options)
    if as_json:
        typer.echo(json.dumps({"format": name, **done.counts, "faults": done.faults}, ensure_ascii=False))
        return
    for fault in done.faults[:SHOWN_FAULTS]:
        typer.echo(fault, err=True)
    if (more := len(done.faults) - SHOWN_FAULTS) > 0:
        typer.echo(_("… and {count} more; --json names them all").format(count=more), err=True)
    typer.echo(", ".join(f"{key} {count}" for key, count in done.counts.items()))
