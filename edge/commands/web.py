"""`tigrillo web`: the web page alone; the same as `python -m server`."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from ..i18n import _


def web(site: Annotated[Path, typer.Argument(help=_("The site's YAML file."))]) -> None:
    """Serve the web page until SIGTERM or Ctrl-C."""
    # by name, so that no arrow leads from the runtime to the page
    main = importlib.import_module("server.__main__").main
    raise typer.Exit(main([str(site)]))
