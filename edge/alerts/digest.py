"""The digest: what was not worth a message of its own, once a day, in one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from ..i18n import translate
from ..model import SEVERITIES
from ..store import notices
from ..store.encounters import by_pk
from ..store.notices import NewNotice, NoticeRow
from .gate import tell_reason
from .people import Addressee, Directory

MOST_LINES = 40


@dataclass(frozen=True, slots=True)
class Digests:
    """Makes the digests of a site. describe: (message, addressee) → ("02:14 cam-03", "Jaguar, 93%")."""

    directory: Directory
    describe: Callable[[NoticeRow, Addressee], tuple[str, str]]

    def make_due(self, connection: Connection, now: datetime) -> int:
        """Queue the digests whose time has come; what stands in one is done with. Returns how many were queued."""
        made = 0
        for who, oldest in notices.digest_waits(connection).items():
            readers: dict[datetime, Addressee] = {}
            for name, at in oldest.items():
                to = self.directory.find(name)
                reader = self.directory.find(to.digest_to) if to is not None and to.digest is not None else None
                if reader is None:
                    notices.drop_held(connection, name, reason="no digest")
                else:
                    readers[at] = reader  # the same for all ways to somebody
            if readers and self._is_time(connection, readers[min(readers)], min(readers), now):
                made += self._make(connection, notices.for_digest(connection, who), readers[min(readers)], now)
        return made

    def _is_time(self, connection: Connection, to: Addressee, oldest: datetime, now: datetime) -> bool:
        bound = last_time(to, now)
        if oldest > bound:
            return False
        last = notices.last_digest_at(connection, to.name)
        return last is None or not bound <= last <= now

    def _make(self, connection: Connection, rows: Sequence[NoticeRow], to: Addressee, now: datetime) -> int:
        digest = NewNotice(
            key=f"digest/{to.key}/{to.local(now):%Y-%m-%d}/{rows[0].pk}",
            kind="digest",
            addressee=to.name,
            who=to.who,
            channel=to.channel,
            severity="info",
            words=self._words(connection, rows, to, now),
        )
        pk = notices.add(connection, digest, now)
        if pk is None:
            return 0
        for row in rows:
            notices.set_state(connection, row.pk, "digested", digest_pk=pk)
        return 1

    def _words(self, connection: Connection, rows: Sequence[NoticeRow], to: Addressee, now: datetime) -> dict[str, Any]:
        """Headline and lines; of an encounter only its last message, the most severe and newest first."""
        latest = {(row.encounter_pk, row.rule) if row.encounter_pk else row.key: row for row in rows}
        ordered = sorted(latest.values(), key=lambda row: (-SEVERITIES.index(row.severity), -row.pk))
        lines = []
        for row in ordered[:MOST_LINES]:
            when, what = self.describe(row, to)
            found = by_pk(connection, row.encounter_pk) if row.encounter_pk else None
            if found is not None and found.frames > 1:
                what += ", " + translate("{count} pictures", to.language).format(count=found.frames)
            lines.append([when, f"{what} – {tell_reason(row.reason, to.language).partition(';')[0]}"])
        if (more := len(ordered) - MOST_LINES) > 0:
            lines.append(["", translate("and {count} more", to.language).format(count=more)])
        day = f"{to.local(now):%Y-%m-%d}"
        if len(ordered) == 1:
            headline = translate("Digest of {day}: 1 sighting", to.language).format(day=day)
        else:
            headline = translate("Digest of {day}: {count} sightings", to.language).format(day=day, count=len(ordered))
        return {"headline": headline, "rows": lines}


def last_time(to: Addressee, now: datetime) -> datetime:
    """When the addressee's last digest should have come: today at its time, or yesterday when that is still to come.

    In UTC: where clocks are changed, wall-clock times of one zone do not tell which is earlier.
    """
    times = [_time_on(to, now, days) for days in (0, -1)]
    return next((each for each in times if each <= now), times[-1])


def next_time(to: Addressee, now: datetime) -> datetime:
    """When the addressee's next digest should come, in UTC."""
    times = [_time_on(to, now, days) for days in (0, 1)]
    return next((each for each in times if each > now), times[-1])


def _time_on(to: Addressee, now: datetime, days: int) -> datetime:
    assert to.digest is not None
    hour, minute = map(int, to.digest.split(":"))
    today = to.local(now).replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    return (today + timedelta(days=days)).astimezone(UTC)
