"""A new database: all tables, what the database does by itself, and the mark that no migration is wanted.

It is made at once and not by the migrations: they would load Alembic, 8 MB, and the first of them are older than
PostgreSQL's place here. tests/unit/test_migrations.py holds both ways against each other. A module of its own, because
a daemon whose database is there needs no tables of the web page.
"""

from sqlalchemy import Column, Connection, Index, MetaData, PrimaryKeyConstraint, String, Table, insert
from sqlalchemy.schema import CreateIndex, CreateTable

from . import web_schema
from .dialects import is_postgresql
from .schema import counters
from .triggers import trigger_statements

# As Alembic makes it, to find it again.
_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

# The end of an index of SQLite is the row's pk anyhow; PostgreSQL would sort a station's frames to find its newest.
_WITH_PK = (
    "DROP INDEX ix_frames_station_boot_count_seq",
    "CREATE INDEX ix_frames_station_boot_count_seq ON frames (station, boot_count, seq, pk)",
)


def create(connection: Connection, revision: str) -> None:
    """Make everything in an empty database, in the transaction of `connection`. revision: the newest migration's."""
    for table in web_schema.sequences.metadata.sorted_tables:
        connection.execute(CreateTable(table))
        for index in sorted(table.indexes, key=_partial_last):
            connection.execute(CreateIndex(index))
    indices = _WITH_PK if is_postgresql(connection) else ()
    for statement in (*indices, *trigger_statements(connection.dialect.name)):
        connection.exec_driver_sql(statement)
    connection.execute(insert(counters).values(name="waiting_bytes", value=0))
    _VERSION.create(connection)
    connection.execute(insert(_VERSION).values(version_num=revision))


def _partial_last(index: Index) -> tuple[bool, str]:
    """Of two indices that are as good for a query SQLite takes the newer one: that of fewer rows, then."""
    return index.dialect_options["sqlite"]["where"] is not None, str(index.name)
