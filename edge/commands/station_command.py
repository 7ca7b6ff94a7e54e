"""`tigrillo station command`: ask a station's agent to do something; `tigrillo station` takes it into its group."""

import difflib
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import FatalError
from ..i18n import _
from .station import JsonOption, NameArgument, SiteOption, site_path

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..messages import Value
    from ..store.agents import CommandRow

LISTS = ("at", "windows")  # arguments that are lists of texts, also with one text in them
LOOK_S = 0.2
OPEN = ("queued", "sent")

WhatArgument = Annotated[
    str, typer.Argument(metavar="WHAT", help=_("capture, snapshot, want, schedule or reboot; what each does: above."))
]


def send(
    name: NameArgument,
    what: WhatArgument,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help=_("Arguments of the command."))
    ] = None,
    hours: Annotated[
        float, typer.Option(min=0.01, max=24 * 90, help=_("Forget it when it was not done after so many hours."))
    ] = 24.0,
    wait: Annotated[float, typer.Option(min=0, help=_("Wait so many seconds for the answer and print it."))] = 0.0,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue a command; exit 1 when the station answers that it failed, or not at all within `wait`."""
    from ..clock import SystemClock
    from ..config import load_general
    from ..errors import RefusedError
    from ..pipeline.roster import queue_command
    from ..site_database import database_url

    path = site_path(site)
    file, state_dir = load_general(path)
    url = database_url(file.database, path, state_dir)
    now = SystemClock().now()
    _check_station(name, [each.name for each in file.stations], state_dir, url)
    try:
        args = dict(map(_argument, arguments or []))
        command_id = queue_command(state_dir, name, what, args, now=now, expires_at=now + timedelta(hours=hours))
    except RefusedError as exc:
        raise FatalError(str(exc)) from exc
    row = _wait_for(url, command_id, wait) if wait else None
    if as_json:
        answer = {"state": row.state, "text": row.text} if row else {"state": "queued", "text": ""}
        typer.echo(json.dumps({"id": command_id, **answer}, ensure_ascii=False))
    elif row is None or row.state in OPEN:
        typer.echo(_("{id}: queued; sent as soon as {name} is connected").format(id=command_id, name=name))
    else:
        typer.echo(f"{row.state}: {row.text}")
    if wait and (row is None or row.state != "done"):
        raise typer.Exit(1)


def _check_station(name: str, named: "Collection[str]", state_dir: Path, url: str) -> None:
    """Raise FatalError for a station that nobody added, that the site does not name, and that was never heard.

    Also for a revoked one: it can't fetch a command.
    """
    from ..site_file import did_you_mean
    from ..stations.book import Book
    from ..stations.folders import Folders
    from ..store.agents import Agents
    from ..store.engines import exists
    from ..store.sql import Store

    added = {row.name: row for row in Book(Folders.of(state_dir).book).all()}
    if name in added and added[name].revoked_at is not None:
        raise FatalError(_("{name}: is revoked: `tigrillo station add {name}` first").format(name=name))
    heard: list[str] = []
    if exists(url):
        with Store(url, read_only=True) as store:
            heard = [state.station for state in Agents(store).states()]
    known = {*added, *named, *heard}
    if name not in known:
        close = did_you_mean(difflib.get_close_matches(name, sorted(known)))
        raise FatalError(
            _("{name!r}: no station of this name was added or ever heard{close}").format(name=name, close=close)
        )


def _argument(text: str) -> "tuple[str, Value]":
    """KEY=VALUE; a value is JSON where it can be read as such, else text. Raises FatalError."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise FatalError(_("{text!r}: write KEY=VALUE, such as frame=0badcafe-00000012").format(text=text))
    if key in LISTS:
        return key, [each.strip() for each in value.split(",") if each.strip()]
    try:
        found: Value = json.loads(value)
    except ValueError:
        return key, value
    return key, found


def _wait_for(url: str, command_id: str, seconds: float) -> "CommandRow | None":
    """The command's row once it is answered, or as it is after so many seconds; None while no daemon took it in."""
    from ..store.agents import Agents
    from ..store.sql import Store

    until, row = time.monotonic() + seconds, None
    with Store(url, read_only=True) as store:
        while True:
            row = Agents(store).command(command_id)
            if (row and row.state not in OPEN) or time.monotonic() >= until:
                return row
            time.sleep(LOOK_S)
