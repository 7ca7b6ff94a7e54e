"""`tigrillo run`: the daemon."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..i18n import _


def run(
    site: Annotated[Path, typer.Argument(help=_("The site's YAML file."))],
    log_json: Annotated[
        bool | None, typer.Option("--log-json/--log-text", help=_("Log form; JSON unless on a terminal."))
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning, error")] = "info",
) -> None:
    """Run a site until SIGTERM or Ctrl-C: sources, stages, alerts. One process a site."""
    from ..clock import SystemClock
    from ..logs import make_log
    from ..registry import load_registry
    from ..reloading import run_for_good

    registry = load_registry()
    log = make_log(json_lines=not sys.stderr.isatty() if log_json is None else log_json, level=log_level)
    for plugin, reason in registry.failures.items():
        log.warning("plugin.failed", plugin=plugin, reason=reason)
    run_for_good(site, registry, log=log, clock=SystemClock())
