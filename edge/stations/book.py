"""The stations' rows: who was added, which certificates they hold, which tokens are open.

A database of its own beside the frames': `tigrillo station` writes it while the daemon runs, and the frames' database
may have one writing process only (docs/guarantees.md). This one keeps a rollback journal, which has no such bug.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Float,
    ForeignKey,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from ..errors import SchemaError, StoreBusy
from ..i18n import _
from ..services import Station
from ..store.schema import Utc
from .folders import give_to_owner

VERSION = 1  # of the tables, in PRAGMA user_version
BUSY_MS = 2_000

metadata = MetaData()
stations = Table(
    "stations",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("timezone", String(64)),
    Column("species_list", String, nullable=False, default=""),
    Column("added_at", Utc, nullable=False),
    Column("revoked_at", Utc),
)
certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(40), primary_key=True),  # hexadecimal: 159 bits are more than a column's integer holds
    Column("station", ForeignKey("stations.name"), nullable=False, index=True),
    Column("way", String(8), nullable=False),  # enroll, renew or bundle
    Column("issued_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("revoked_at", Utc),
)
tokens = Table(
    "enrol_tokens",
    metadata,
    Column("sha256", String(64), primary_key=True),  # of the secret: the file tells nobody a token
    Column("station", ForeignKey("stations.name"), nullable=False, index=True),
    Column("made_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
)


class TokenRefused(Exception):
    """A token that can't be used; the text is for the person who typed it."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that a station was given. serial: hexadecimal. way: enroll, renew or bundle."""

    serial: str
    way: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class StationRow:
    """A station that was added. timezone: None takes the site's. token_expires_at: of a token nobody used so far."""

    name: str
    latitude: float | None
    longitude: float | None
    timezone: str | None
    species_list: str
    added_at: datetime
    revoked_at: datetime | None
    certificates: tuple[Certificate, ...] = ()
    token_expires_at: datetime | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When the newest certificate that is not revoked ends; None when there is none."""
        return max((each.expires_at for each in self.certificates if each.revoked_at is None), default=None)

    def station(self, site_timezone: str) -> Station:
        """What the rest of the program knows of it."""
        zone = self.timezone or site_timezone
        return Station(self.name, zone, self.latitude, self.longitude, self.species_list)


class Book:
    """The rows of one site. Each method is one transaction; any process and any thread may call it.

    The file is made by the first one that writes. Raises StoreBusy when another process holds it for too long,
    SchemaError when it is no database of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        url, wait = URL.create("sqlite", database=str(path)), {"timeout": BUSY_MS / 1000}
        self._engine = create_engine(url, poolclass=NullPool, connect_args=wait)
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._reader = self._engine.execution_options(reading=True)

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._path

    def add(self, row: StationRow) -> None:
        """Add a station, or change the one of this name; a revoked one is welcome again, with a new certificate."""
        values = {
            "latitude": row.latitude,
            "longitude": row.longitude,
            "timezone": row.timezone,
            "species_list": row.species_list,
            "revoked_at": None,
        }
        statement = upsert(stations).values(name=row.name, added_at=row.added_at, **values)
        with self._writing() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))

    def all(self) -> list[StationRow]:
        """Every station, by name."""
        with self._reading() as connection:
            return [] if connection is None else _rows(connection)

    def find(self, name: str) -> StationRow | None:
        """The station of this name; None when there is none."""
        return next((row for row in self.all() if row.name == name), None)

    def revoke(self, name: str, now: datetime) -> bool:
        """Take a station's right away, with its certificates and open tokens; False when there is no such station."""
        with self._writing() as connection:
            found = connection.execute(
                update(stations).where(stations.c.name == name, stations.c.revoked_at.is_(None)).values(revoked_at=now)
            ).rowcount
            _revoke_certificates(connection, name, now)
            _close_tokens(connection, name, now)
            known = connection.scalar(select(stations.c.name).where(stations.c.name == name))
        return bool(found) or known is not None

    def open_token(self, sha256: str, station: str, *, now: datetime, expires_at: datetime) -> None:
        """Add a token; earlier ones of this station that nobody used end here."""
        with self._writing() as connection:
            _close_tokens(connection, station, now)
            connection.execute(
                insert(tokens).values(sha256=sha256, station=station, made_at=now, expires_at=expires_at)
            )

    def use_token(self, sha256: str, now: datetime) -> str:
        """The station a token is for; it can't be used again. Raises TokenRefused."""
        usable = (tokens.c.sha256 == sha256) & tokens.c.used_at.is_(None) & (tokens.c.expires_at > now)
        with self._writing() as connection:
            station = connection.scalar(update(tokens).where(usable).values(used_at=now).returning(tokens.c.station))
            found = connection.execute(select(tokens).where(tokens.c.sha256 == sha256)).mappings().first()
        if station is not None:
            return str(station)
        if found is None:
            raise TokenRefused(_("no such token: was it typed right?"))
        if found["used_at"] is not None:
            raise TokenRefused(_("this token was used, or another one took its place: make a new one"))
        raise TokenRefused(_("this token has expired: make a new one"))

    def token_used(self, sha256: str) -> bool:
        """Whether somebody used this token."""
        with self._reading() as connection:
            if connection is None:
                return False
            return connection.scalar(select(tokens.c.used_at).where(tokens.c.sha256 == sha256)) is not None

    def add_certificate(self, station: str, certificate: Certificate) -> None:
        """Note a certificate. Enrolled anew, a station's earlier ones are revoked: the old card may be anywhere."""
        with self._writing() as connection:
            if certificate.way != "renew":
                _revoke_certificates(connection, station, certificate.issued_at)
            connection.execute(
                insert(certificates).values(
                    serial=certificate.serial,
                    station=station,
                    way=certificate.way,
                    issued_at=certificate.issued_at,
                    expires_at=certificate.expires_at,
                )
            )

    def revoked_serials(self) -> list[tuple[int, datetime]]:
        """(serial, since when) of every revoked certificate."""
        query = select(certificates.c.serial, certificates.c.revoked_at).where(certificates.c.revoked_at.is_not(None))
        with self._reading() as connection:
            return [] if connection is None else [(int(serial, 16), at) for serial, at in connection.execute(query)]

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        """A connection; None while nobody has written yet."""
        try:
            there = self._path.exists()
        except PermissionError as exc:
            raise StoreBusy(f"{self._path}: {exc.strerror}") from exc
        if not there:
            yield None
            return
        with self._told(), self._reader.begin() as connection:
            yield connection if _version(connection, self._path) == VERSION else None

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        made = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._told(), self._engine.begin() as connection:
            if _version(connection, self._path) < VERSION:
                metadata.create_all(connection)
                connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
            yield connection
        if made:
            give_to_owner(self._path)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The database's errors as ours."""
        try:
            yield
        except OperationalError as exc:
            raise StoreBusy(f"{self._path}: {exc.orig}") from exc
        except DatabaseError as exc:
            raise SchemaError(
                _("{path}: is no database this program can open ({reason})").format(path=self._path, reason=exc.orig)
            ) from exc


