"""`tigrillo doctor`: one line a thing, with a verdict and a next step."""

import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..i18n import _

MARKS = {"good": "[green]✓[/]", "warn": "[yellow]![/]", "bad": "[red]✗[/]"}


def doctor(
    site: Annotated[Path | None, typer.Argument(help=_("The site's YAML file; without it, the machine only."))] = None,
    online: Annotated[
        bool, typer.Option("--online", help=_("Also ask each alert channel whether it would work; nothing is sent."))
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print as JSON."))] = False,
) -> None:
    """Look at packages, devices, models, broker and folders. Exit 1 when the daemon could not run."""
    from ..clock import SystemClock
    from ..config import load_plan
    from ..doctor import examine
    from ..registry import load_registry
    from ..simulate import still_services

    registry = load_registry()
    plan = load_plan(site, registry) if site else None
    with ExitStack() as stack:
        services = stack.enter_context(still_services(plan, SystemClock())) if plan and online else None
        findings = list(examine(plan, registry, tell=lambda text: typer.echo(text, err=True), services=services))
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in findings], ensure_ascii=False))
    else:
        table = Table("", "", "", "", box=None, show_header=False)
        for each in findings:
            table.add_row(MARKS[each.verdict], each.what, each.says, f"→ {each.next_step}" if each.next_step else "")
        Console().print(table)
    if any(each.verdict == "bad" for each in findings):
        raise typer.Exit(1)
