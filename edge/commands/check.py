"""`tigrillo check`: every fault of a site, with its place."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ..i18n import _


def check(
    site: Annotated[Path, typer.Argument(help=_("The site's YAML file."))],
    as_json: Annotated[bool, typer.Option("--json", help=_("Print what the site would run as JSON."))] = False,
) -> None:
    """Check a site without running it. Faults go to standard error, one line each; exit 78."""
    from ..config import check_complete, check_logins, load_plan
    from ..configuring.proposal import page_warnings, read_site
    from ..registry import load_registry

    registry = load_registry()
    plan = load_plan(site, registry)
    check_complete(plan)
    check_logins(site, read_site(site)[0], registry)
    for says in page_warnings(plan):
        typer.echo(_("{site}: look at this: {says}").format(site=site, says=says), err=True)
    found = {
        "site": str(site),
        "sources": [spec.name for spec, _config in plan.sources],
        "stages": [spec.name for spec, _config in plan.stages],
        "channels": list(plan.channels),
        "rules": [rule.name for rule in plan.rules],
    }
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    typer.echo(
        _("{site}: good. {sources} → {stages} → {rules} rules over {channels}").format(
            site=site,
            sources=", ".join(found["sources"]) or "–",
            stages=" · ".join(found["stages"]) or "–",
            rules=len(plan.rules),
            channels=", ".join(plan.channels) or "–",
        )
    )
