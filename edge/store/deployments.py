"""Rows of `deployments`: when a camera stood where. Functions take part in the caller's transaction.

Every change leaves a row of `audit` with who made it, when, and what was there before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update

from ..deployed import Deployment
from .schema import audit, deployments

COLUMNS = tuple(each.name for each in fields(Deployment))


def all_deployments(
    connection: Connection,
    *,
    stations: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Deployment]:
    """Those of these stations (() for all) that touch the time between two moments, by station and start."""
    query = select(*(deployments.c[name] for name in COLUMNS))
    if stations:
        query = query.where(deployments.c.station.in_(stations))
    if since is not None:
        query = query.where(or_(deployments.c.ended_at.is_(None), deployments.c.ended_at >= since))
    if until is not None:
        query = query.where(deployments.c.started_at <= until)
    rows = connection.execute(query.order_by(deployments.c.station, deployments.c.started_at, deployments.c.id))
    return [_deployment(row) for row in rows.mappings()]


def find(connection: Connection, number: str) -> Deployment | None:
    """The deployment of this id; None when there is none."""
    query = select(*(deployments.c[name] for name in COLUMNS)).where(deployments.c.id == number)
    row = connection.execute(query).mappings().first()
    return _deployment(row) if row else None


def add(connection: Connection, new: Deployment, *, who: str, now: datetime) -> None:
    """Add a row. Raises IntegrityError when its id is taken."""
    connection.execute(insert(deployments).values(**_values(new), created_at=now))
    _note(connection, "deployment.add", new.id, who=who, now=now, details={"new": _told(new)})


def change(connection: Connection, old: Deployment, new: Deployment, *, who: str, now: datetime) -> None:
    """Put `new` in the place of `old`, which has the same id or another one."""
    connection.execute(update(deployments).where(deployments.c.id == old.id).values(**_values(new)))
    before, after = _told(old), _told(new)
    changed = {name: [before.get(name), after.get(name)] for name in COLUMNS if before.get(name) != after.get(name)}
    _note(connection, "deployment.change", old.id, who=who, now=now, details={"changed": changed})


def remove(connection: Connection, old: Deployment, *, who: str, now: datetime) -> None:
    """Take a row out; what it said stays in the audit."""
    connection.execute(delete(deployments).where(deployments.c.id == old.id))
    _note(connection, "deployment.remove", old.id, who=who, now=now, details={"old": _told(old)})


def _note(connection: Connection, action: str, subject: str, *, who: str, now: datetime, details: Any) -> None:
    connection.execute(insert(audit).values(at=now, who=who, action=action, subject=subject, details=details))


def _deployment(row: Mapping[Any, Any]) -> Deployment:
    return Deployment(**{**row, "tags": tuple(row["tags"] or ()), "details": dict(row["details"] or {})})


def _values(each: Deployment) -> dict[str, Any]:
    """The columns of a row."""
    found: dict[str, Any] = {name: getattr(each, name) for name in COLUMNS}
    return {**found, "tags": list(each.tags) or None, "details": dict(each.details) or None}


def _told(each: Deployment) -> dict[str, Any]:
    """What is said of it, for JSON; what is empty is left out."""
    found = {**_values(each), "started_at": each.started_at.isoformat()}
    found["ended_at"] = each.ended_at.isoformat() if each.ended_at else None
    return {name: value for name, value in found.items() if value not in (None, "")}
