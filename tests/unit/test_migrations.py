"""The migrations lead to the tables that the program reads, and back."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from edge.store import web_schema
from edge.store.create import create
from edge.store.upgrade import upgrade

metadata = web_schema.sequences.metadata  # of all tables
MIGRATIONS = Path(__file__).resolve().parents[2] / "edge" / "store" / "migrations"


def without_foreign_keys(differences):
    # SQLite does not tell the names of foreign keys that were added with a column
    return [each for each in differences if not (isinstance(each, tuple) and each[0].endswith("_fk"))]


def test_a_database_made_by_the_migrations_has_the_tables_of_the_schema():
    with create_engine("sqlite://").begin() as connection:
        upgrade(connection, MIGRATIONS)
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    assert without_foreign_keys(found) == []


def test_every_migration_can_be_taken_back():
    with create_engine("sqlite://").begin() as connection:
        upgrade(connection, MIGRATIONS)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
        upgrade(connection, MIGRATIONS)
        assert "deployments" in inspect(connection).get_table_names()


def what_is_in(connection):
    """Tables with their columns and keys, indices and triggers; the order of columns is the history's."""
    look = inspect(connection)
    tables = {
        name: (
            {(each["name"], str(each["type"]), each["nullable"]) for each in look.get_columns(name)},
            look.get_pk_constraint(name)["constrained_columns"],
            {tuple(each["column_names"]) for each in look.get_unique_constraints(name)},
            {(tuple(each["constrained_columns"]), each["referred_table"]) for each in look.get_foreign_keys(name)},
        )
        for name in look.get_table_names()
    }
    rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger')"))
    made = {(kind, name): " ".join(sql.split()) for kind, name, sql in rows if sql}
    return tables, made


def test_a_database_made_at_once_is_the_one_that_the_migrations_make():
    with create_engine("sqlite://").begin() as connection:
        upgrade(connection, MIGRATIONS)
        by_migrations = what_is_in(connection)
        counters = connection.execute(text("SELECT * FROM counters")).all()
        version = connection.execute(text("SELECT * FROM alembic_version")).all()
    with create_engine("sqlite://").begin() as connection:
        create(connection, version[0][0])
        at_once = what_is_in(connection)
        assert connection.execute(text("SELECT * FROM counters")).all() == counters
        assert connection.execute(text("SELECT * FROM alembic_version")).all() == version
    assert at_once[0] == by_migrations[0]
    assert at_once[1] == by_migrations[1]
