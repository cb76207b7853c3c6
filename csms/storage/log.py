"""The message log, table ``charger_data``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, select

from csms.domain.messages import ChargerMessage
from csms.domain.model import LogEntry
from csms.storage.sql import Clauses, Sql
from csms.storage.tables import charger_data
from csms.storage.tracking import Shape

_entry = Shape(LogEntry, charger_data)
_table = charger_data.c
_KEY = (_table.charger_id, _table.received_at, _table.message_id)

_Key = tuple[int, datetime, str]


class SqlMessageLog:
    """Implements :class:`csms.domain.repositories.MessageLog`.

    An entry's ``received_at`` is the ``timestamp`` of its message: the gateway fixes it once, so a redelivery has the
    same, and it is part of the key by which repeats are found.
    """

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._new: list[LogEntry] = []
        self._answers: dict[_Key, str | None] = {}

    def answered(self, messages: Sequence[ChargerMessage], *, optimistic: bool = False) -> Mapping[str, str]:
        keys = [(message.charger_id, message.timestamp, message.message_id) for message in messages]
        if not (optimistic and self._sql.may_assume()):
            self._ask({key for key in keys if key not in self._answers})
        found = ((key[2], self._answers.get(key)) for key in keys)
        return {message_id: answer for message_id, answer in found if answer is not None}

    def append(self, entries: Iterable[LogEntry]) -> None:
        for entry in entries:
            self._new.append(entry)
            self._answers[entry.charger_id, entry.received_at, entry.message_id] = entry.answer

    def page(self, charger_id: int, *, limit: int = 100) -> Sequence[LogEntry]:
        self.flush()
        query = _entry.query().where(_table.charger_id == charger_id)
        newest_first = query.order_by(_table.received_at.desc(), _table.message_id.desc()).limit(limit)
        return [_entry.record(row) for row in self._sql.rows(newest_first)]

    def flush(self) -> None:
        """Write what was appended."""
        rows = [_entry.row(entry) for entry in self._new]
        self._new.clear()
        self._sql.insert_new(charger_data, _entry.columns, rows)

    def _ask(self, wanted: set[_Key]) -> None:
        if not wanted:
            return
        times = [key[1] for key in wanted]
        self._answers.update(dict.fromkeys(wanted))
        found = self._sql.rows(self._sql.made(_answers), messages=list(wanted), earliest=min(times), latest=max(times))
        for row in found:
            self._answers[row[0], row[1], row[2]] = row[3]


def _answers(clauses: Clauses) -> Select[Any]:
    keys = clauses.keys(_KEY, "messages")
    same = and_(*(column == keys.c[column.name] for column in _KEY))
    # The bounds let PostgreSQL skip all other months.
    within = _table.received_at.between(bindparam("earliest"), bindparam("latest"))
    return select(*_KEY, _table.answer).join(keys, same).where(within)
