"""The store: one writing connection of a process to SQLite or PostgreSQL, and every query the pipeline makes."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, RowMapping, event, func, insert, inspect, or_, select, true, update
from sqlalchemy.exc import DatabaseError, OperationalError

from ..crash import reached
from ..errors import SchemaError, StoreBusy
from ..i18n import _
from ..model import Outcome, SpooledFrame
from . import arrivals, clocks
from .dialects import is_postgresql, refuse_unfit
from .engines import exists, is_postgresql_url, name_of, reading_engine, writing_engine
from .rows import frame_from, frame_values, is_due, observation_values, outcome_from
from .schema import encounters, frames, notices, observations, quarantine, suspects

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
# Advisory locks of PostgreSQL, any numbers: of those who may make the tables, and of the one daemon.
OPENING, DAEMON = 7_160_446_541, 7_160_446_542
LATE_TURN = 4  # every so many-th frame claimed is one that came late: as agents share their link by default
SUSPECT_S = 2.0  # of a pause after a crash: times the attempts of what was in work, and between two of them


def _nothing(_connection: Connection) -> None:
    """Write nothing more."""


class Store:
    """The site's database. Every method is one transaction and may be called from any thread.

    One transaction at a time, on PostgreSQL too: what the pipeline decides (which encounter, which message) it reads
    before it writes. Other processes may write at the same time.
    """

    def __init__(self, url: str, *, read_only: bool = False, beside: bool = False, alone: bool = False) -> None:
        """Open the database at a SQLAlchemy URL (special characters as %XX) and bring it to this program's schema.

        beside: another process, the daemon, is the one that keeps SQLite's log short. alone: this is the daemon, and no
        other one may have this database; SQLite's lies in a folder that is locked. Raises SchemaError when a newer
        program made it, when it is no database, can't be reached or has its daemon, or when it is not there and
        `read_only`.
        """
        if read_only and not exists(url):
            raise SchemaError(_("{path}: there is no database yet: `tigrillo run` makes it").format(path=name_of(url)))
        self._engine = reading_engine(url, most=1) if read_only else writing_engine(url, beside=beside)
        self._lock = threading.RLock()
        self._claims = 0
        try:
            with self.transaction() as connection:
                _migrate(connection, name_of(url), read_only=read_only)
        except SchemaError:
            self.close()
            raise
        except (DatabaseError, StoreBusy) as exc:
            self.close()
            raise SchemaError(
                _("{path}: is no database this program can open ({reason})").format(
                    path=name_of(url), reason=_first_line(exc)
                )
            ) from exc
        if alone and is_postgresql_url(url):
            self._keep_others_out(name_of(url))

    def _keep_others_out(self, name: str) -> None:
        """Hold a lock as long as the connection lasts, and from then on with each new one."""
        try:
            with self.transaction() as connection:
                connection.execute(select(func.pg_advisory_lock(DAEMON)))
        except StoreBusy as exc:
            self.close()
            raise SchemaError(
                _("{path}: another tigrillo runs over this database, maybe on another machine: stop it first").format(
                    path=name
                )
            ) from exc

        def hold_again(connection: Any, _record: object) -> None:
            # not got, it may be our own old connection's, which the server does not know to be gone
            connection.execute("SELECT pg_try_advisory_lock(%s)", (DAEMON,))
            connection.commit()

        event.listen(self._engine, "connect", hold_again)

    def close(self) -> None:
        """Give the connection back; the write-ahead log is folded into the file."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: all of it or nothing. Raises StoreBusy when another process holds the database."""
        with self._lock:
            try:
                with self._engine.begin() as connection:
                    yield connection
            except OperationalError as exc:
                raise StoreBusy(f"database: {_first_line(exc)}") from exc

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads, and keeps no other process from writing. Raises StoreBusy."""
        with self._lock:
            try:
                with self._engine.connect() as connection, connection.execution_options(reading=True).begin():
                    yield connection
            except OperationalError as exc:
                raise StoreBusy(f"database: {_first_line(exc)}") from exc

    def ping(self) -> None:
        """Raises StoreBusy when the database does not answer."""
        with self.reading() as connection:
            connection.execute(select(1))

    # hop 3, spool

    def add_frames(self, new: Sequence[tuple[SpooledFrame, int]]) -> list[bool]:
        """Add the rows of frames, each with the bytes it takes in our own folder, all in one transaction.

        For each whether it is new; when (station, id) is already there, nothing is changed.
        """
        rows = [frame_values(frame, spool_bytes=spool_bytes) for frame, spool_bytes in new]
        with self.transaction() as connection:
            is_new = arrivals.add_frames(connection, clocks.correct_rows(connection, rows))
        reached("store.added")
        return is_new

    def known_hashes(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The content hash of each of these frames, (station, id), that is known."""
        with self.reading() as connection:
            return arrivals.known_hashes(connection, keys)

    def knows(self, station: str, sha256: str) -> bool:
        """Whether a frame of this content is known at this station."""
        query = select(frames.c.pk).where(frames.c.station == station, frames.c.sha256 == sha256).limit(1)
        with self.reading() as connection:
            return connection.scalar(query) is not None

    def waiting_bytes(self) -> int:
        """Bytes in our own folder of frames that wait or are in work."""
        with self.reading() as connection:
            return arrivals.waiting_bytes(connection)

    # hop 4, claim

    def claim_next(self, now: datetime) -> SpooledFrame | None:
        """Take a waiting frame into work and count the attempt; None when nothing waits.

        Fresh ones go before those that came late, so that an outage's backlog holds up no alert; of each the oldest.
        Every fourth is a late one where there is any, so that busy days leave none of them lying.
        """
        late_first = self._claims % LATE_TURN == LATE_TURN - 1
        with self.transaction() as connection:
            row = _claim(connection, now, late=late_first) or _claim(connection, now, late=not late_first)
        if row is None:
            return None
        self._claims += 1  # two workers may count one claim: it only sets the shares
        reached("store.claimed")
        return frame_from(row)

    def release(self, pk: int, *, not_before: datetime, reason: str, count_attempt: bool) -> None:
        """Put a claimed frame back; it is claimed again after `not_before`."""
        attempts = frames.c.attempts if count_attempt else frames.c.attempts - 1
        with self.transaction() as connection:
            connection.execute(
                update(frames)
                .where(frames.c.pk == pk, frames.c.state == "claimed")
                .values(state="spooled", attempts=attempts, not_before=not_before, reason=reason)
            )

    def reclaim_all(self, now: datetime | None = None) -> int:
        """At start: what was in work when the last process ended is put back. Returns how many.

        With `now` they wait a little, longer with each attempt: one of them may have taken the process down, and the
        others are to get on before it does so again. They come one after the other, most attempts first, so that a
        frame which merely was in work beside it is not taken for it.
        """
        in_work = select(frames.c.pk, frames.c.attempts).where(frames.c.state == "claimed")
        with self.transaction() as connection:
            found = connection.execute(in_work.order_by(frames.c.attempts.desc(), frames.c.pk)).all()
            for rank, (pk, _attempts) in enumerate(found):
                not_before = now and now + timedelta(seconds=SUSPECT_S * (found[0].attempts + rank))
                back = update(frames).where(frames.c.pk == pk).values(state="spooled", not_before=not_before)
                connection.execute(back)
        return len(found)

    # hop 6, record

    def record(self, outcome: Outcome, *, now: datetime, also: Callable[[Connection], object] = _nothing) -> bool:
        """Write observations and the final state in one transaction, and in it what `also` writes: encounters, alerts.

        Returns False, and writes nothing, when the frame is no longer in work: it is recorded already.
        """
        pk = outcome.spooled.pk
        with self.transaction() as connection:
            done = (
                update(frames)
                .where(frames.c.pk == pk, frames.c.state == "claimed")
                .values(
                    state="recorded",
                    reason="",
                    recorded_at=now,
                    width=outcome.width,
                    height=outcome.height,
                    frame_rate=outcome.frame_rate,
                    damage=outcome.damage,
                    brightness=outcome.brightness,
                    infrared=outcome.infrared,
                    stage_ms={name: round(spent, 2) for name, spent in outcome.stage_ms.items()},
                    pictures=[[each.number, each.time_s, each.rejected] for each in outcome.pictures],
                )
            )
            if connection.execute(done).rowcount != 1:
                return False
            rows = [
                observation_values(pk, picture, detection)
                for picture in outcome.pictures
                for detection in picture.detections
            ]
            if rows:
                connection.execute(insert(observations), rows)
            also(connection)
        reached("store.recorded")
        return True

    def quarantine_frame(self, frame: SpooledFrame, *, reason: str, now: datetime) -> None:
        """Take a frame out of the pipeline, with the reason; its file stays."""
        with self.transaction() as connection:
            connection.execute(
                update(frames)
                .where(frames.c.pk == frame.pk)
                .values(state="quarantined", reason=reason, recorded_at=now)
            )
            connection.execute(
                insert(quarantine).values(
                    at=now, source=frame.source, name=frame.name, reason=reason, path=str(frame.path), frame_pk=frame.pk
                )
            )

    def quarantine_other(self, *, source: str, name: str, reason: str, path: str, now: datetime) -> None:
        """Record something that never became a frame."""
        with self.transaction() as connection:
            connection.execute(insert(quarantine).values(at=now, source=source, name=name, reason=reason, path=path))

    # hop 8, show

    def counts(self) -> dict[str, int]:
        """Frames by state, and `observations`, `alerts_<state>` and `quarantine`."""
        with self.reading() as connection:
            by_state = connection.execute(select(frames.c.state, func.count()).group_by(frames.c.state))
            found = {str(state): int(count) for state, count in by_state}
            by_alert = connection.execute(select(notices.c.state, func.count()).group_by(notices.c.state))
            found |= {f"alerts_{state}": int(count) for state, count in by_alert}
            found["observations"] = int(connection.scalar(select(func.count()).select_from(observations)) or 0)
            found["quarantine"] = int(connection.scalar(select(func.count()).select_from(quarantine)) or 0)
        return found

    def count_encounters(self) -> int:
        """How many encounters there were."""
        with self.reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(encounters)) or 0)

    def count_received(self, *, since: datetime) -> int:
        """How many recorded frames came since then."""
        query = select(func.count()).where(frames.c.state == "recorded", frames.c.received_at >= since)
        with self.reading() as connection:
            return int(connection.scalar(query) or 0)

    def find_frames(self, frame_id: str) -> list[SpooledFrame]:
        """The frames with this id, one for each station that has it."""
        with self.reading() as connection:
            rows = connection.execute(select(frames).where(frames.c.id == frame_id)).mappings()
            return [frame_from(row) for row in rows]

    def thumbnails_of(self, pk: int) -> list[SpooledFrame]:
        """The thumbnails that came for a full frame."""
        with self.reading() as connection:
            rows = connection.execute(select(frames).where(frames.c.full_pk == pk)).mappings()
            return [frame_from(row) for row in rows]

    def full_frame_of(self, pk: int) -> SpooledFrame | None:
        """The full frame that a thumbnail stands for; None while it is not here."""
        thumb = frames.alias("thumb")
        query = select(frames).join(thumb, thumb.c.full_pk == frames.c.pk).where(thumb.c.pk == pk)
        with self.reading() as connection:
            row = connection.execute(query).mappings().first()
        return frame_from(row) if row else None

    def outcome(self, pk: int, *, suppressed: bool = True) -> Outcome | None:
        """What was recorded for a frame, also suppressed repeats if so wanted; None while it is not recorded."""
        with self.reading() as connection:
            row = connection.execute(select(frames).where(frames.c.pk == pk)).mappings().first()
            if row is None or row["state"] != "recorded":
                return None
            query = select(observations).where(observations.c.frame_pk == pk).order_by(observations.c.pk)
            if not suppressed:
                left_out = select(suspects.c.pk).where(suspects.c.state == "suppressed")
                query = query.where(
                    or_(observations.c.suspect_pk.is_(None), observations.c.suspect_pk.not_in(left_out))
                )
            observed = connection.execute(query).mappings()
            return outcome_from(row, list(observed))

    def recorded(self, *, since: datetime | None = None) -> Iterator[Outcome]:
        """Recorded frames, without suppressed repeats, in the order of arrival; those that came since then."""
        last, came = 0, frames.c.received_at >= since if since is not None else true()
        while True:
            with self.reading() as connection:
                pks = connection.scalars(
                    select(frames.c.pk)
                    .where(frames.c.state == "recorded", frames.c.pk > last, came)
                    .order_by(frames.c.pk)
                    .limit(500)
                ).all()
            if not pks:
                return
            for pk in pks:
                if outcome := self.outcome(pk, suppressed=False):
                    yield outcome
            last = pks[-1]

    def quarantined(self) -> list[tuple[str, str]]:
        """(name, reason) of everything in quarantine, oldest first."""
        with self.reading() as connection:
            rows = connection.execute(select(quarantine.c.name, quarantine.c.reason).order_by(quarantine.c.pk))
            return [(str(name), str(reason)) for name, reason in rows]


