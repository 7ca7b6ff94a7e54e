"""Reading beside the process that writes: several connections at once, none of which can change anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import StoreBusy
from .engines import reading_engine


class Readers:
    """Up to `most` readers at once; the others wait for their turn. url: as of `Store`, which has made the tables."""

    def __init__(self, url: str, *, most: int = 4) -> None:
        self._engine = reading_engine(url, most=most)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One state of the database, for as long as the context lasts. Raises StoreBusy."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except (OperationalError, PoolTimeout) as exc:
            reason = str(getattr(exc, "orig", exc)).splitlines()[0]
            raise StoreBusy(f"database: {reason}") from exc

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
