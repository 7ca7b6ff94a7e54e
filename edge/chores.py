"""What commands and the web page change in the record: at once when no daemon runs the site, else through it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .clock import Clock
from .config import Plan
from .configuring.changes import Change, Changes, new_id
from .configuring.desk import ConfigurationDesk
from .configuring.proposal import Proposal
from .daemon import is_running, only_one
from .errors import FatalError
from .i18n import _
from .logs import make_log
from .pipeline.housekeeping import handlers
from .pipeline.requests import ask
from .privacy.originals import Originals
from .registry import load_registry
from .store.sql import Store

WAIT_S = 60.0  # for the daemon's answer; marking 100,000 boxes took 2 s
LOOK_S = 0.2
OUTCOME_S = 300.0  # a drain of limits.grace_s, models that load, and the trial's own 90 s at most


def do(plan: Plan, what: str, values: Mapping[str, Any], *, clock: Clock, wait_s: float = WAIT_S) -> Mapping[str, Any]:
    """Have something done that is in `handlers`. Raises FatalError with the reason when it is refused."""
    if is_running(plan.state_dir):
        return ask(plan.state_dir, what, values, wait_s=wait_s)
    with only_one(plan.state_dir), Store(plan.database_url) as store:
        log = make_log(json_lines=False, level="warning")
        originals = Originals(store, plan.state_dir, plan.file.people, clock, log)
        desk = None
        if what == "configuration.apply":
            desk = ConfigurationDesk(plan.path, plan.state_dir, load_registry(), store, clock, tried=False)
        return handlers(store, clock, originals, desk)[what](values)


def apply_proposal(plan: Plan, proposal: Proposal, *, who: str, why: str, clock: Clock) -> Change:
    """Put a proposal into force; the change, which the running daemon now tries ("trying"), or "written" without one.

    Raises FatalError when it has faults, changes nothing, or is refused: the file has changed meanwhile, another change
    is being tried, the file can't be written. Its outcome comes later: `Changes(plan.state_dir).get(change.id)`.
    """
    if not proposal.is_good:
        raise FatalError("\n".join(proposal.faults) or _("nothing changes: the file has this text already"))
    values = {"id": new_id(clock.now()), "text": proposal.text, "base": proposal.base, "who": who, "why": why}
    said = do(plan, "configuration.apply", values, clock=clock)
    change = Changes(plan.state_dir).get(str(said["change"]))
    if change is None:
        raise FatalError(_("change {id!r} is not kept any more").format(id=str(said["change"])))
    return change


def wait_for_outcome(state_dir: Path, change: Change, *, wait_s: float = OUTCOME_S) -> Change:
    """The change with its outcome; as it is when there is none after `wait_s`, or no daemon runs to find one."""
    changes, until_s = Changes(state_dir), time.monotonic() + wait_s
    while not change.is_over and time.monotonic() < until_s and is_running(state_dir):
        time.sleep(LOOK_S)
        change = changes.get(change.id) or change
    return changes.get(change.id) or change
