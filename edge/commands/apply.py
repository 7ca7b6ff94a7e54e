"""`tigrillo apply`: another text for the site's YAML, tried by the daemon; thin: edge.configuring does it."""

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..i18n import _, mark
from .station import JsonOption, SiteOption, site_path

if TYPE_CHECKING:
    from ..configuring.changes import Change

WORDS = {
    "kept": mark("kept: everything has come up with it"),
    "written": mark("written: no daemon runs this site, so nobody has tried it"),
    "rolled_back": mark("rolled back: {reason}"),
    "overtaken": mark("given up: {reason}"),
    "trying": mark("not judged yet: the daemon goes on trying it, or does so at its next start"),
}


def apply(
    new: Annotated[Path, typer.Argument(metavar="NEW.yaml", help=_("The new text."), exists=True, dir_okay=False)],
    site: SiteOption = None,
    by: Annotated[str, typer.Option("--by", help=_("Who answers for it; the user who runs this when left out."))] = "",
    why: Annotated[str, typer.Option("--why", help=_("What it is for; kept beside it."))] = "",
    check_only: Annotated[
        bool, typer.Option("--check", help=_("Say what is wrong and what would change; write nothing."))
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check, compare, write, wait for the outcome."""
    from ..chores import apply_proposal, wait_for_outcome
    from ..clock import SystemClock
    from ..config import plan_from
    from ..configuring.proposal import propose, read_site
    from ..errors import ConfigError
    from ..registry import load_registry

    path, registry = site_path(site), load_registry()
    proposal = propose(path, read_site(new)[0], registry)
    if proposal.faults:
        raise ConfigError("\n".join(proposal.faults))
    if not as_json:
        typer.echo(proposal.diff or _("nothing changes: the file has this text already"))
        for warning in proposal.warnings:
            typer.echo(warning, err=True)
    if check_only or not proposal.diff:
        if as_json:
            typer.echo(json.dumps({"state": "unchanged" if not proposal.diff else "good", "diff": proposal.diff}))
        return
    plan = plan_from(proposal.text, path, registry)  # the file itself may be the one that is broken
    change = apply_proposal(plan, proposal, who=by.strip() or getpass.getuser(), why=why, clock=SystemClock())
    change = wait_for_outcome(plan.state_dir, change)
    _say(change, proposal.diff, as_json=as_json)
    if change.state not in ("kept", "written"):
        raise typer.Exit(1)


def _say(change: "Change", diff: str, *, as_json: bool) -> None:
    if as_json:
        found = {"change": change.id, "state": change.state, "reason": change.reason, "diff": diff}
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        typer.echo(_(WORDS[change.state]).format(reason=change.reason))
