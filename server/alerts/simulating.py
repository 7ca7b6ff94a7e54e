"""`python -m server.alerts.simulating SITE.yaml DAYS`: recorded history through the rules of now and other ones.

In a process of its own, because it keeps a core busy for minutes and can be ended. stdin: JSON {"text": the other
YAML, "rule": a name}. stdout: JSON lines, {"done", "total"} now and then, at the end {"result"} or {"error"}.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge.config import Plan, load_plan, plan_from
from edge.errors import EdgeError
from edge.registry import load_registry
from edge.simulate import Simulated, simulate
from edge.store.sql import Store

NICE = 10
SAY_EVERY_S = 0.5
MOST_MESSAGES = 200  # that are shown; all are counted


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 with a result, 1 with an error."""
    os.nice(NICE)
    path, days = Path(arguments[0]), float(arguments[1])
    asked = json.loads(sys.stdin.read())
    try:
        registry = load_registry()
        plans = {"now": load_plan(path, registry), "new": plan_from(asked["text"], path, registry)}
        now = datetime.now(UTC)
        since = now - timedelta(days=days)
        with Store(plans["now"].database_url, read_only=True) as store:
            total = store.count_received(since=since)
            result = {
                which: summed(_run(plan, store, since, now, _teller(number * total, 2 * total)), asked["rule"])
                for number, (which, plan) in enumerate(plans.items())
            }
    except EdgeError as exc:
        _say({"error": str(exc)})
        return 1
    _say({"result": result})
    return 0


def _run(plan: Plan, store: Store, since: datetime, now: datetime, tell: Callable[[int], None]) -> Simulated:
    return simulate(plan, store.recorded(since=since), since=since, now=now, tell=tell)


def summed(found: Simulated, rule: str) -> dict[str, Any]:
    """What a page shows of a simulation. messages: those of the rule, the newest 200; of all when it is ""."""
    own = [each for each in found.messages if not rule or each.rule == rule]
    return {
        "frames": found.frames,
        "encounters": found.encounters,
        "count": len(found.messages),
        "of_rule": len(own),
        "by": dict(Counter(each.addressee for each in found.messages)),
        "held_back": dict(found.held_back),
        "messages": [
            {"at": each.at.isoformat(timespec="seconds"), "addressee": each.addressee, "kind": each.kind}
            | {"severity": each.severity, "rule": each.rule, "headline": each.headline}
            for each in own[-MOST_MESSAGES:]
        ],
    }


def _teller(before: int, total: int) -> Callable[[int], None]:
    said_s = [0.0]

    def tell(done: int) -> None:
        if time.monotonic() - said_s[0] >= SAY_EVERY_S:
            said_s[0] = time.monotonic()
            _say({"done": before + done, "total": total})

    return tell


def _say(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
