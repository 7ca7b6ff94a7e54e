"""Connections to the two databases: how they are opened, how long they wait, what they promise about a power cut."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import QueuePool, StaticPool

from ..errors import ConfigError
from ..i18n import _
from .dialects import POSTGRESQL, json_without_nul

# How long a lock of another process is waited for before StoreBusy. Threads wait one after the other, and everybody
# tries again, so this times the number of sources and workers must stay far below the watchdog's 60 s.
BUSY_MS = 2_000
READER_BUSY_MS = 5_000  # a reader waits for nobody but a schema's change
READER_CACHE_KIB = 4_096  # of pages, each connection
# Of a server that is gone without a word, TCP would wait for hours: libpq's own settings, in seconds and milliseconds.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
# The same of the server: what a machine had locked when its power went would stay locked for hours.
SERVER_PATIENCE = {"tcp_keepalives_idle": 15, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}


def is_postgresql_url(url: str | URL) -> bool:
    """Whether this address is one of PostgreSQL."""
    return make_url(url).get_backend_name() == POSTGRESQL


def name_of(url: str | URL) -> str:
    """The address as people may read it: a path, or a server's without its password."""
    address = make_url(url)
    if not is_postgresql_url(address):
        return address.database or ""
    return address._replace(drivername=POSTGRESQL, password=None).render_as_string()  # `set` leaves it


def writing_engine(url: str, *, beside: bool) -> Engine:
    """The one writing connection of a process. beside: the process beside the daemon, which does the checkpoints.

    A transaction of SQLite begins as a writing one, because another process may write, too: one that first reads and
    then writes would fail at once, not wait, when that other one came between. With `reading` among the connection's
    execution options it does not, and then must not write.
    """
    if is_postgresql_url(url):
        return _postgresql_engine(url, 1, {"lock_timeout": BUSY_MS})
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"]
    if beside:
        # SQLite before 3.51.3 may lose a transaction when one connection makes a checkpoint while another commits and
        # thereby begins the log anew. That takes a checkpoint of a log that is whole in the database already; one
        # connection, which makes it only after its own commits, never makes such a one.
        pragmas.append("wal_autocheckpoint=0")
    _on_connect(engine, pragmas)

    def begin(connection: Connection) -> None:
        # sqlite3 itself begins only before an INSERT, so half a migration could stay
        reads = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    event.listen(engine, "begin", begin)
    return engine


def reading_engine(url: str, *, most: int) -> Engine:
    """Up to `most` connections that can change nothing, each transaction one state of the database."""
    if is_postgresql_url(url):
        engine = _postgresql_engine(url, most, {"lock_timeout": READER_BUSY_MS})
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    address = make_url(url)
    if address.database and address.database != ":memory:":
        # quoted, because SQLite takes a `#` in this form for the end of the file's name
        address = address.set(database=f"file:{quote(address.database)}", query={"mode": "ro", "uri": "true"})
    options: dict[str, Any] = {"poolclass": StaticPool}
    if most > 1:
        options = {"poolclass": QueuePool, "pool_size": most, "max_overflow": 0}
    engine = create_engine(address, connect_args={"check_same_thread": False}, **options)
    _on_connect(engine, ["query_only=ON", f"busy_timeout={READER_BUSY_MS}", f"cache_size=-{READER_CACHE_KIB}"])
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def exists(url: str) -> bool:
    """Whether there may be a database: False where a file is missing; a server is asked only when it is opened."""
    return is_postgresql_url(url) or Path(make_url(url).database or "").exists()


def _postgresql_engine(url: str, most: int, settings: dict[str, int]) -> Engine:
    try:
        return create_engine(
            url,
            pool_size=most,
            max_overflow=0,
            json_serializer=json_without_nul,
            pool_pre_ping=True,  # a server that was restarted is noticed before a transaction, not by its failure
            connect_args={
                **PATIENCE,
                "application_name": "tigrillo",
                "options": " ".join(f"-c {name}={value}" for name, value in (SERVER_PATIENCE | settings).items()),
            },
        )
    except ImportError as exc:
        raise ConfigError(_("database: PostgreSQL needs `pip install 'tigrillo[postgres]'`")) from exc


def _on_connect(engine: Engine, pragmas: list[str]) -> None:
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin with our own BEGIN
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", prepare)
