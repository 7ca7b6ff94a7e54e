"""What the daemon does beside the frames: requests of commands."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..clock import Clock
from ..fieldwork import clock_desk
from ..fieldwork.changes import write_json
from ..repeats.keeping import decide, from_json, keep_found
from ..services import Log
from ..store.sql import Store
from .requests import Handler, Requests
from .runner import Failed, attempt

LOOK_S = 0.5


def handlers(store: Store, clock: Clock) -> Mapping[str, Handler]:
    """What commands may ask for. Each may be done twice, and raises EdgeError to refuse."""

    def keep(values: Mapping[str, Any]) -> Mapping[str, Any]:
        kept = keep_found(store, from_json(values), now=clock.now())
        return {"new": kept.new, "again": kept.again, "forgotten": kept.forgotten}

    def decided(values: Mapping[str, Any]) -> Mapping[str, Any]:
        said = {name: str(values[name]) for name in ("what", "who", "why")}
        pks = [int(pk) for pk in values["pks"]]
        rows = decide(store, pks, said["what"], who=said["who"], why=said["why"], now=clock.now())
        return {"suspects": [row.pk for row in rows]}

    def deployments(values: Mapping[str, Any]) -> Mapping[str, Any]:
        return write_json(store, values, now=clock.now())

    return {
        "deployments.write": deployments,
        "clock.correct": partial(clock_desk.correct, store),
        "clock.undo": partial(clock_desk.undo, store),
        "clock.recount": partial(clock_desk.recount, store),
        "repeats.found": keep,
        "repeats.decide": decided,
    }


@dataclass(frozen=True, slots=True)
class Housekeeper:
    """One thread of the daemon."""

    requests: Requests
    clock: Clock
    log: Log

    def run(self, stop: threading.Event) -> None:
        """Answer requests until `stop` is set."""
        while not stop.is_set():
            took = attempt(self.requests.take_in)
            if isinstance(took, Failed):
                self.log.error("requests.failed", reason=took.reason)
                stop.wait(10 * LOOK_S)
            stop.wait(LOOK_S)
