"""Rows of what people answered. All functions take part in the caller's transaction."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select

from .dialects import upsert
from .schema import replies

REPLIES_FOR = timedelta(days=365)


def answer_of(connection: Connection, channel: str, reply_id: str) -> str | None:
    """What was answered to this reply before; None when it is new."""
    found: str | None = connection.scalar(
        select(replies.c.answer).where(replies.c.channel == channel, replies.c.id == reply_id)
    )
    return found


def keep_reply(
    connection: Connection,
    *,
    channel: str,
    id: str,  # noqa: A002  # because the column is called so
    sender: str,
    who: str,
    text: str,
    answer: str,
    now: datetime,
) -> None:
    """Keep what somebody wrote and what was answered."""
    values = {"channel": channel, "id": id, "sender": sender, "who": who, "text": text, "answer": answer, "at": now}
    connection.execute(upsert(connection, replies).values(values).on_conflict_do_nothing())
    connection.execute(delete(replies).where(replies.c.at < now - REPLIES_FOR))
