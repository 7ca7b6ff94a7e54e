"""`tigrillo agent`: the Pi's side; the same as `python -m raspberry_pi.agent`."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from ..i18n import _


def agent(config: Annotated[Path, typer.Argument(help=_("The agent's YAML file."))]) -> None:
    """Take pictures, keep them on disk, send them until the server says each is safe."""
    # by name, so that no arrow leads from the runtime to the agent: they only share edge.wire
    main = importlib.import_module("raspberry_pi.agent").main
    raise typer.Exit(main([str(config)]))
