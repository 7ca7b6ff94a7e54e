"""`tigrillo broker`: the private broker's files, and the broker itself in the foreground."""

import signal
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated

import typer

from ..errors import FatalError
from ..i18n import _
from .station import site_path


def broker(
    site: Annotated[
        Path | None, typer.Argument(help=_("The site's YAML file; site.yaml here, else /etc/tigrillo/site.yaml."))
    ] = None,
    write_only: Annotated[bool, typer.Option("--write-only", help=_("Write the configuration and leave."))] = False,
    check: Annotated[
        bool, typer.Option("--check", help=_("Write the configuration, try it on a port of its own, and leave."))
    ] = False,
) -> None:
    """Write mosquitto's configuration and run it until SIGTERM or Ctrl-C."""
    from ..clock import SystemClock
    from ..config import load_general
    from ..logs import make_log
    from ..station_site import broker_place, require_private, site_desk
    from ..stations.broker import PrivateBroker, check_config, find_mosquitto, running_pid, write_config

    path = site_path(site)
    file, state_dir = load_general(path)
    if not write_only:
        require_private(file, path)
    desk, place = site_desk(file, state_dir, SystemClock()), broker_place(file)
    write_config(desk.folders, place)
    if write_only or check:
        typer.echo(_("{path}: written").format(path=desk.folders.broker_config))
    if check:
        if said := check_config(desk.folders):
            raise FatalError(said)
        typer.echo(_("mosquitto starts with it"))
    if write_only or check:
        return
    find_mosquitto()
    if pid := running_pid(desk.folders):
        raise FatalError(_("the broker runs already, as process {pid}").format(pid=pid))
    stop = _stop_on_signal()
    typer.echo(_("broker on port {port}; stations reach it as {host}").format(port=place.port, host=place.host))
    PrivateBroker(desk.folders, make_log(json_lines=not sys.stderr.isatty(), level="info")).run(stop)


def _stop_on_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set, from a thread: a handler may interrupt who holds the event's own lock."""
    stop, asked = threading.Event(), SimpleQueue[None]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_arguments: asked.put(None))

    def wait() -> None:
        asked.get()
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop
