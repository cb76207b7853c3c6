"""Many rows in one statement and many statements in one round trip, for each dialect.

PostgreSQL gets all rows of a statement as one JSON parameter: one statement text, however many rows there are, and a
third of the client's work that multi-row VALUES take. Statements that only write go out together: on a busy machine
each round trip costs a turn of the processor on both sides. SQLite has no round trips; its driver runs one prepared
statement over all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec
from sqlalchemy import (
    ARRAY,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    String,
    Subquery,
    Table,
    Text,
    bindparam,
    cast,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from csms.storage.types import UtcDateTime, aware, time_text

Rows = Sequence[Sequence[Any]]
Columns = tuple[tuple[str, int], ...]

_json = msgspec.json.Encoder()


class Write(NamedTuple):
    """A statement that writes, in the driver's own words."""

    statement: str
    rows: Any


class Bulk(Protocol):
    """What differs between the databases in the statements of a unit of work."""

    ids_ahead: bool
    """Whether ids may be fetched before the transaction that uses them."""

    def __hash__(self) -> int: ...

    def insert(self, table: Table, columns: tuple[str, ...], rows: Rows, clause: str) -> Write:
        """Insert ``rows``, each with a value for every one of ``columns``; ``clause`` says what happens on a conflict.

        Without one, a row that is there already fails the transaction as a conflict.
        """
        ...

    def update(self, table: Table, columns: Columns, rows: Rows) -> Write:
        """Change rows by their ``id``. Each of ``rows`` is (mask, values of ``columns`` ..., id).

        ``columns`` are names, each with its bit in the mask, which says whether the row's value is to be changed: what
        others wrote to the rest stays.
        """
        ...

    def delete(self, table: Table, ids: Sequence[int]) -> Write:
        """Delete the rows of these ids."""
        ...

    def write(self, connection: Connection, writes: Sequence[Write]) -> int:
        """Run ``writes`` one after the other; how many rows the last one touched."""
        ...

    def ids(self, connection: Connection, table: Table, count: int, taken: int) -> list[int]:
        """``count`` fresh ids, ascending, where this transaction took ``taken`` before without writing them all."""
        ...

    def any_of(self, column: ColumnElement[Any], values: BindParameter[Any]) -> ColumnElement[bool]:
        """``column`` equals one of ``values``, a parameter of the type :class:`Members`."""
        ...

    def keys(self, columns: tuple[Column[Any], ...], name: str) -> Subquery:
        """A table made of the rows in the parameter ``name``, to join with; its columns are named as ``columns``."""
        ...


class PostgresqlBulk:
    """Rows as JSON arrays."""

    ids_ahead = True

    def insert(self, table: Table, columns: tuple[str, ...], rows: Rows, clause: str) -> Write:
        _refuse_naive(table, columns, rows)
        return Write(_postgresql_insert(table, columns, clause), _text(rows))

    def update(self, table: Table, columns: Columns, rows: Rows) -> Write:
        _refuse_naive(table, ("", *(name for name, _ in columns)), rows)
        return Write(_postgresql_update(table, columns), _text(rows))

    def delete(self, table: Table, ids: Sequence[int]) -> Write:
        return Write(f"DELETE FROM {table.name} WHERE id = ANY(%s::bigint[])", _array(ids))

    def write(self, connection: Connection, writes: Sequence[Write]) -> int:
        statements = ";\n".join(one.statement for one in writes)
        return connection.exec_driver_sql(statements, tuple(one.rows for one in writes)).rowcount

    def ids(self, connection: Connection, table: Table, count: int, taken: int) -> list[int]:
        statement = "SELECT nextval(%s::regclass) FROM generate_series(1, %s)"
        rows = connection.exec_driver_sql(statement, (f"{table.name}_id_seq", count))
        return [row[0] for row in rows]

    def any_of(self, column: ColumnElement[Any], values: BindParameter[Any]) -> ColumnElement[bool]:
        # A collation cannot stand in a cast; the column's own counts.
        of = Text() if isinstance(column.type, String) else column.type
        return column == func.any(cast(values, ARRAY(of)))

    def keys(self, columns: tuple[Column[Any], ...], name: str) -> Subquery:
        values = ", ".join(_postgresql_value(column, index) for index, column in enumerate(columns))
        return _keys(f"SELECT {values} FROM jsonb_array_elements(CAST(:{name} AS jsonb)) AS v", columns, name)


class SqliteBulk:
    """One prepared statement, run over all rows."""

    ids_ahead = False

    def insert(self, table: Table, columns: tuple[str, ...], rows: Rows, clause: str) -> Write:
        return Write(_sqlite_insert(table, columns, clause), _sqlite_rows(table, columns, rows))

    def update(self, table: Table, columns: Columns, rows: Rows) -> Write:
        texts = _sqlite_rows(table, ("", *(name for name, _ in columns)), rows)
        return Write(_sqlite_update(table, columns), texts)

    def delete(self, table: Table, ids: Sequence[int]) -> Write:
        return Write(f"DELETE FROM {table.name} WHERE id = ?", [(row_id,) for row_id in ids])

    def write(self, connection: Connection, writes: Sequence[Write]) -> int:
        return [connection.exec_driver_sql(one.statement, one.rows).rowcount for one in writes][-1]

    def ids(self, connection: Connection, table: Table, count: int, taken: int) -> list[int]:
        # Whoever writes has the database for itself, so that nobody else takes the same ones.
        row = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)).first()
        first = max(row[0] if row else 0, taken) + 1
        return list(range(first, first + count))

    def any_of(self, column: ColumnElement[Any], values: BindParameter[Any]) -> ColumnElement[bool]:
        return column.in_(select(func.json_each(values).table_valued(Column("value", column.type)).c.value))

    def keys(self, columns: tuple[Column[Any], ...], name: str) -> Subquery:
        values = ", ".join(f"json_extract(value, '$[{i}]') AS {column.name}" for i, column in enumerate(columns))
        return _keys(f"SELECT {values} FROM json_each(:{name})", columns, name)


