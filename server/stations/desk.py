"""What a manager changes of stations: deployments and commands, on the same way as the command line's.

Deployments go through edge.chores.do: the running daemon writes them, and audits them. Commands are queued for the
daemon as `tigrillo station command` does, and audited here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import insert

from edge.deployed import Deployment
from edge.errors import FatalError, RefusedError
from edge.fieldwork.changes import Change, as_json
from edge.fieldwork.deployments import Deployments
from edge.i18n import _, mark, speaking
from edge.pipeline.roster import queue_command
from edge.store.schema import audit

from ..rights import Principal
from ..web import Web
from .overview import stations_of

WAIT_S = 20.0  # for the daemon, which answers within half a second unless it is busy
COMMANDS = {  # what may be sent from the page → its button
    "capture": mark("Take pictures now"),
    "snapshot": mark("One picture, full size, at once"),
    "reboot": mark("Restart the station"),
}
GOOD_FOR = timedelta(hours=24)  # as `tigrillo station command`


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a change. faults: one line each; nothing was written then. warnings: what is odd about it."""

    deployment: Deployment | None = None
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def deployments_for(web: Web, principal: Principal) -> Deployments:
    """The site's deployments, for reading and writing."""

    def write(changes: Sequence[Change]) -> None:
        from edge.chores import do  # noqa: PLC0415  # because it loads the daemon, which pages have no use for

        do(web.plan, "deployments.write", as_json(changes, who=principal.name), clock=web.clock, wait_s=WAIT_S)

    return Deployments(web.store, write, stations_of(web).get, web.plan.file.site.timezone, web.clock.now())


def doubts(web: Web, principal: Principal, each: Deployment, language: str) -> list[str]:
    """What is odd about one that is noted, such as a position in another country; for who sees it exactly."""
    with speaking(language):
        if each.latitude is None or each.longitude is None:
            return [_("It has no position: the map and exports lack it.")]
        work = deployments_for(web, principal)
        return work.warnings(each, [other for other in work.all() if other.id != each.id])


def add(web: Web, principal: Principal, station: str, values: Mapping[str, Any], language: str) -> Written:
    """Note a new deployment. values: fields of Deployment."""
    work = deployments_for(web, principal)
    with speaking(language):
        try:
            new, warnings = work.add(replace(Deployment("", station, work.now), **values))
        except FatalError as exc:
            return Written(faults=tuple(str(exc).splitlines()))
    return Written(new, warnings=tuple(warnings))


def change(web: Web, principal: Principal, old: Deployment, values: Mapping[str, Any], language: str) -> Written:
    """Change fields of one; `{"ended_at": …}` ends it."""
    work = deployments_for(web, principal)
    with speaking(language):
        try:
            new, warnings = work.change(old, **values)
        except FatalError as exc:
            return Written(old, faults=tuple(str(exc).splitlines()))
    return Written(new, warnings=tuple(warnings))


def remove(web: Web, principal: Principal, old: Deployment, language: str) -> Written:
    """Take one out; what it said stays in the audit."""
    with speaking(language):
        try:
            deployments_for(web, principal).remove(old)
        except FatalError as exc:
            return Written(old, faults=tuple(str(exc).splitlines()))
    return Written(old)


def send_command(web: Web, principal: Principal, station: str, name: str) -> str:
    """Queue a command for a station; its id. Raises RefusedError, FatalError when the state folder can't be written."""
    now = web.clock.now()
    if name not in COMMANDS:
        raise RefusedError(_("{name}: no such command").format(name=name))
    try:
        number = queue_command(web.state_dir, station, name, {}, now=now, expires_at=now + GOOD_FOR)
    except OSError as exc:
        raise FatalError(
            _("{path}: can't be written: {reason}").format(path=web.state_dir, reason=exc.strerror)
        ) from exc
    row = {"at": now, "who": principal.name, "action": "station.command", "subject": station}
    with web.store.transaction() as connection:
        connection.execute(insert(audit).values(**row, details={"command": name, "id": number}))
    return number
