"""Rows of the outbox: what is to be said to whom, what became of it; and mutes and answers.

Functions take part in the caller's transaction; `Notices` has a transaction for each call, for the outbox.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, case, delete, func, insert, or_, select, update

from ..crash import reached
from ..model import SEVERITIES, Alert, CaptureTime, Detection, Kind, Severity
from ..notices import NoticeKind
from .dialects import upsert
from .encounters import Encounter, by_pk
from .rows import capture_time_from, detection_from_json, detection_to_json, is_due
from .schema import frames, mutes, notices
from .sql import Store

KINDS_OF_BUDGET = ("alert", "update")
WAITING = ("pending", "digest")  # what may still be made better
RECEIPTS_FOR = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A message of the outbox, with the frame it shows. See the table for what the columns mean.

    detection, captured, path and frame_kind are None, and frame_id "", for one that is about no frame.
    """

    pk: int
    key: str
    kind: NoticeKind
    addressee: str
    who: str
    channel: str
    severity: Severity
    station: str
    rule: str
    step: int
    late: bool
    shows_people: bool
    encounter_pk: int | None
    frame_pk: int | None
    number: int
    count: int
    detection: Detection | None
    words: dict[str, Any] | None
    state: str
    reason: str
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    sent_at: datetime | None
    error: str
    receipt: str
    receipt_state: str
    digest_pk: int | None
    frame_id: str = ""
    path: Path | None = None
    frame_kind: Kind = "still"
    captured: CaptureTime | None = None
    received_at: datetime | None = None

    def alert(self) -> Alert | None:
        """The facts; None for one that is about no frame."""
        if self.detection is None or self.captured is None or self.path is None:
            return None
        return Alert(
            key=self.key,
            rule=self.rule,
            channel=self.channel,
            station=self.station,
            frame_id=self.frame_id,
            captured=self.captured,
            detection=self.detection,
            picture_path=self.path,
            picture_number=self.number,
            pk=self.pk,
            attempts=self.attempts,
            kind=self.frame_kind,
            received_at=self.received_at,
            queued_at=self.created_at,
            severity=self.severity,
            count=self.count,
        )


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A message that is to be queued. not_before: None for at once."""

    key: str
    kind: NoticeKind
    addressee: str
    who: str
    channel: str
    severity: Severity
    station: str = ""
    rule: str = ""
    step: int = 0
    late: bool = False
    shows_people: bool = False
    encounter_pk: int | None = None
    frame_pk: int | None = None
    number: int = 0
    count: int = 1
    detection: Detection | None = None
    words: Mapping[str, Any] | None = None
    state: str = "pending"
    reason: str = ""
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mute:
    """Somebody wants to hear nothing; until None: until START. station: "" for all."""

    who: str
    station: str
    until: datetime | None


def add(connection: Connection, new: NewNotice, now: datetime) -> int | None:
    """Queue a message; its pk, or None when one of this key is there already."""
    values = {
        name: getattr(new, name)
        for name in NewNotice.__dataclass_fields__
        if name not in {"detection", "not_before", "words"}
    }
    values |= {
        "detection": detection_to_json(new.detection) if new.detection else None,
        "words": dict(new.words) if new.words is not None else None,
        "created_at": now,
        "next_attempt_at": new.not_before or now,
    }
    statement = upsert(connection, notices).values(values).on_conflict_do_nothing().returning(notices.c.pk)
    pk = connection.scalar(statement)
    return None if pk is None else int(pk)


def of_encounter(connection: Connection, encounter_pk: int) -> list[NoticeRow]:
    """All messages about an encounter, oldest first."""
    return _rows(connection, notices.c.encounter_pk == encounter_pk)


def of_frame(connection: Connection, encounter_pks: Collection[int]) -> list[NoticeRow]:
    """All messages about these encounters."""
    return _rows(connection, notices.c.encounter_pk.in_(tuple(encounter_pks)))


def by_pks(connection: Connection, pks: Collection[int]) -> list[NoticeRow]:
    """These messages, newest first."""
    return _rows(connection, notices.c.pk.in_(tuple(pks)), order=(notices.c.pk.desc(),))


def send_again(connection: Connection, pk: int, now: datetime) -> bool:
    """Let a message that was given up be due now, as if it were new; False when it is not one that was."""
    again = (
        update(notices)
        .where(notices.c.pk == pk, notices.c.state == "failed")
        .values(state="pending", reason="", error="", attempts=0, created_at=now, next_attempt_at=now)
    )
    return connection.execute(again).rowcount == 1


def improve(connection: Connection, pk: int, **values: Any) -> None:
    """Let a message that waits show something better. detection: a Detection."""
    if isinstance(values.get("detection"), Detection):
        values["detection"] = detection_to_json(values["detection"])
    connection.execute(update(notices).where(notices.c.pk == pk, notices.c.state.in_(WAITING)).values(values))


def waiting(connection: Connection, channel: str) -> int:
    """How many messages wait for a channel."""
    query = select(func.count()).where(notices.c.channel == channel, notices.c.state == "pending")
    return int(connection.scalar(query) or 0)


def due(connection: Connection, now: datetime, *, busy: Collection[str], but: Collection[int] = ()) -> NoticeRow | None:
    """The most severe, then oldest message that is due, of channels that are not busy."""
    rank = case({name: -number for number, name in enumerate(SEVERITIES)}, value=notices.c.severity, else_=0)
    found = _rows(
        connection,
        notices.c.state == "pending",
        _is_due(now),
        notices.c.channel.not_in(tuple(busy)),
        notices.c.pk.not_in(tuple(but)),
        order=(rank, notices.c.next_attempt_at, notices.c.pk),
        limit=1,
    )
    return found[0] if found else None


def next_attempt_at(connection: Connection) -> datetime | None:
    """When the first message that waits is due; None when none waits."""
    found: datetime | None = connection.scalar(
        select(func.min(notices.c.next_attempt_at)).where(notices.c.state == "pending")
    )
    return found


def _is_due(now: datetime) -> ColumnElement[bool]:
    """As for frames; but a step of an escalation may have to wait for longer than any pause."""
    in_time = notices.c.next_attempt_at <= now
    return in_time | is_due(notices.c.next_attempt_at, now) & ((notices.c.step == 0) | (notices.c.attempts > 0))


def set_state(connection: Connection, pk: int, state: str, **values: Any) -> None:
    """Move a message on."""
    connection.execute(update(notices).where(notices.c.pk == pk).values(state=state, **values))


def sent_between(connection: Connection, who: str, first: datetime, last: datetime) -> int:
    """How many messages of somebody's budget were sent in a time, or are being sent."""
    own = select(func.count()).where(notices.c.who == who, notices.c.kind.in_(KINDS_OF_BUDGET))
    # two queries, because one with OR looks at all that was ever sent to somebody
    sent = own.where(notices.c.sent_at >= first, notices.c.sent_at < last)
    sending = own.where(notices.c.state == "sending", notices.c.sent_at.is_(None))
    return int(connection.scalar(sent) or 0) + int(connection.scalar(sending) or 0)


