"""Hop 6, record: what is written beside a frame's observations, in their transaction, in this order."""

from datetime import datetime

from sqlalchemy import Connection

from ..alerts.desk import AlertDesk
from ..model import Outcome
from ..repeats.marking import mark_repeats


def note_outcome(connection: Connection, outcome: Outcome, desk: AlertDesk, now: datetime) -> int:
    """Mark suppressed repeats, then look with the rules at what is left; returns how many messages were queued."""
    counts = mark_repeats(connection, outcome)
    return desk.note(connection, counts, now)
