"""A real PostgreSQL of our own for tests: a free port of loopback, its files in /tmp, gone at the end."""

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from edge.store.sql import Store

USER = "tigrillo"
SITE = "site"  # one database for all tests that want an empty one with tables: emptying it is quicker than a new one
EMPTY = """
DO $$ BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    EXECUTE (SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') || ' RESTART IDENTITY'
        FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version');
    INSERT INTO counters (name, value) VALUES ('waiting_bytes', 0);
END $$"""
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB", "max_connections=40")


def programs() -> Path | None:
    """The folder of the newest server that Debian installed; None when there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@dataclass
class Postgres:
    """A running server. url: postgresql://…, without a database."""

    port: int
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def address(self, name: str, *, driver: str = "+psycopg") -> str:
        """The address of a database; SQLAlchemy's, or a site's with `driver` ""."""
        return f"postgresql{driver}://{USER}@127.0.0.1:{self.port}/{name}"

    def emptied(self) -> str:
        """The SQLAlchemy address of a database with all tables and no rows, the same one at each call."""
        self.run(EMPTY, database=SITE)
        return self.address(SITE)

    def new(self, *, like: str = "template1") -> str:
        """The SQLAlchemy address of a new database without tables, or with all that stands in another one."""
        name = f"site{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {like}")
        return self.address(name)

    def run(self, statement: str, *, database: str = "postgres") -> None:
        """Run a statement outside of any transaction."""
        with psycopg.connect(self.address(database, driver=""), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def serving(folder: Path, *, durable: bool = False) -> Iterator[Postgres]:
    """Run a server whose programs lie in `folder`. durable: as it is set up by default, else as fast as can be."""
    # a socket's path is short, and pytest's own folders are closed to the server's user
    home, port = Path(tempfile.mkdtemp(prefix="tigrillo-pg-", dir="/tmp")), _free_port()
    try:
        as_user: Sequence[str] = ()
        if os.getuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(home, user.pw_uid, user.pw_gid)
            as_user = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        _run(*as_user, folder / "initdb", "-D", home / "data", "-A", "trust", "-U", USER, "--no-sync", "-E", "UTF8")
        settings = (*(() if durable else QUICK), f"port={port}", "listen_addresses=127.0.0.1")
        options = " ".join(f"-c {each}" for each in settings)
        control = (*as_user, folder / "pg_ctl", "-D", home / "data", "-w", "-l", home / "log")
        _run(*control, "-o", f"{options} -k {home}", "start")
        try:
            server = Postgres(port)
            server.run(f"CREATE DATABASE {SITE}")
            Store(server.address(SITE)).close()
            yield server
        finally:
            _run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(*command: object) -> None:
    subprocess.run([str(each) for each in command], check=True, capture_output=True, cwd="/", timeout=60)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
