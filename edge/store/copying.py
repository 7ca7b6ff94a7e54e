"""A whole record from one database into another, an empty one: from SQLite to PostgreSQL, or back.

Every row of every table, with its pk, so that addresses, cursors and exports stay what they were. It is one
transaction: the other database has all of it or nothing.
"""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.types import UserDefinedType

from ..errors import SchemaError
from ..i18n import _
from . import web_schema
from .dialects import is_postgresql, took_pks, without_nul
from .schema import counters
from .sql import Store

REVISION = "SELECT version_num FROM alembic_version"
BATCH = 2_000  # rows in memory at a time
Progress = Callable[[int, int], None]  # rows that are copied, of how many
# What triggers write while other rows come in: emptied again, and copied at the end.
BY_TRIGGERS = (counters, web_schema.stale_days)


class _Written(UserDefinedType[str]):
    """JSON as the text that is written: read and written anew, a number of it might look different."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        """Its name in SQL."""
        return "JSON"


def copy_record(old: Store, new: Store, progress: Progress = lambda _done, _of: None) -> dict[str, int]:
    """Copy everything; returns the rows of each table that has some. progress: told after each batch.

    Raises SchemaError when the new one has rows or the old one is of an older program, StoreBusy.
    """
    tables = web_schema.sequences.metadata.sorted_tables
    ordered = [*(each for each in tables if each not in BY_TRIGGERS), *BY_TRIGGERS]
    with old.reading() as source, new.transaction() as target:
        if source.scalar(text(REVISION)) != target.scalar(text(REVISION)):
            raise SchemaError(
                _("the old database was made by an older tigrillo: run the site with it once, it brings it up to date")
            )
        if found := [each.name for each in tables if each is not counters and _has_rows(target, each)]:
            raise SchemaError(
                _("the new database has a record already ({tables}): give it one that is empty").format(
                    tables=", ".join(sorted(found))
                )
            )
        total, done = sum(source.scalar(select(func.count()).select_from(each)) or 0 for each in ordered), 0
        copied = dict.fromkeys((each.name for each in ordered), 0)
        for table in ordered:
            for count in _copy(source, target, table):
                copied[table.name] += count
                done += count
                progress(done, total)
        took_pks(target, *(each for each in tables if each.autoincrement_column is not None))
        if is_postgresql(target):
            target.exec_driver_sql("ANALYZE")  # else it plans for empty tables until it gets round to it
    return {name: count for name, count in copied.items() if count}


def _has_rows(connection: Connection, table: Table) -> bool:
    return connection.execute(select(*table.primary_key.columns).limit(1)).first() is not None


def _copy(source: Connection, target: Connection, table: Table) -> Iterator[int]:
    """Copy one table; how many rows each batch had. What points into the table itself is written at the end."""
    if table in BY_TRIGGERS:
        target.execute(delete(table))
    texts = [each.name for each in table.columns if isinstance(each.type, JSON)]
    inwards = [each.name for each in table.columns if any(key.column.table is table for key in each.foreign_keys)]
    columns = (Column(each.name, _Written() if each.name in texts else each.type) for each in table.columns)
    written = Table(table.name, MetaData(), *columns)
    later = []
    for rows in _batches(source, table, texts):
        for row in rows:
            if is_postgresql(target):
                row.update({name: without_nul(row[name]) for name in texts if row[name]})
            later += [(name, {"of": row["pk"], "to": row[name]}) for name in inwards if row[name] is not None]
            row.update(dict.fromkeys(inwards))
        target.execute(insert(written), rows)
        yield len(rows)
    for name in inwards:
        point = update(table).where(table.c.pk == bindparam("of")).values({name: bindparam("to")})
        if pointing := [each for column, each in later if column == name]:
            target.execute(point, pointing)


def _batches(source: Connection, table: Table, texts: list[str]) -> Iterator[list[dict[str, Any]]]:
    """All rows in the order of their keys; JSON as its text."""
    columns = [cast(each, Text).label(each.name) if each.name in texts else each for each in table.columns]
    query = select(*columns).order_by(*table.primary_key.columns).execution_options(yield_per=BATCH)
    for rows in source.execute(query).mappings().partitions():
        yield [dict(each) for each in rows]