def _rows(connection: Connection) -> list[StationRow]:
    found: dict[str, list[Certificate]] = {}
    for row in connection.execute(select(certificates).order_by(certificates.c.issued_at)).mappings():
        kept = Certificate(row["serial"], row["way"], row["issued_at"], row["expires_at"], row["revoked_at"])
        found.setdefault(row["station"], []).append(kept)
    unused = select(tokens.c.station, tokens.c.expires_at).where(tokens.c.used_at.is_(None))
    waiting = {str(station): until for station, until in connection.execute(unused)}
    return [
        StationRow(**row, certificates=tuple(found.get(row["name"], ())), token_expires_at=waiting.get(row["name"]))
        for row in connection.execute(select(stations).order_by(stations.c.name)).mappings()
    ]


def _revoke_certificates(connection: Connection, station: str, now: datetime) -> None:
    held = (certificates.c.station == station) & certificates.c.revoked_at.is_(None)
    connection.execute(update(certificates).where(held).values(revoked_at=now))


def _close_tokens(connection: Connection, station: str, now: datetime) -> None:
    connection.execute(
        update(tokens).where(tokens.c.station == station, tokens.c.used_at.is_(None)).values(used_at=now)
    )


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # see _begin
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """To write, with the lock from the start: two that read first and write then would refuse each other."""
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _version(connection: Connection, path: Path) -> int:
    """Of the tables; 0 for a file that is new. Raises SchemaError when they are newer than this program."""
    version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if version > VERSION:
        raise SchemaError(
            _("{path}: has schema {current}, made by a newer tigrillo: upgrade this program").format(
                path=path, current=version
            )
        )
    return version
