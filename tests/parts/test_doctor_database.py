"""`tigrillo doctor` asks the database's server, and says what it answers in one line."""

from edge.config import plan_from
from edge.doctor import _database
from edge.registry import load_registry


def plan(tmp_path, database):
    return plan_from(f"database: {database}", tmp_path / "site.yaml", load_registry([]))


def test_a_server_that_lets_us_in_is_good(postgres, tmp_path):
    [found] = _database(plan(tmp_path, postgres.address("site", driver="")))

    assert found.verdict == "good"
    assert found.says.startswith("PostgreSQL 1")
    assert found.says.endswith(postgres.address("site", driver=""))


def test_what_keeps_us_out_is_told_with_what_to_do(postgres, tmp_path):
    address = postgres.address("nowhere", driver="")
    [no_database] = _database(plan(tmp_path, address))
    [no_password] = _database(plan(tmp_path, f"{{url: '{address}', password: {{file: gone}}}}"))

    assert no_database.verdict == no_password.verdict == "bad"
    assert 'database "nowhere" does not exist' in no_database.says
    assert "gone can't be read" in no_password.says
    assert "database:" in no_database.next_step


def test_a_database_that_can_not_hold_every_letter_is_told(postgres, tmp_path):
    postgres.run("CREATE DATABASE latin2 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")

    [found] = _database(plan(tmp_path, postgres.address("latin2", driver="")))

    assert (found.verdict, "LATIN1" in found.says) == ("bad", True)


def test_nothing_is_asked_where_the_record_is_a_file(tmp_path):
    assert list(_database(plan(tmp_path, "''"))) == []