def last_sent(connection: Connection, *, since: datetime) -> list[tuple[str, str, str, datetime]]:
    """(rule, station, addressee, when) of the last alert that was sent, for each that was since then."""
    query = (
        select(notices.c.rule, notices.c.station, notices.c.addressee, func.max(notices.c.sent_at))
        .where(notices.c.kind == "alert", notices.c.state == "sent", notices.c.sent_at >= since)
        .group_by(notices.c.rule, notices.c.station, notices.c.addressee)
    )
    return [(rule, station, addressee, at) for rule, station, addressee, at in connection.execute(query)]


def last_alert_at(connection: Connection) -> datetime | None:
    """When any alert was sent last."""
    found: datetime | None = connection.scalar(select(func.max(notices.c.sent_at)).where(notices.c.kind == "alert"))
    return found


def last_digest_at(connection: Connection, addressee: str) -> datetime | None:
    """When a digest for this addressee was made last."""
    own = select(notices.c.created_at).where(notices.c.kind == "digest", notices.c.addressee == addressee)
    found: datetime | None = connection.scalar(own.order_by(notices.c.pk.desc()).limit(1))
    return found


def digest_waits(connection: Connection) -> dict[str, dict[str, datetime]]:
    """Who has something to be told in a digest: who → addressee → when the oldest of it was queued."""
    query = (
        select(notices.c.who, notices.c.addressee, func.min(notices.c.created_at))
        .where(notices.c.state == "digest")
        .group_by(notices.c.who, notices.c.addressee)
    )
    found: dict[str, dict[str, datetime]] = {}
    for who, addressee, oldest in connection.execute(query):
        found.setdefault(who, {})[addressee] = oldest
    return found


