"""What commands change in the record: at once when no daemon runs the site, else through it."""

from collections.abc import Mapping
from typing import Any

from .clock import Clock
from .config import Plan
from .daemon import is_running, only_one
from .logs import make_log
from .pipeline.housekeeping import handlers
from .pipeline.requests import ask
from .privacy.originals import Originals
from .store.sql import Store

WAIT_S = 60.0  # for the daemon's answer; marking 100,000 boxes took 2 s


def do(plan: Plan, what: str, values: Mapping[str, Any], *, clock: Clock, wait_s: float = WAIT_S) -> Mapping[str, Any]:
    """Have something done that is in `handlers`. Raises FatalError with the reason when it is refused."""
    if is_running(plan.state_dir):
        return ask(plan.state_dir, what, values, wait_s=wait_s)
    with only_one(plan.state_dir), Store(plan.database_url) as store:
        log = make_log(json_lines=False, level="warning")
        originals = Originals(store, plan.state_dir, plan.file.people, clock, log)
        return handlers(store, clock, originals)[what](values)
