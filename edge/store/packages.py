"""What imported data sets (Camtrap DP) said: of themselves, and of events. Rows of `audit` and `imported_events`."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from ..services import ImportedEvent
from .harvest import ENCOUNTERS_PAGE, Span
from .schema import audit, encounters, imported_events
from .sql import Store

IMPORT_ACTION = "import.camtrap-dp"


def imported_packages(store: Store) -> Iterator[Mapping[str, Any]]:
    """What each imported data set says of itself (its datapackage.json without the tables), in their order."""
    with store.reading() as connection:
        rows = connection.scalars(
            select(audit.c.details).where(audit.c.action == IMPORT_ACTION).order_by(audit.c.pk)
        ).all()
    for details in rows:
        if details and isinstance(details.get("package"), dict):
            yield details["package"]


def note_package(connection: Connection, subject: str, package: Mapping[str, Any], *, now: datetime) -> bool:
    """Keep what a data set says of itself; False when the very same is kept already."""
    known = select(audit.c.details).where(audit.c.action == IMPORT_ACTION)
    if any(details and details.get("package") == package for details in connection.scalars(known)):
        return False
    values = {"at": now, "who": "tigrillo", "action": IMPORT_ACTION, "subject": subject}
    connection.execute(insert(audit).values(**values, details={"package": dict(package)}))
    return True


def imported_events_in(store: Store, span: Span) -> Iterator[ImportedEvent]:
    """The events of imported data sets that touch a span, in the order in which they came."""
    table = imported_events
    query = select(
        table.c.pk, table.c.station, table.c.started_at, table.c.ended_at, table.c.row, encounters.c.lineage
    ).outerjoin(encounters, encounters.c.pk == table.c.encounter_pk)
    if span.stations:
        query = query.where(table.c.station.in_(span.stations))
    if span.since is not None:
        query = query.where(table.c.ended_at >= span.since)
    if span.until is not None:
        query = query.where(table.c.started_at <= span.until)
    last = 0
    while True:
        page = query.where(table.c.pk > last).order_by(table.c.pk).limit(ENCOUNTERS_PAGE)
        with store.reading() as connection:
            rows = connection.execute(page).all()
        for _pk, station, started, ended, row, lineage in rows:
            kind, score = row["observationType"], _number(row.get("classificationProbability"))
            yield ImportedEvent(station, started, ended, kind, tuple(lineage or ()), score, row)
        if len(rows) < ENCOUNTERS_PAGE:
            return
        last = rows[-1][0]


def _number(text: str | None) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 1.0