def for_digest(connection: Connection, who: str) -> list[NoticeRow]:
    """What waits to be told to somebody in a digest, oldest first."""
    return _rows(connection, notices.c.state == "digest", notices.c.who == who)


def drop_held(connection: Connection, addressee: str, *, reason: str) -> None:
    """There is no digest for this addressee; the reason why it was for one is kept, where there is one."""
    held = notices.c.reason
    values = {"state": "dropped", "reason": case((held == "", reason), else_=held)}
    connection.execute(
        update(notices).where(notices.c.state == "digest", notices.c.addressee == addressee).values(values)
    )


def untold(connection: Connection, digest_pk: int, state: str, *, reason: str | None = None) -> None:
    """A digest was not sent: what stands in it goes to this state. reason: None for the one it has."""
    values = {"state": state, "digest_pk": None} | ({} if reason is None else {"reason": reason})
    connection.execute(update(notices).where(notices.c.digest_pk == digest_pk).values(values))


def mutes_of(connection: Connection, who: str, now: datetime) -> list[Mute]:
    """The mutes of somebody that hold."""
    query = select(mutes).where(mutes.c.who == who, or_(mutes.c.until.is_(None), mutes.c.until > now))
    return [Mute(row["who"], row["station"], row["until"]) for row in connection.execute(query).mappings()]


def mute(connection: Connection, who: str, *, until: datetime | None, now: datetime, station: str = "") -> None:
    """Let somebody hear nothing; another mute of the same station is replaced."""
    connection.execute(delete(mutes).where(mutes.c.who == who, mutes.c.station == station))
    connection.execute(insert(mutes).values(who=who, station=station, at=now, until=until))


def unmute(connection: Connection, who: str) -> None:
    """Let somebody hear everything again."""
    connection.execute(delete(mutes).where(mutes.c.who == who))


def last_told(connection: Connection, who: str) -> Encounter | None:
    """The encounter that somebody was told of last."""
    query = (
        select(notices.c.encounter_pk)
        .where(notices.c.who == who, notices.c.encounter_pk.is_not(None), notices.c.sent_at.is_not(None))
        .order_by(notices.c.sent_at.desc(), notices.c.pk.desc())
        .limit(1)
    )
    pk = connection.scalar(query)
    return by_pk(connection, pk) if pk is not None else None


