"""What the system page asks the database: depths, and who did what. No query counts more rows than it says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from edge.store.arrivals import waiting_bytes
from edge.store.schema import audit, frames, notices, quarantine

MOST_COUNTED = 10_000  # more waiting frames than that are "more than 10,000"
SEARCHED = 20_000  # rows of the audit looked through for one answer; some 10 ms


@dataclass(frozen=True, slots=True)
class Depths:
    """How much lies between two verbs. Counts end at MOST_COUNTED. oldest: when the one came that waits longest."""

    waiting: int
    waiting_bytes: int
    oldest: datetime | None
    in_work: int
    to_send: int
    oldest_to_send: datetime | None
    failed_to_send: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Audited:
    """One row of the audit."""

    pk: int
    at: datetime
    who: str
    action: str
    subject: str
    details: Any


def depths(connection: Connection) -> Depths:
    """Spool, workers and outbox, now."""
    waits, queued = frames.c.state == "spooled", notices.c.state.in_(("pending", "sending"))
    oldest = [
        connection.scalar(
            select(frames.c.received_at).where(waits, frames.c.late == late).order_by(frames.c.pk).limit(1)
        )
        for late in (False, True)
    ]
    return Depths(
        waiting=_bounded(connection, select(frames.c.pk).where(waits)),
        waiting_bytes=waiting_bytes(connection),
        oldest=min((each for each in oldest if each is not None), default=None),
        in_work=_bounded(connection, select(frames.c.pk).where(frames.c.state == "claimed")),
        to_send=_bounded(connection, select(notices.c.pk).where(queued)),
        oldest_to_send=connection.scalar(
            select(notices.c.created_at)
            .where(notices.c.state == "pending")
            .order_by(notices.c.next_attempt_at)
            .limit(1)
        ),
        failed_to_send=_bounded(connection, select(notices.c.pk).where(notices.c.state == "failed")),
        quarantined=_bounded(connection, select(quarantine.c.pk).where(quarantine.c.pk > 0)),  # along the key
    )


def _bounded(connection: Connection, query: Select[Any]) -> int:
    return int(connection.scalar(select(func.count()).select_from(query.limit(MOST_COUNTED).subquery())) or 0)


def audited(
    connection: Connection, *, before: int | None = None, limit: int = 50, who: str = "", action: str = ""
) -> tuple[list[Audited], int | None]:
    """(the newest first, what `before` is for those that follow: None at the end).

    who, action: only these, whole; "" for all. At most SEARCHED rows are looked through at a time, so that a name
    that stands nowhere costs no more than one that stands everywhere: a part may be short, and others follow.
    """
    end = before if before is not None else int(connection.scalar(select(func.max(audit.c.pk))) or 0) + 1
    start = max(end - SEARCHED, 1)
    query = select(audit).where(audit.c.pk < end, audit.c.pk >= start).order_by(audit.c.pk.desc()).limit(limit + 1)
    if who:
        query = query.where(audit.c.who == who)
    if action:
        query = query.where(audit.c.action == action)
    rows = [Audited(row.pk, row.at, row.who, row.action, row.subject, row.details) for row in connection.execute(query)]
    if len(rows) > limit:
        return rows[:limit], rows[limit - 1].pk
    return rows, (start if start > 1 else None)
