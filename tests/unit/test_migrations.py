"""The migrations lead to the tables that the program reads, and back."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from edge.store import web_schema
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
