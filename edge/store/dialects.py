"""SQL that SQLite and PostgreSQL say differently, under one name each; everything else in the store is the same text.

PostgreSQL keeps JSON as `json`, the text that was written, and times as `timestamp` in UTC, as SQLite does.
"""

import json
import re
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Float,
    FunctionElement,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.compiler import compiles

from ..errors import SchemaError
from ..i18n import _

POSTGRESQL = "postgresql"
OLDEST = (12,)  # whose functions and triggers are as ours are written
ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # one whose backslash is not escaped itself


def is_postgresql(connection: Connection) -> bool:
    """Whether this is PostgreSQL; else it is SQLite."""
    return connection.dialect.name == POSTGRESQL


def refuse_unfit(connection: Connection) -> None:
    """Raises SchemaError when what has no tables yet can't hold them: an old PostgreSQL, or one of few letters."""
    if not is_postgresql(connection):
        return
    found = connection.dialect.server_version_info or OLDEST
    if found < OLDEST:
        raise SchemaError(
            _("PostgreSQL {found} is too old: {oldest} is the oldest that will do").format(
                found=".".join(map(str, found)), oldest=OLDEST[0]
            )
        )
    letters = connection.scalar(text("SHOW server_encoding"))
    if letters != "UTF8":
        raise SchemaError(
            _("the database keeps {letters} only: make one with `createdb --encoding=UTF8`").format(letters=letters)
        )


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT with `on_conflict_do_nothing` and `on_conflict_do_update(index_elements=…, set_=…)`."""
    if is_postgresql(connection):
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415  # because few sites need it in memory

        return insert(table)
    return sqlite_insert(table)


def highest(connection: Connection, table: Table) -> int:
    """The highest pk of a table, 0 when it is empty; who calls it may use the next ones, and then calls `took_pks`.

    Until the end of the transaction nobody else adds rows.
    """
    if is_postgresql(connection):
        connection.execute(text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))
    return int(connection.scalar(select(func.max(table.c.pk))) or 0)


def took_pks(connection: Connection, *tables: Table) -> None:
    """Rows with a pk of our own choice were added: the database's next one comes after them."""
    if not is_postgresql(connection):
        return  # SQLite takes the highest and one
    for table in tables:
        if last := connection.scalar(select(func.max(table.c.pk))):
            connection.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "pk"), last)))


class NoNul(TypeDecorator[str]):
    """Texts of PostgreSQL, which can't hold U+0000: what a file or a sender says may have one, SQLite keeps it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # because SQLAlchemy calls it so
        """The same with U+FFFD in its place."""
        return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value


def json_without_nul(value: Any) -> str:
    """JSON for PostgreSQL."""
    return without_nul(json.dumps(value))


def without_nul(written: str) -> str:
    """A JSON text with U+FFFD for U+0000, which PostgreSQL keeps, but then can't read the text that has it."""
    return ESCAPED_NUL.sub(r"\1\\ufffd", written) if "\\u0000" in written else written


def widen(metadata: MetaData) -> None:
    """Let PostgreSQL hold what SQLite holds: texts of any length, in the order of their bytes, and 8-byte numbers.

    Without it a clip of 3 GB, or a camera's name of 200 letters, would be refused by the one and kept by the other.
    """
    for table in metadata.tables.values():
        for column in table.columns:
            if type(column.type) is String:
                column.type = String(column.type.length).with_variant(NoNul(collation="C"), POSTGRESQL)
            elif type(column.type) is Integer:
                column.type = Integer().with_variant(BigInteger(), POSTGRESQL)


class _Said(FunctionElement[Any]):
    """A function of columns and constants; constants are written into the SQL, so that GROUP BY knows them again."""

    inherit_cache = True
    sqlite = postgresql = ""  # the SQL, {0} and so on for the arguments


@compiles(_Said)
def _say_sqlite(element: _Said, compiler: Any, **values: Any) -> str:
    return element.sqlite.format(*(compiler.process(each, **values) for each in element.clauses))


@compiles(_Said, POSTGRESQL)
def _say_postgresql(element: _Said, compiler: Any, **values: Any) -> str:
    return element.postgresql.format(*(compiler.process(each, **values) for each in element.clauses))


class day_of(_Said):  # noqa: N801  # because it is used as a function
    """The UTC day of a time, "2026-11-22"."""

    type = String()
    inherit_cache = True
    sqlite, postgresql = "substr({0}, 1, 10)", "to_char({0}, 'YYYY-MM-DD')"


class hour_of(_Said):  # noqa: N801
    """The UTC day and hour of a time, "2026-11-22 07"."""

    type = String()
    inherit_cache = True
    sqlite, postgresql = "substr({0}, 1, 13)", "to_char({0}, 'YYYY-MM-DD HH24')"


class clock_hour_of(_Said):  # noqa: N801
    """The UTC hour of the day, "07"."""

    type = String()
    inherit_cache = True
    sqlite, postgresql = "substr({0}, 12, 2)", "to_char({0}, 'HH24')"


class second_of(_Said):  # noqa: N801
    """A time without the part of its second; to be compared with others of this function."""

    type = DateTime()
    inherit_cache = True
    sqlite, postgresql = "substr({0}, 1, 19)", "date_trunc('second', {0})"


class seconds_between(_Said):  # noqa: N801
    """Seconds from the first time to the second."""

    type = Float()
    inherit_cache = True
    sqlite = "((julianday({1}) - julianday({0})) * 86400)"
    postgresql = "CAST(extract(epoch FROM {1} - {0}) AS double precision)"


class larger(_Said):  # noqa: N801
    """The larger of two."""

    type = Integer()
    inherit_cache = True
    sqlite, postgresql = "max({0}, {1})", "greatest({0}, {1})"


class json_text(_Said):  # noqa: N801
    """A JSON column as the text that stands in it; "null" or None where nothing is said."""

    type = Text()
    inherit_cache = True
    sqlite, postgresql = "{0}", "CAST({0} AS TEXT)"


class _json_at(_Said):  # noqa: N801
    type = Text()
    inherit_cache = True
    sqlite, postgresql = "json_extract({0}, {1})", "({0} #>> {2})"


class _json_number_at(_Said):  # noqa: N801
    type = Float()
    inherit_cache = True
    sqlite = "json_extract({0}, {1})"
    postgresql = "CASE json_typeof({0} #> {2}) WHEN 'number' THEN CAST({0} #>> {2} AS double precision) END"


class _json_with(_Said):  # noqa: N801
    inherit_cache = True
    sqlite = "json_set({0}, {1}, json({3}))"
    postgresql = "CAST(jsonb_set(CAST({0} AS jsonb), {2}, CAST({3} AS jsonb)) AS json)"


def json_value(column: ColumnElement[Any], *path: str) -> ColumnElement[Any]:
    """What stands at a path of a JSON column, as a text; an object as its JSON. None where there is nothing."""
    return _json_at(column, *_paths(path))


def json_number(column: ColumnElement[Any], *path: str) -> ColumnElement[Any]:
    """The number at a path of a JSON column."""
    return _json_number_at(column, *_paths(path))


def json_with(column: Column[Any], path: tuple[str, ...], value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A JSON column with another value at a path; value: a JSON text."""
    changed = _json_with(column, *_paths(path), value)
    changed.type = column.type
    return changed


def _paths(path: tuple[str, ...]) -> tuple[ColumnElement[str], ColumnElement[str]]:
    """The path as each of them writes it. Only words of our own come here: they are not escaped."""
    assert all(each.isidentifier() for each in path), path
    return literal_column(f"'$.{'.'.join(path)}'"), literal_column(f"'{{{','.join(path)}}}'")
