"""Records and rows: the shape of a table's record, and the identity map that finds what changed in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, Table, select

from csms.storage.bulk import Columns
from csms.storage.sql import OR_CONFLICT, AnyRow, Sql

R = TypeVar("R")

Convert = Callable[[Any], Any]


class Shape(Generic[R]):
    """How a dataclass or a Struct is stored: its fields are columns of the same names.

    ``stored`` and ``loaded`` convert single fields on the way; ``derived`` adds columns that follow from the record.
    """

    def __init__(
        self,
        record: type[R],
        table: Table,
        *,
        stored: Mapping[str, Convert] | None = None,
        loaded: Mapping[str, Convert] | None = None,
        derived: Mapping[str, Convert] | None = None,
    ) -> None:
        names = list(signature(record).parameters)
        self._record = record
        self.table = table
        self._names = names
        self._values = attrgetter(*names)
        self._stored = [(names.index(name), convert) for name, convert in (stored or {}).items()]
        self._loaded = dict(loaded or {})
        self._derived = tuple((derived or {}).values())
        self.columns = (*names, *(derived or {}))
        self.columns_without_id = tuple(name for name in self.columns if name != "id")
        """For rows that the database numbers."""

    def query(self) -> Select[Any]:
        """All records; add conditions to it."""
        return select(*(self.table.c[name] for name in self._names))

    def record(self, row: Sequence[Any]) -> R:
        """The record in a row of :meth:`query`."""
        values = dict(zip(self._names, row, strict=True))
        for name, convert in self._loaded.items():
            values[name] = convert(values[name])
        return self._record(**values)

    def row(self, record: R) -> tuple[Any, ...]:
        """The values of :attr:`columns`."""
        values: tuple[Any, ...] = self._values(record)
        if not self._stored and not self._derived:
            return values
        converted = list(values)
        for index, convert in self._stored:
            converted[index] = convert(converted[index])
        return (*converted, *(derive(record) for derive in self._derived))

    def row_without_id(self, record: R) -> tuple[Any, ...]:
        """The values of :attr:`columns_without_id`."""
        return tuple(value for name, value in zip(self.columns, self.row(record), strict=True) if name != "id")


class Tracked(Generic[R]):
    """The records of one table that a transaction knows: one object for each row, new ones included.

    ``on_attach`` is told of each. It must not refer to whoever has this map: in a circle, all records of a transaction
    would wait for the garbage collector.
    """

    def __init__(self, sql: Sql, shape: Shape[R], on_attach: Callable[[R], None] = lambda _: None) -> None:
        self._sql = sql
        self._shape = shape
        self._on_attach = on_attach
        self._records: dict[int, R] = {}
        self._rows: dict[int, tuple[Any, ...]] = {}
        self._new: list[int] = []
        self._id_at = shape.columns.index("id")

    def get(self, record_id: int) -> R | None:
        """The record, if this transaction knows it."""
        return self._records.get(record_id)

    def known(self) -> Iterable[R]:
        """All records that this transaction knows."""
        return self._records.values()

    def attach(self, row: AnyRow) -> R:
        """The record of a row of the shape's query; the one handed out before when there is one."""
        known = self._records.get(row[self._id_at])
        if known is not None:
            return known
        record = self._shape.record(row)
        row_id = row[self._id_at]
        self._records[row_id] = record
        self._rows[row_id] = self._shape.row(record)
        self._on_attach(record)
        return record

    def fetch(self, query: Select[Any], **values: Any) -> list[R]:
        """The records that ``query`` (made from the shape's) finds; ``values``: of its parameters."""
        return [self.attach(row) for row in self._sql.rows(query, **values)]

    def add(self, record: R) -> R:
        """Give a new record its id; it is written by :meth:`flush`."""
        record_id = self._sql.new_id(self._shape.table)
        record.id = record_id  # type: ignore[attr-defined]
        self._records[record_id] = record
        self._new.append(record_id)
        self._on_attach(record)
        return record

    def forget(self, record_id: int) -> None:
        """The row was deleted, or is not wanted any more before it was written."""
        self._records.pop(record_id, None)
        if self._rows.pop(record_id, None) is None and record_id in self._new:
            self._new.remove(record_id)

    def flush(self) -> None:
        """Write what is new and what changed: at most one INSERT and one UPDATE."""
        if self._new:
            self._insert()
        columns, changes = self._changes()
        if changes:
            self._sql.update(self._shape.table, columns, changes)

    def _insert(self) -> None:
        rows = {record_id: self._shape.row(self._records[record_id]) for record_id in self._new}
        self._new.clear()
        self._rows.update(rows)
        self._sql.insert(self._shape.table, self._shape.columns, list(rows.values()), OR_CONFLICT)

    def _changes(self) -> tuple[Columns, list[tuple[Any, ...]]]:
        """The columns that changed in any row, and for each changed row what :meth:`Bulk.update` needs."""
        found: list[tuple[int, tuple[Any, ...], int]] = []
        together = 0
        for record_id, before in self._rows.items():
            now = self._shape.row(self._records[record_id])
            if now == before:
                continue
            mask = sum(1 << at for at, value in enumerate(now) if value != before[at])
            found.append((mask, now, record_id))
            together |= mask
            self._rows[record_id] = now
        positions = [at for at in range(len(self._shape.columns)) if together >> at & 1]
        columns = tuple((self._shape.columns[at], 1 << at) for at in positions)
        return columns, [(mask, *(now[at] for at in positions), record_id) for mask, now, record_id in found]
