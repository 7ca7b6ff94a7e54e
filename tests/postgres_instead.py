"""PostgreSQL in the place of SQLite, for tests that know nothing of it: each SQLite file has a database of its own.

    TIGRILLO_TEST_DATABASE=postgresql .venv/bin/pytest tests/parts/test_camtrap_import.py

The file is there and says which database stands for it, so that a test may look for it, move it, or copy it: a copy is
a database of its own. What a test reads from the file itself with sqlite3 is not there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from edge.store import engines
from edge.store.sql import Store
from tests.postgres_rig import Postgres

# Tests that look at SQLite itself, its plans or the text of its file, or let another process open the file.
OF_SQLITE = {
    "test_alert_pages": {"test_a_simulation_says_what_the_change_would_have_sent"},
    "test_auth": {"test_the_database_has_no_password_and_no_session_in_readable_form"},
    "test_export_page": {"test_an_export_is_made_beside_the_page_and_downloaded_in_ranges"},
    "test_live": {
        "test_nothing_new_is_found_by_one_look_at_the_files_header",
        "test_looking_reads_no_table_from_end_to_end",
    },
    "test_now_pages": {"test_no_query_of_the_page_reads_a_large_table_from_end_to_end"},
    "test_people": {"test_the_index_for_sweeps_is_used", "test_who_is_hidden_on_a_frame_is_found_without_a_scan"},
    "test_spool_batches": {"test_no_query_of_a_receive_or_of_a_search_by_id_reads_the_whole_table"},
    "test_store_and_spool": {"test_a_database_of_a_newer_program_is_refused"},
    "test_system_pages": {"test_no_query_of_the_page_looks_through_a_table"},
    "test_watchman": {"test_the_newest_frame_of_a_station_is_found_without_a_scan"},
}


class Instead:
    """Which database stands for which file."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        empty = server.new()
        Store(empty).close()
        self._empty = make_url(empty).database or ""
        self.in_use: dict[str, int] = {}  # the database's name, the inode of its file
        self._copied: set[str] = set()
        self._engines: list[Engine] = []

    def url(self, url: str) -> str:
        """The address to open in the place of this one."""
        address = make_url(url)
        path = Path(address.database or "")
        if address.get_backend_name() != "sqlite" or str(path) in {".", ":memory:"}:
            return url
        name = path.read_bytes()[:64].decode("latin-1") if path.exists() else ""
        if name and name not in self.in_use:
            return url  # a real SQLite file, or what is none
        if not name or self.in_use[name] != path.stat().st_ino:
            self._copied.add(name)
            name = make_url(self._server.new(like=name or self._empty)).database or ""
            path.write_text(name, "utf-8")
            self.in_use[name] = path.stat().st_ino
        return self._server.address(name)

    def opened(self, engine: Engine) -> Engine:
        """The same, to be closed at the test's end."""
        self._engines.append(engine)
        return engine

    @contextmanager
    def for_a_test(self) -> Iterator[None]:
        """Databases that are made in this time are dropped at its end, but for those that others are copies of."""
        before = set(self.in_use)
        yield
        for engine in self._engines:  # not every test closes its store
            engine.dispose()
        self._engines.clear()
        for name in self.in_use.keys() - before - self._copied:
            self._server.run(f"DROP DATABASE {name} WITH (FORCE)")
            del self.in_use[name]


@contextmanager
def instead_of_sqlite(server: Postgres) -> Iterator[Instead]:
    """As long as the context lasts, whoever opens an SQLite file gets a database of this server."""
    instead = Instead(server)

    def writing(url: str, *, beside: bool) -> Engine:
        return instead.opened(engines.writing_engine(instead.url(url), beside=beside))

    def reading(url: str, *, most: int) -> Engine:
        return instead.opened(engines.reading_engine(instead.url(url), most=most))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.store.sql.writing_engine", writing)
        patch.setattr("edge.store.sql.reading_engine", reading)
        patch.setattr("edge.store.readers.reading_engine", reading)
        yield instead
