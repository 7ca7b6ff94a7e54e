"""What is in quarantine: frames that could not be looked at, and what never became a frame; and frames tried again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from ..clock import Clock
from ..errors import FatalError
from ..i18n import _
from .schema import audit, frames, quarantine
from .sql import Store

MOST_RETRIED = 10_000  # frames of one request: it is one transaction, and each file is looked for
FEW = 500  # values of one IN


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One thing. frame: the frame's id, "" for what never became one. path: where its bytes lie, "" for nowhere."""

    pk: int
    at: datetime
    station: str
    frame: str
    frame_pk: int | None
    source: str
    name: str
    reason: str
    path: str

    @property
    def can_retry(self) -> bool:
        """Whether it is a frame whose file is there."""
        return self.frame_pk is not None and Path(self.path).is_file()


def page_of(
    connection: Connection, *, before: int | None = None, limit: int = 50, stations: frozenset[str] | None = None
) -> list[Quarantined]:
    """The newest first; before: only what has a smaller pk. stations: only of these, None for all."""
    query = (
        select(quarantine, frames.c.station, frames.c.id)
        .join_from(quarantine, frames, frames.c.pk == quarantine.c.frame_pk, isouter=True)
        .order_by(quarantine.c.pk.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(quarantine.c.pk < before)
    if stations is not None:
        query = query.where(frames.c.station.in_(sorted(stations)))
    return [
        Quarantined(
            row.pk, row.at, row.station or "", row.id or "", row.frame_pk, row.source, row.name, row.reason, row.path
        )
        for row in connection.execute(query)
    ]


def retry(store: Store, clock: Clock, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Have a frame looked at again, from its first attempt. values: pk (of the quarantine), who.

    Raises FatalError when nothing is there under this number, it never became a frame, or its file is gone. Nothing is
    deleted but the row that says that it is in quarantine; the audit keeps what that said.
    """
    pk, who = int(values["pk"]), str(values["who"])
    with store.transaction() as connection:
        row = connection.execute(
            select(
                quarantine.c.reason, quarantine.c.frame_pk, frames.c.path, frames.c.state, frames.c.station, frames.c.id
            )
            .join_from(quarantine, frames, frames.c.pk == quarantine.c.frame_pk, isouter=True)
            .where(quarantine.c.pk == pk)
        ).first()
        if row is None:
            raise FatalError(_("nothing is in quarantine under number {pk}: it was tried again already").format(pk=pk))
        if row.frame_pk is None:
            raise FatalError(_("it never became a frame, so it can't be looked at again: have it sent or copied anew"))
        if row.state != "quarantined":
            raise FatalError(_("frame {id} is not in quarantine any more").format(id=row.id))
        if not row.path or not Path(row.path).is_file():
            raise FatalError(_("frame {id}: its file is gone: {path}").format(id=row.id, path=row.path or "–"))
        _take_out(connection, [row.frame_pk])
        subject = f"frame {row.station}/{row.id}"
        said = {"at": clock.now(), "who": who, "action": "quarantine.retry", "subject": subject}
        connection.execute(insert(audit).values(**said, details={"reason": row.reason}))
    return {"station": row.station, "frame": row.id}


def retry_all(store: Store, clock: Clock, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same for all frames at once, MOST_RETRIED at most; {"count", "gone": those whose files are not there}.

    values: who; upto: the newest number that they have seen, so that what came since waits for a look; stations: of
    these alone, None for all. The audit has one row, with the number of frames.
    """
    who, upto, stations = str(values["who"]), int(values["upto"]), values.get("stations")
    query = (
        select(quarantine.c.frame_pk, frames.c.path)
        .join_from(quarantine, frames, frames.c.pk == quarantine.c.frame_pk)
        .where(quarantine.c.pk <= upto, frames.c.state == "quarantined")
        .order_by(quarantine.c.pk.desc())
        .limit(MOST_RETRIED)
    )
    if stations is not None:
        query = query.where(frames.c.station.in_(sorted(map(str, stations))))
    with store.transaction() as connection:
        found = {row.frame_pk: row.path for row in connection.execute(query)}
        there = [pk for pk, path in found.items() if path and Path(path).is_file()]
        said = {"count": len(there), "gone": len(found) - len(there)}
        if there:
            _take_out(connection, there)
            row = {"at": clock.now(), "who": who, "action": "quarantine.retry", "subject": f"{len(there)} frames"}
            connection.execute(insert(audit).values(**row, details=said | {"upto": upto}))
    return said


def _take_out(connection: Connection, frame_pks: Sequence[int]) -> None:
    for start in range(0, len(frame_pks), FEW):
        few = frame_pks[start : start + FEW]
        anew = {"state": "spooled", "attempts": 0, "not_before": None, "reason": "", "recorded_at": None}
        connection.execute(update(frames).where(frames.c.pk.in_(few)).values(**anew))
        connection.execute(delete(quarantine).where(quarantine.c.frame_pk.in_(few)))
