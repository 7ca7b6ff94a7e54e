"""What the daemon does beside the frames: requests of commands, and originals with people."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..clock import Clock
from ..configuring.desk import ConfigurationDesk
from ..fieldwork import clock_desk
from ..fieldwork.changes import write_json
from ..privacy.originals import Originals
from ..repeats.keeping import decide, from_json, keep_found
from ..services import Log
from ..store.quarantine import retry, retry_all
from ..store.sql import Store
from .requests import Handler, Requests
from .runner import Failed, attempt

LOOK_S = 0.5
SWEEP_EVERY_S = 60.0


def handlers(
    store: Store,
    clock: Clock,
    originals: Originals | None = None,
    desk: ConfigurationDesk | None = None,
    *,
    changed: Callable[[], None] = lambda: None,
) -> Mapping[str, Handler]:
    """What commands may ask for. Each may be done twice, and raises EdgeError to refuse.

    desk: takes new configurations; changed: called when it has taken one that is to be tried.
    """

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
        "quarantine.retry": partial(retry, store, clock),
        "quarantine.retry_all": partial(retry_all, store, clock),
        **(_of_originals(originals) if originals else {}),
        **({"configuration.apply": partial(_apply, desk, changed)} if desk else {}),
    }


def _apply(desk: ConfigurationDesk, changed: Callable[[], None], values: Mapping[str, Any]) -> Mapping[str, Any]:
    change = desk.apply(values)
    if not change.is_over:
        changed()
    return {"change": change.id, "state": change.state}


def _of_originals(originals: Originals) -> Mapping[str, Handler]:
    def release(values: Mapping[str, Any]) -> Mapping[str, Any]:
        said = {name: str(values[name]) for name in ("frame", "station", "who", "why")}
        shown = originals.release(said["frame"], said["station"], who=said["who"], why=said["why"])
        return {"station": shown.station, "frame": shown.id, "path": str(shown.path)}

    def sweep(_values: Mapping[str, Any]) -> Mapping[str, Any]:
        done = originals.sweep()
        return {"withheld": done.withheld, "deleted": done.deleted, "failed": list(done.failed)}

    return {"people.release": release, "people.sweep": sweep}


@dataclass(frozen=True, slots=True)
class Housekeeper:
    """One thread of the daemon."""

    requests: Requests
    originals: Originals
    clock: Clock
    log: Log

    def run(self, stop: threading.Event) -> None:
        """Answer requests, and sweep originals now and then, until `stop` is set."""
        next_sweep_s = self.clock.monotonic_s()
        while not stop.is_set():
            took = attempt(self.requests.take_in)
            if isinstance(took, Failed):
                self.log.error("requests.failed", reason=took.reason)
                stop.wait(10 * LOOK_S)
            if self.clock.monotonic_s() >= next_sweep_s:
                swept = attempt(self.originals.sweep)
                if isinstance(swept, Failed):
                    self.log.error("people.failed", reason=swept.reason)
                next_sweep_s = self.clock.monotonic_s() + SWEEP_EVERY_S
            stop.wait(LOOK_S)
