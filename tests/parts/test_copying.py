"""A record goes from SQLite to PostgreSQL and back, and nothing of it is another."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import ConfigError, SchemaError
from edge.site_database import url_of
from edge.store.copying import copy_record
from edge.store.schema import counters, frames
from edge.store.sql import Store
from edge.store.web_schema import favourites, sequences, stale_days, users
from tests.alert_rig import JAGUAR, PUMA, animal, person
from tests.review_rig import review_rig
from tests.web_rig import NOW


@pytest.fixture
def old(tmp_path):
    """The file of a record: summed up days and such that are not, thumbnails before and after their full frames."""
    folder = tmp_path / "old"
    folder.mkdir()
    with review_rig(folder) as rig:
        rig.sequence("cam-01", "a", [animal(PUMA)], [animal(JAGUAR), animal()], [], [person()])
        rig.sum_up()
        pks = [rig.record("cam-02", f"b{number}", [animal()], at=NOW - timedelta(days=number)) for number in range(3)]
        with rig.store.transaction() as connection:
            connection.execute(update(frames).where(frames.c.pk == pks[0]).values(full_pk=pks[2]))
            connection.execute(update(frames).where(frames.c.pk == pks[1]).values(full_pk=pks[0]))
            connection.execute(
                update(frames).where(frames.c.pk == pks[2]).values(name="a\0b", details={"said": "a\0b"})
            )
            connection.execute(insert(favourites).values(frame_pk=pks[0], by="ana", at=NOW))
            who = {"name": "Ana", "key": "ana", "role": "reviewer", "stations": ["cam-01"], "created_at": NOW}
            connection.execute(insert(users).values(who))
            connection.execute(insert(users).values(who | {"name": "Eva", "key": "eva", "stations": None}))
            connection.execute(update(counters).values(value=77))
    return folder / "state" / "tigrillo.sqlite"


def rows(path):
    """Everything in a file of SQLite, as it is written there."""
    with closing(sqlite3.connect(path)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(map(repr, database.execute(f"SELECT * FROM {name}"))) for name in names}


def test_there_and_back_a_record_is_the_same(old, postgres, tmp_path):
    between, last = postgres.emptied(), tmp_path / "new.sqlite"
    told = []
    with Store(url_of(str(old)), read_only=True) as source, Store(between) as target:
        copied = copy_record(source, target, lambda done, of: told.append((done, of)))
    with Store(between, read_only=True) as source, Store(url_of(str(last))) as target:
        assert copy_record(source, target) == copied

    assert "a\ufffdb" in str(rows(last)["frames"])  # PostgreSQL has no U+0000
    assert rows(last) == {
        name: [row.replace("\\x00", "\ufffd").replace("\\u0000", "\\ufffd") for row in found]
        for name, found in rows(old).items()
    }
    assert copied["frames"] == 7
    assert told[-1] == (sum(copied.values()), sum(copied.values()))
    assert [done for done, _of in told] == sorted(done for done, _of in told)
    assert {"sequences", "stale_days", "tallies", "users", "favourites"} <= copied.keys()


def test_the_record_goes_on_in_its_new_place(old, postgres):
    url = postgres.emptied()
    with Store(url_of(str(old)), read_only=True) as source, Store(url) as target:
        copy_record(source, target)
        with source.reading() as there, target.transaction() as here:
            for table in (stale_days, counters, sequences):
                assert here.scalar(select(func.count()).select_from(table)) == there.scalar(
                    select(func.count()).select_from(table)
                )
            highest = here.scalar(select(func.max(frames.c.pk)))
            row = dict(here.execute(select(frames).limit(1)).mappings().one()) | {"id": "new", "full_pk": None}
            del row["pk"]
            assert here.execute(insert(frames).values(row)).inserted_primary_key[0] == highest + 1


def test_a_database_with_a_record_is_left_as_it_is(old, postgres):
    url = postgres.emptied()
    with Store(url_of(str(old)), read_only=True) as source, Store(url) as target:
        copy_record(source, target)
        with pytest.raises(SchemaError, match="a record already"):
            copy_record(source, target)


def test_what_breaks_off_leaves_nothing(old, postgres):
    url = postgres.new()
    with Store(url_of(str(old)), read_only=True) as source, Store(url) as target:
        with target.transaction() as connection:
            connection.execute(text("ALTER TABLE users ADD CONSTRAINT nobody CHECK (name <> 'Eva')"))
        with pytest.raises(IntegrityError, match="nobody"):
            copy_record(source, target)

        assert target.counts() == {"observations": 0, "quarantine": 0}


def test_the_command_copies_into_the_database_that_the_site_names(old, postgres, tmp_path):
    postgres.emptied()
    site = tmp_path / "site.yaml"
    site.write_text(f"state_dir: .\ndatabase: {postgres.address('site', driver='')}\n", "utf-8")

    done = CliRunner().invoke(app, ["database", "copy", str(old), "--site", str(site)])
    again = CliRunner().invoke(app, ["database", "copy", str(old), "--site", str(site)])
    none = CliRunner().invoke(app, ["database", "copy", str(tmp_path / "none.sqlite"), "--site", str(site)])

    assert "copied: 7 frames, 7 observations, " in done.stdout
    assert "a record already" in str(again.exception)
    assert "there is no database yet" in str(none.exception)


def test_an_address_is_a_file_or_one_of_postgresql():
    assert url_of("trap #3/tigrillo.sqlite") == "sqlite:///trap%20%233/tigrillo.sqlite"
    assert url_of("postgresql://ana@db/traps?sslmode=require") == "postgresql+psycopg://ana@db/traps?sslmode=require"
    with pytest.raises(ConfigError, match="is no address"):
        url_of("mysql://ana@db/traps")
