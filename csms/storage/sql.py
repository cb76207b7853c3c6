"""The statements of one transaction: what repositories use instead of a bare connection."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Executable, Row, Select, Subquery, Table, bindparam, select

from csms.storage.bulk import Bulk, Columns, Members, Rows, Write
from csms.storage.errors import Conflict
from csms.storage.ids import Ids

AnyRow = Row[*tuple[Any, ...]]
IGNORE = "ON CONFLICT DO NOTHING"
OR_CONFLICT = ""
"""A row that is there already is an error of the database, and a conflict: the work runs again, and sees it."""
_FIRST_BLOCK = 8
_MADE_STATEMENTS = 1024

E = TypeVar("E", bound=Executable)


class Clauses:
    """Parts of statements that depend on the dialect, or on whether the transaction may write."""

    def __init__(self, bulk: Bulk, *, writable: bool) -> None:
        self._bulk = bulk
        self._writable = writable

    def locked(self, query: Select[Any]) -> Select[Any]:
        """``query``, holding its rows until the transaction ends if this one may change them."""
        return query.with_for_update(key_share=True) if self._writable else query

    def any_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """``column`` equals one of the values that the parameter ``name`` will have."""
        return self._bulk.any_of(column, bindparam(name, type_=Members()))

    def keys(self, columns: tuple[Column[Any], ...], name: str) -> Subquery:
        """A table made of the rows that the parameter ``name`` will have, to join with."""
        return self._bulk.keys(columns, name)


class Sql:
    """A connection within its transaction, and the dialect's way to write many rows.

    What is to be written waits for the next query, or for :meth:`send`: it goes out together.
    """

    def __init__(self, connection: Connection, bulk: Bulk, ids: Ids, *, writable: bool, careful: bool = False) -> None:
        self._connection = connection
        self._bulk = bulk
        self._ids = ids
        self._writes: list[Write] = []
        self._new_rows: tuple[str, int] | None = None
        """Of the last write, if none of its rows may be there already: its table, and how many."""
        self._ahead: set[Table] = set()
        self.writable = writable
        self.careful = careful
        """This work has failed before, or its commit was lost: look before writing what may be there already."""
        self.has_assumed = False
        """The work went on without having looked."""
        self._free_ids: dict[Table, list[int]] = {}
        self._last_id: dict[Table, int] = {}
        self._wanted_ids: dict[Table, int] = {}

    def may_assume(self) -> bool:
        """Whether this work may go on as if nothing were there already. It is noted."""
        self.has_assumed = not self.careful
        return self.has_assumed

    def made(self, make: Callable[..., E], *arguments: Hashable) -> E:
        """The statement that ``make`` gives for :class:`Clauses` and ``arguments``, made once in the process.

        To make one anew takes as long as to run it. So what changes from call to call is a parameter, whose value is
        given with the statement to :meth:`rows` and its like, and ``arguments`` are constants of their modules.
        """
        statement: E = made_once(make, self._bulk, self.writable, arguments)
        return statement

    def rows(self, statement: Executable, **values: Any) -> Sequence[AnyRow]:
        """Run a query."""
        self.send()
        return self._connection.execute(statement, values).all()

    def first(self, statement: Executable, **values: Any) -> AnyRow | None:
        """Run a query for one row."""
        self.send()
        return self._connection.execute(statement, values).first()

    def change(self, statement: Executable, **values: Any) -> int:
        """Run a statement that writes; returns how many rows it touched."""
        self._must_write()
        self.send()
        return self._connection.execute(statement, values).rowcount

    def insert(self, table: Table, columns: tuple[str, ...], rows: Rows, clause: str = IGNORE) -> None:
        """Insert many rows: see :meth:`Bulk.insert`."""
        if rows:
            self._write(self._bulk.insert(table, columns, rows, clause))

    def insert_new(self, table: Table, columns: tuple[str, ...], rows: Rows) -> None:
        """Insert many rows of which none is there, or else :class:`csms.storage.errors.Conflict` is raised.

        Unlike with :data:`OR_CONFLICT` the database sees no error, and does not log the rows. Best done last: no more
        can go out in the same round trip.
        """
        if rows:
            self._write(self._bulk.insert(table, columns, rows, IGNORE))
            self._new_rows = table.name, len(rows)

    def update(self, table: Table, columns: Columns, rows: Rows) -> None:
        """Change many rows by id: see :meth:`Bulk.update`."""
        if rows:
            self._write(self._bulk.update(table, columns, rows))

    def delete(self, table: Table, ids: Sequence[int]) -> None:
        """Delete many rows by id."""
        if ids:
            self._write(self._bulk.delete(table, ids))

    def send(self) -> int:
        """Write what waits; how many rows the last of it touched."""
        if not self._writes:
            return 0
        writes, self._writes = self._writes, []
        touched = self._bulk.write(self._connection, writes)
        new_rows, self._new_rows = self._new_rows, None
        if new_rows is not None and touched < new_rows[1]:
            raise Conflict(f"{new_rows[1] - touched} of {new_rows[1]} rows of {new_rows[0]} were there already")
        return touched

    def _write(self, write: Write) -> None:
        self._must_write()
        if self._new_rows is not None:
            self.send()
        self._writes.append(write)

    def locked(self, query: Select[Any]) -> Select[Any]:
        """``query``, holding its rows until the transaction ends if this one may change them."""
        return Clauses(self._bulk, writable=self.writable).locked(query)

    def hold(self, table: Table, ids: Iterable[int]) -> None:
        """Lock the rows of these ids until the transaction ends, all in one order, so that no two wait in a circle."""
        self.rows(self.made(_held, table), ids=ids)

    def any_of(self, column: ColumnElement[Any], values: Iterable[int] | Iterable[str]) -> ColumnElement[bool]:
        """``column`` equals one of ``values``, in a statement that is not :meth:`made` once."""
        return self._bulk.any_of(column, bindparam(None, list(values), type_=Members(), unique=True))

    def want_ids(self, table: Table, count: int, *, ahead: bool = False) -> None:
        """Say how many ids of ``table`` will be needed, so that the first one fetches them all.

        ``ahead``: they may have been fetched before, since only the holder of a shard writes such rows of it. Others
        take theirs one after the other, whichever process they are in.
        """
        if ahead and self._bulk.ids_ahead:
            self._ahead.add(table)
        self._wanted_ids[table] = max(count, self._wanted_ids.get(table, 0))

    def new_id(self, table: Table) -> int:
        """A fresh id for a row of ``table``. Fetched in growing blocks; what is left over is never used."""
        self._must_write()
        free = self._free_ids.setdefault(table, [])
        if not free:
            count = self._wanted_ids.get(table) or _FIRST_BLOCK
            self._wanted_ids[table] = 2 * count
            take = self._ids.take if table in self._ahead else self._bulk.ids
            free.extend(reversed(take(self._connection, table, count, self._last_id.get(table, 0))))
        self._last_id[table] = free[-1]
        return free.pop()

    def forget_ids(self) -> None:
        """All ids from now on are greater than any that was given out before, by any process."""
        self._free_ids.clear()
        self._ids.forget()

    def _must_write(self) -> None:
        if not self.writable:
            raise RuntimeError("Database.read is for work that changes nothing; use Database.transact")


@lru_cache(maxsize=_MADE_STATEMENTS)
def made_once(make: Callable[..., Any], bulk: Bulk, writable: bool, arguments: tuple[Hashable, ...]) -> Any:
    """See :meth:`Sql.made`."""
    return make(Clauses(bulk, writable=writable), *arguments)


def _held(clauses: Clauses, table: Table) -> Select[Any]:
    query = select(table.c.id).where(clauses.any_of(table.c.id, "ids")).order_by(table.c.id)
    return clauses.locked(query)


def replace(columns: Sequence[str], keys: Sequence[str], where: str = "", **expressions: str) -> str:
    """The clause that makes the newer row replace the one with the same ``keys``.

    ``expressions``: what a column gets where that is not simply the newer row's value.
    """
    changes = ", ".join(
        f'"{name}" = ' + expressions.get(name, f'excluded."{name}"') for name in columns if name not in keys
    )
    return f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}" + (f" WHERE {where}" if where else "")
