"""Making and opening databases, on both: who is refused and why, what is waited for, what comes back by itself."""

import threading

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DatabaseError, InternalError, OperationalError

from edge.errors import SchemaError, StoreBusy
from edge.store.engines import name_of
from edge.store.schema import counters
from edge.store.sql import Store
from edge.testing import spooled_frame


@pytest.fixture
def store(database):
    with Store(database) as opened:
        yield opened


def test_a_new_database_is_opened_again_as_it_is(database):
    with Store(database) as store:
        store.add_frames([(spooled_frame(), 0)])

    with Store(database) as store:
        assert store.counts()["spooled"] == 1


def test_two_who_make_a_database_at_once_make_it_once(postgres):
    url, made = postgres.new(), []

    def make():
        with Store(url) as store:
            made.append(store.counts())

    threads = [threading.Thread(target=make) for _each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert made == [{"observations": 0, "quarantine": 0}] * 4


def test_nothing_is_read_from_a_database_that_nobody_made(postgres):
    with pytest.raises(SchemaError, match="there is no database yet"):
        Store(postgres.new(), read_only=True)


def test_a_server_that_is_away_is_a_line_without_the_password(postgres):
    url = postgres.new().replace("tigrillo@", "tigrillo:hunter2hunter2@").replace(f":{postgres.port}", ":1")

    with pytest.raises(SchemaError) as raised:
        Store(url)

    assert f"postgresql://tigrillo@127.0.0.1:1/{url.rpartition('/')[2]}: " in str(raised.value)
    assert "hunter2" not in str(raised.value) + name_of(url)
    assert "\n" not in str(raised.value)


def test_a_database_that_can_not_hold_every_letter_is_refused(postgres):
    postgres.run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")

    with pytest.raises(SchemaError, match=r"keeps LATIN1 only: .*--encoding=UTF8"):
        Store(postgres.address("latin"))


def test_an_old_server_is_refused(postgres, monkeypatch):
    monkeypatch.setattr("edge.store.dialects.OLDEST", (1_000,))

    with pytest.raises(SchemaError, match=r"PostgreSQL 1\d\.\d+ is too old: 1000 is the oldest"):
        Store(postgres.new())


def test_a_newer_programs_database_is_refused(postgres):
    url = postgres.new()
    with Store(url) as store, store.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SchemaError, match="newer tigrillo"):
        Store(url)


def test_a_store_for_reading_changes_nothing(store, database):
    with (
        Store(database, read_only=True) as reader,
        pytest.raises((StoreBusy, InternalError, DatabaseError)),
        reader.transaction() as connection,
    ):
        connection.execute(insert(counters).values(name="x", value=1))


def test_a_second_daemon_is_refused_until_the_first_is_gone(postgres, monkeypatch):
    monkeypatch.setattr("edge.store.engines.BUSY_MS", 200)
    url = postgres.emptied()
    with Store(url, alone=True) as first:
        for _time in range(2):  # the second time the first has a new connection
            with pytest.raises(SchemaError, match="another tigrillo runs over this database"):
                Store(url, alone=True)
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tigrillo'"
            postgres.run(cut)
            first.ping()
        Store(url, beside=True).close()  # the page is no daemon

    Store(url, alone=True).close()


def test_the_server_hears_within_half_a_minute_that_a_machine_is_gone(postgres):
    with Store(postgres.emptied()) as store, store.reading() as connection:
        assert connection.scalar(text("SHOW tcp_keepalives_idle")) == "15"


def test_a_connection_that_the_server_cut_is_replaced(postgres):
    with Store(postgres.new()) as store:
        store.add_frames([(spooled_frame(), 0)])
        postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tigrillo'")

        assert store.counts()["spooled"] == 1


def test_a_lock_that_lasts_too_long_is_a_store_that_is_busy(store, database, monkeypatch):
    monkeypatch.setattr("edge.store.engines.BUSY_MS", 50)
    with Store(database, beside=True) as other, store.transaction() as connection:
        connection.execute(text("UPDATE counters SET value = 1"))

        with pytest.raises(StoreBusy), other.transaction() as held:
            held.execute(text("UPDATE counters SET value = 2"))


@pytest.mark.parametrize("code", ["53100", "53300", "57P03", "40P01", "40001"])
def test_what_passes_by_itself_is_a_store_that_is_busy(postgres, code):
    """A full disk, too many connections, a server that starts, a deadlock, others who wrote the same."""
    with (
        Store(postgres.emptied()) as store,
        pytest.raises(StoreBusy, match="try later"),
        store.transaction() as connection,
    ):
        connection.execute(text(f"DO $$ BEGIN RAISE 'try later' USING ERRCODE = '{code}'; END $$"))


def test_an_error_of_the_database_that_is_no_lock_is_no_store_that_is_busy(store):
    with pytest.raises(DatabaseError) as raised, store.transaction() as connection:
        connection.execute(text("INSERT INTO counters (name, value) VALUES ('waiting_bytes', 0)"))

    assert not isinstance(raised.value, OperationalError)
