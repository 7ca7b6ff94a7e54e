"""Who looked at people: a row of `audit`, written before anything is shown."""

from datetime import timedelta

from sqlalchemy import insert, select

from edge.store.schema import audit

from ..rights import Principal
from ..web import Web
from .known import Known

SEEN = "people.seen"
# Somebody who looks at all sizes of a frame, or jumps about in its clip, looked once.
AGAIN = timedelta(hours=1)


def note_seen(web: Web, principal: Principal, known: Known, what: str) -> None:
    """Write down that somebody looks at a frame on which people are hidden for others; once an hour.

    what: "picture", "original" or "clip". Nothing is written of a frame on which nobody is hidden. Raises StoreBusy.
    """
    if not known.people:
        return
    subject, now = f"frame {known.station}/{known.id}", web.clock.now()
    mine = (audit.c.action == SEEN, audit.c.subject == subject, audit.c.who == principal.name)
    with web.readers.read() as connection:
        if connection.scalar(select(audit.c.pk).where(*mine, audit.c.at > now - AGAIN).limit(1)) is not None:
            return
    with web.store.transaction() as connection:
        connection.execute(
            insert(audit).values(at=now, who=principal.name, action=SEEN, subject=subject, details={"what": what})
        )
