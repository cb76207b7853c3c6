"""What odd chargers did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace as changed
from datetime import datetime

from csms.domain.quirk_records import DeviationRecord
from csms.ocpp.quirks import Deviation
from csms.storage.keys import digest
from csms.storage.sql import Sql
from csms.storage.tables_quirks import deviations as table
from csms.storage.tracking import Shape

MAX_SHOWN = 1000
"""There are fewer: kinds, actions and paths come out of the schemas."""

_record = Shape(DeviationRecord, table, derived={"deviation_key": lambda one: digest(one.kind, one.action, one.path)})
_COUNT = (
    "ON CONFLICT (charger_id, deviation_key) DO UPDATE SET last_seen = excluded.last_seen,"
    " count = deviations.count + excluded.count, example = excluded.example"
)


class SqlDeviations:
    """Implements :class:`csms.domain.quirk_records.Deviations`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._noted: dict[tuple[int, str, str, str], DeviationRecord] = {}

    def note(self, charger_id: int, action: str, deviations: Iterable[Deviation], *, at: datetime) -> None:
        for one in deviations:
            key = (charger_id, one.kind, action, one.path)
            known = self._noted.get(key)
            if known is None:
                self._noted[key] = DeviationRecord(
                    charger_id=charger_id,
                    kind=one.kind,
                    action=action,
                    path=one.path,
                    first_seen=at,
                    last_seen=at,
                    example=one.example,
                )
            else:
                self._noted[key] = changed(known, last_seen=at, count=known.count + 1, example=one.example)

    def of(self, charger_id: int) -> Sequence[DeviationRecord]:
        self.flush()
        query = _record.query().where(table.c.charger_id == charger_id)
        newest = query.order_by(table.c.last_seen.desc(), table.c.kind, table.c.action, table.c.path)
        return [_record.record(row) for row in self._sql.rows(newest.limit(MAX_SHOWN))]

    def flush(self) -> None:
        """Write what was noted."""
        rows = [_record.row(record) for _, record in sorted(self._noted.items())]
        self._noted.clear()
        self._sql.insert(table, _record.columns, rows, _COUNT)
