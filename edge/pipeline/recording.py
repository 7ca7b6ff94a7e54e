"""Hop 6, record: what is written beside a frame's observations, in their transaction, in this order."""

from datetime import datetime

from sqlalchemy import Connection

from ..alerts.desk import AlertDesk
from ..model import Outcome
from ..privacy.policy import PEOPLE
from ..repeats.marking import mark_repeats
from ..store.people import mark_people, thumbnail_shows_people


def note_outcome(connection: Connection, outcome: Outcome, desk: AlertDesk, now: datetime) -> int:
    """Mark suppressed repeats; what is left says whether it shows people, and rules look at it.

    Returns how many messages were queued.
    """
    counts = mark_repeats(connection, outcome)
    pk = outcome.spooled.pk
    if any(each.category in PEOPLE for each in counts.detections()) or thumbnail_shows_people(connection, pk):
        mark_people(connection, pk)
    return desk.note(connection, counts, now)