class Members(TypeDecorator[Iterable[Any]]):
    """The type of a parameter that is a collection of what a column holds."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Dialect) -> str:
        members = list(value or ())
        return _text(members) if dialect.name == "sqlite" else _array(members)


class KeyRows(TypeDecorator[Rows]):
    """The type of a parameter that is rows of these columns."""

    impl = String
    cache_ok = True

    def __init__(self, columns: tuple[Column[Any], ...]) -> None:
        super().__init__()
        self.columns = columns

    def process_bind_param(self, value: Rows | None, dialect: Dialect) -> str:
        rows = value or ()
        if dialect.name == "sqlite":
            rows = _sqlite_rows(self.columns[0].table, tuple(column.name for column in self.columns), rows)
        return _text(rows)


def _keys(query: str, columns: tuple[Column[Any], ...], name: str) -> Subquery:
    # The parameter's name differs, so that two of these fit in one statement.
    source = text(query).bindparams(bindparam(name, type_=KeyRows(columns)))
    return source.columns(*(Column(column.name, column.type) for column in columns)).subquery(name)


@cache
def bulk_for(dialect: str) -> Bulk:
    """The statements of ``dialect``, as SQLAlchemy calls it; the same for all databases of a process."""
    return SqliteBulk() if dialect == "sqlite" else PostgresqlBulk()


def _text(rows: Sequence[Any]) -> str:
    return _json.encode(rows).decode()


def _array(members: Iterable[int | str]) -> str:
    """An array as PostgreSQL writes it: one constant, where the driver would make one of each member, all to be parsed.

    Source: PostgreSQL's documentation, 8.15.6 (array input and output syntax).
    """
    return f"{{{','.join(map(_member, members))}}}"


def _member(value: int | str) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@cache
def _dialect(name: str) -> Dialect:
    # Loaded when it is used: SQLAlchemy's for PostgreSQL takes several megabytes.
    return make_url(f"{name}://").get_dialect()()


def _quoted(dialect: str) -> Callable[[str], str]:
    return _dialect(dialect).identifier_preparer.quote


def _postgresql_value(column: Column[Any], index: int) -> str:
    type_name = column.type.compile(_dialect("postgresql"))
    return f"(v->>{index})::{type_name.split(' COLLATE')[0]} AS {_quoted('postgresql')(column.name)}"


@lru_cache(maxsize=256)
def _postgresql_insert(table: Table, columns: tuple[str, ...], clause: str) -> str:
    names = ", ".join(map(_quoted("postgresql"), columns))
    values = ", ".join(_postgresql_value(table.c[name], index) for index, name in enumerate(columns))
    return f"INSERT INTO {table.name} ({names}) SELECT {values} FROM jsonb_array_elements(%s::jsonb) AS v {clause}"


@lru_cache(maxsize=256)
def _postgresql_update(table: Table, columns: Columns) -> str:
    quote = _quoted("postgresql")
    values = ", ".join(_postgresql_value(table.c[name], index) for index, (name, _) in enumerate(columns, start=1))
    changes = ", ".join(
        f"{quote(name)} = CASE WHEN changed.mask & {bit} <> 0 THEN changed.{quote(name)} ELSE t.{quote(name)} END"
        for name, bit in columns
    )
    # Held in the order of their ids, as by whoever else holds several, so that no two wait in a circle.
    return (
        f"UPDATE {table.name} AS t SET {changes} FROM ("
        f"WITH given AS (SELECT (v->>0)::bigint AS mask, {values}, (v->>{len(columns) + 1})::bigint AS id"
        " FROM jsonb_array_elements(%s::jsonb) AS v),"
        f" held AS (SELECT id FROM {table.name} WHERE id IN (SELECT id FROM given) ORDER BY id FOR NO KEY UPDATE)"
        " SELECT given.* FROM given JOIN held USING (id)) AS changed WHERE t.id = changed.id"
    )


@lru_cache(maxsize=256)
def _sqlite_insert(table: Table, columns: tuple[str, ...], clause: str) -> str:
    names = ", ".join(map(_quoted("sqlite"), columns))
    return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(columns))}) {clause}"


@lru_cache(maxsize=256)
def _sqlite_update(table: Table, columns: Columns) -> str:
    quote = _quoted("sqlite")
    changes = ", ".join(
        f"{quote(name)} = CASE WHEN ?1 & {bit} THEN ?{index} ELSE {quote(name)} END"
        for index, (name, bit) in enumerate(columns, start=2)
    )
    return f"UPDATE {table.name} SET {changes} WHERE id = ?{len(columns) + 2}"


@lru_cache(maxsize=256)
def _time_positions(table: Table, columns: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(i for i, name in enumerate(columns) if name and isinstance(table.c[name].type, UtcDateTime))


def _refuse_naive(table: Table, columns: tuple[str, ...], rows: Rows) -> None:
    for position in _time_positions(table, columns):
        for row in rows:
            if (moment := row[position]) is not None:
                aware(moment)


def _sqlite_rows(table: Any, columns: tuple[str, ...], rows: Rows) -> list[tuple[Any, ...]]:
    positions = _time_positions(table, columns)
    if not positions:
        return [tuple(row) for row in rows]
    texts = []
    for row in rows:
        values = list(row)
        for position in positions:
            moment: datetime | None = values[position]
            values[position] = None if moment is None else time_text(moment)
        texts.append(tuple(values))
    return texts