class Notices:
    """The outbox's own calls, each one transaction. All may raise StoreBusy."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def give_back(self) -> int:
        """At the start: what was in its channel's hands when the last process ended waits again, one attempt further.

        Nobody knows what came of that attempt.
        """
        with self.store.transaction() as connection:
            values = {"state": "pending", "attempts": notices.c.attempts + 1}
            back = update(notices).where(notices.c.state == "sending").values(values)
            return int(connection.execute(back).rowcount)

    def sent(self, pk: int, at: datetime, *, receipt: str) -> None:
        """The channel has accepted it."""
        state = "waiting" if receipt else ""
        reached("outbox.accepted")
        self._end(pk, "sent", sent_at=at, error="", reason="", receipt=receipt, receipt_state=state)
        reached("outbox.marked")

    def retry(self, pk: int, next_attempt_at: datetime, error: str) -> None:
        """The channel could not take it; it is due again later."""
        self._end(pk, "pending", next_attempt_at=next_attempt_at, error=error)

    def fail(self, pk: int, reason: str, error: str) -> None:
        """Given up. What stands in a digest that no channel took is told in the next one."""
        with self.store.transaction() as connection:
            values = {"attempts": notices.c.attempts + 1, "reason": reason, "error": error}
            set_state(connection, pk, "failed", **values)
            if reason == "expired":
                untold(connection, pk, "digest")
            else:
                untold(connection, pk, "failed", reason=reason)

    def expire(self, channel: str, queued_before: datetime, error: str) -> None:
        """Give up what has waited for a channel since then; not steps of an escalation whose turn has not come."""
        old = select(notices.c.pk).where(
            notices.c.channel == channel,
            notices.c.state == "pending",
            notices.c.created_at <= queued_before,
            (notices.c.step == 0) | (notices.c.attempts > 0),
        )
        with self.store.transaction() as connection:
            for pk in connection.scalars(old).all():
                set_state(connection, pk, "failed", reason="expired", error=error)
                untold(connection, pk, "digest")

    def bring_forward(self, channel: str, now: datetime) -> None:
        """A channel works again: what waits for its next attempt is due now."""
        with self.store.transaction() as connection:
            connection.execute(
                update(notices)
                .where(notices.c.channel == channel, notices.c.state == "pending", notices.c.attempts > 0)
                .values(next_attempt_at=now)
            )

    def receipts_wanted(self, channel: str, now: datetime, *, limit: int = 50) -> dict[str, int]:
        """Receipt's id → pk of messages whose fate at the channel is not known yet."""
        query = (
            select(notices.c.receipt, notices.c.pk)
            .where(
                notices.c.receipt_state == "waiting",
                notices.c.channel == channel,
                notices.c.sent_at > now - RECEIPTS_FOR,
            )
            .order_by(notices.c.pk.desc())
            .limit(limit)
        )
        with self.store.transaction() as connection:
            return {str(receipt): int(pk) for receipt, pk in connection.execute(query)}

    def keep_receipt(self, pk: int, state: str, error: str) -> None:
        """What became of a message after it was accepted."""
        with self.store.transaction() as connection:
            connection.execute(update(notices).where(notices.c.pk == pk).values(receipt_state=state, error=error))

    def counts(self) -> list[tuple[str, str, int, datetime | None]]:
        """(channel, state, how many, when the oldest of them was queued)."""
        query = (
            select(notices.c.channel, notices.c.state, func.count(), func.min(notices.c.created_at))
            .group_by(notices.c.channel, notices.c.state)
            .order_by(notices.c.channel, notices.c.state)
        )
        with self.store.transaction() as connection:
            return [(channel, state, count, oldest) for channel, state, count, oldest in connection.execute(query)]

    def newest(self, limit: int) -> list[NoticeRow]:
        """The newest messages, newest first."""
        with self.store.transaction() as connection:
            return _rows(connection, order=(notices.c.pk.desc(),), limit=limit)

    def _end(self, pk: int, state: str, **values: Any) -> None:
        with self.store.transaction() as connection:
            set_state(connection, pk, state, attempts=notices.c.attempts + 1, **values)


def _rows(
    connection: Connection, *where: Any, order: Sequence[Any] = (notices.c.pk,), limit: int | None = None
) -> list[NoticeRow]:
    query = (
        select(
            notices,
            frames.c.id.label("frame_id"),
            frames.c.path,
            frames.c.kind.label("frame_kind"),
            frames.c.received_at,
            frames.c.captured_utc,
            frames.c.captured_original,
            frames.c.captured_timezone,
            frames.c.captured_origin,
        )
        .join(frames, frames.c.pk == notices.c.frame_pk, isouter=True)
        .where(*where)
        .order_by(*order)
        .limit(limit)
    )
    return [_from(row) for row in connection.execute(query).mappings()]


def _from(row: RowMapping) -> NoticeRow:
    own = {name: row[name] for name in notices.c.keys()}  # noqa: SIM118  # because a column collection is no mapping
    has_frame = row["path"] is not None
    return NoticeRow(
        **own
        | {"detection": detection_from_json(own["detection"]) if own["detection"] else None}
        | (
            {
                "frame_id": row["frame_id"],
                "path": Path(row["path"]),
                "frame_kind": row["frame_kind"],
                "captured": capture_time_from(row),
                "received_at": row["received_at"],
            }
            if has_frame
            else {}
        )
    )
