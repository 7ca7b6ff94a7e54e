"""Reading beside the process that writes: several connections at once, none of which can change anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

from ..errors import StoreBusy

BUSY_S = 5.0


class Readers:
    """Up to `most` readers at once; the others wait for their turn. url: as of `Store`."""

    def __init__(self, url: str, *, most: int = 4) -> None:
        self._engine = create_engine(
            url, poolclass=QueuePool, pool_size=most, max_overflow=0, connect_args={"check_same_thread": False}
        )
        event.listen(self._engine, "connect", _only_read)
        event.listen(self._engine, "begin", _begin)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One state of the database, for as long as the context lasts. Raises StoreBusy."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except OperationalError as exc:
            raise StoreBusy(f"database: {exc.orig}") from exc

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _only_read(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={round(BUSY_S * 1000)}")
    connection.execute("PRAGMA query_only=ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
