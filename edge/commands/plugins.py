"""`tigrillo plugins`: what can stand behind `use:`."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..i18n import _


def plugins(as_json: Annotated[bool, typer.Option("--json", help=_("Print as JSON."))] = False) -> None:
    """List sources, stages, decoders, notifiers and exporters; exit 1 when a plugin could not be imported."""
    from ..registry import load_registry

    registry = load_registry()
    if as_json:
        listed = {kind: sorted(specs) for kind, specs in registry.kinds().items()}
        typer.echo(json.dumps({**listed, "failures": dict(registry.failures)}))
    else:
        table = Table(_("kind"), _("names"), box=None)
        for kind, specs in registry.kinds().items():
            table.add_row(kind, ", ".join(sorted(specs)))
        Console().print(table)
        for plugin, reason in registry.failures.items():
            typer.echo(_("{plugin}: can't be imported: {reason}").format(plugin=plugin, reason=reason), err=True)
    if registry.failures:
        raise typer.Exit(1)
