"""Whether this process can serve: one word a part, no details, for load balancers and supervisors that nobody knows."""

import shutil
import threading
from collections.abc import Callable, Iterable
from functools import cache

from sqlalchemy import text

from edge.errors import StoreBusy
from edge.store.sql import MIGRATIONS

from ..web import Web

LEAST_FREE_BYTES = 50_000_000  # below it not even a log-in can be written for long


def faults(web: Web, threads: Iterable[threading.Thread] = ()) -> list[str]:
    """The parts that are not ready: database, schema, threads, disk; [] when all is. threads: those that must live."""
    parts: dict[str, Callable[[], bool]] = {
        "database": lambda: _schema(web) != "",
        "schema": lambda: _schema(web) in ("", _newest()),
        "threads": lambda: all(each.is_alive() for each in threads),
        "disk": lambda: shutil.disk_usage(web.state_dir).free >= LEAST_FREE_BYTES,
    }
    return [name for name, is_good in parts.items() if not _holds(is_good)]


def _holds(is_good: Callable[[], bool]) -> bool:
    try:
        return is_good()
    except OSError:
        return False


def _schema(web: Web) -> str:
    """The schema of the database; "" when it does not answer."""
    try:
        with web.readers.read() as connection:
            return str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "?")
    except StoreBusy:
        return ""


@cache
def _newest() -> str:
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*.py"))
