"""Measured values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, bindparam, select

from csms.domain.model import Measured, Sample
from csms.storage.keys import digest
from csms.storage.sql import IGNORE, Clauses, Sql
from csms.storage.tables import meter_values
from csms.storage.tracking import Shape

_sample = Shape(
    Sample,
    meter_values,
    derived={
        "series_key": lambda s: digest(
            s.session_id, s.evse_id, s.connector_id, s.measurand, s.phase, s.context, s.location
        )
    },
)


def _measured(clauses: Clauses) -> Select[Any]:
    table = meter_values.c
    query = select(table.session_id, table.sampled_at, table.phase, table.value)
    query = query.where(clauses.any_of(table.session_id, "sessions"), table.session_id != 0)
    query = query.where(table.measurand == bindparam("measurand"), table.value.is_not(None))
    return query.order_by(table.session_id, table.sampled_at, table.series_key).limit(bindparam("most"))


class SqlSamples:
    """Appends samples; one that is there already (charger, time, series) is dropped."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._new: list[Sample] = []

    def add(self, samples: Iterable[Sample]) -> None:
        """Append ``samples`` at the next flush."""
        self._new.extend(samples)

    def of_session(self, session_id: int, limit: int) -> Sequence[Sample]:
        """The session's first ``limit`` samples."""
        self.flush()
        table = meter_values.c
        query = _sample.query().where(table.session_id == session_id, table.session_id != 0)
        ordered = query.order_by(table.sampled_at, table.series_key).limit(limit)
        return [_sample.record(row) for row in self._sql.rows(ordered)]

    def measured(self, measurand: str, session_ids: Iterable[int], limit: int) -> Mapping[int, Sequence[Measured]]:
        """The first ``limit`` numbers of one measurand, of each of these sessions."""
        self.flush()
        wanted = sorted(set(session_ids) - {0})
        found: dict[int, list[Measured]] = {session_id: [] for session_id in wanted}
        if not wanted:
            return found
        rows = self._sql.rows(self._sql.made(_measured), sessions=wanted, measurand=measurand, most=limit)
        if len(rows) == limit and len(wanted) > 1:
            # Perhaps not all: one after the other, so that memory holds one at a time.
            return {one: self.measured(measurand, [one], limit)[one] for one in wanted}
        for session_id, at, phase, value in rows:
            found[session_id].append(Measured(at, phase, value))
        return found

    def flush(self) -> None:
        """Write what was appended."""
        rows = [_sample.row(sample) for sample in self._new]
        self._new.clear()
        self._sql.insert(meter_values, _sample.columns, rows, IGNORE)
