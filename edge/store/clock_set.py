"""What becomes of rows that wait when somebody sets the wall clock. Takes part in the caller's transaction."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from .notices import WAITING
from .schema import mutes, notices


def follow_clock(connection: Connection, now: datetime, by: timedelta | None, since: datetime) -> None:
    """The wall clock was set by so much: what waits, and mutes, keep the age and the time they had left.

    by: None at the start, when nobody knows: then what was queued in time to come counts as queued now. since: what
    was queued from then till now was queued by the new time. The next attempt of a message that failed stays: see
    `is_due`.
    """
    old = select(notices.c.pk, notices.c.created_at, notices.c.next_attempt_at, notices.c.attempts)
    for pk, created_at, next_attempt_at, attempts in connection.execute(old.where(notices.c.state.in_(WAITING))).all():
        if shift := _shift(created_at, now, by, since):
            moved = {"created_at": created_at + shift}
            if attempts == 0:
                moved["next_attempt_at"] = next_attempt_at + shift
            connection.execute(update(notices).where(notices.c.pk == pk).values(moved))
    for pk, at, until in connection.execute(select(mutes.c.pk, mutes.c.at, mutes.c.until)).all():
        if until is not None and (shift := _shift(at, now, by, since)):
            connection.execute(update(mutes).where(mutes.c.pk == pk).values(at=at + shift, until=until + shift))


def _shift(at: datetime, now: datetime, by: timedelta | None, since: datetime) -> timedelta:
    if by is None:
        return min(now - at, timedelta(0))
    return timedelta(0) if since <= at <= now else by