def _claim(connection: Connection, now: datetime, *, late: bool) -> RowMapping | None:
    oldest = (
        select(frames.c.pk)
        .where(
            frames.c.state == "spooled",
            frames.c.late == late,
            frames.c.not_before.is_(None) | is_due(frames.c.not_before, now),
        )
        .order_by(frames.c.pk)
        .limit(1)
        .with_for_update(skip_locked=True)  # PostgreSQL only: another process takes another one
        .scalar_subquery()
    )
    taken = (
        update(frames)
        .where(frames.c.pk == oldest)
        .values(state="claimed", attempts=frames.c.attempts + 1)
        .returning(frames)
    )
    return connection.execute(taken).mappings().first()


def _migrate(connection: Connection, name: str, *, read_only: bool) -> None:
    """Make the tables, or bring them to the newest of ours. Alembic, 8 MB, is loaded only when it has work."""
    if is_postgresql(connection) and not read_only:  # two processes may come first; SQLite lets one begin
        connection.execute(select(func.pg_advisory_xact_lock(OPENING)))
    known = sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*.py"))
    found = inspect(connection).has_table("alembic_version")
    current = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() if found else None
    if current is not None and current not in known:
        raise SchemaError(
            _("the database has schema {current}, made by a newer tigrillo: upgrade this program").format(
                current=current
            )
        )
    if read_only and current is None:
        raise SchemaError(_("{path}: there is no database yet: `tigrillo run` makes it").format(path=name))
    if read_only or current == known[-1]:
        return
    if current is None:
        refuse_unfit(connection)
        from .create import create  # noqa: PLC0415  # because of the memory

        create(connection, known[-1])
    else:
        from .upgrade import upgrade  # noqa: PLC0415  # because of the memory

        upgrade(connection, MIGRATIONS)


def _first_line(exc: BaseException) -> str:
    return str(getattr(exc, "orig", exc)).splitlines()[0]
