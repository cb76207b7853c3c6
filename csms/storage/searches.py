"""Sessions, meter values and messages, looked for. Every query goes along an index: a charger's, a session's, or the
sessions' own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, or_, select

from csms.domain.model import LogEntry, Sample, Session, SessionState
from csms.domain.repositories_searches import FoundSample, MessageSearch, SampleSearch, SessionSearch
from csms.storage.keys import digest, folded
from csms.storage.sql import Sql
from csms.storage.tables import charger_data, chargers, charging_sessions, meter_values
from csms.storage.tracking import Shape

_session = Shape(Session, charging_sessions, loaded={"flags": lambda text: set(text.split()), "state": SessionState})
_sample = Shape(Sample, meter_values)
_entry = Shape(LogEntry, charger_data)


class SqlSearches:
    """Implements :class:`csms.domain.repositories_searches.Searches`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def sessions(self, search: SessionSearch, *, before_id: int, limit: int) -> Sequence[Session]:
        table = charging_sessions.c
        query = _within(_session.query(), table.started_at, search.since, search.until)
        if search.state is not None:
            query = query.where(table.state == search.state.value)
        if search.active is not None:
            active = table.state == SessionState.ACTIVE.value
            query = query.where(active if search.active else ~active)
        if search.charger_id is not None:
            query = query.where(table.charger_id == search.charger_id)
        if search.device_id:
            of_charger = select(chargers.c.id).where(chargers.c.device_id == search.device_id).scalar_subquery()
            query = query.where(table.charger_id == of_charger)
        if search.id_token:
            query = query.where(table.id_token_key == digest(folded(search.id_token)))
        if before_id:
            query = query.where(table.id < before_id)
        return [_session.record(row) for row in self._sql.rows(query.order_by(table.id.desc()).limit(limit))]

    def samples(self, search: SampleSearch, *, after: tuple[datetime, int] | None, limit: int) -> Sequence[FoundSample]:
        table = meter_values.c
        query = _within(_sample.query(), table.sampled_at, search.since, search.until)
        query = query.add_columns(table.series_key).where(table.charger_id == search.charger_id)
        if search.session_id:
            query = query.where(table.session_id == search.session_id, table.session_id != 0)
        if search.measurand:
            query = query.where(table.measurand == search.measurand)
        if after is not None:
            moment, series_key = after
            same_time = and_(table.sampled_at == moment, table.series_key > series_key)
            query = query.where(or_(table.sampled_at > moment, same_time), table.sampled_at >= moment)
        rows = self._sql.rows(query.order_by(table.sampled_at, table.series_key).limit(limit))
        return [FoundSample(sample=_sample.record(row[:-1]), series_key=row[-1]) for row in rows]

    def messages(self, search: MessageSearch, *, before: tuple[datetime, str] | None, limit: int) -> Sequence[LogEntry]:
        table = charger_data.c
        query = _within(_entry.query(), table.received_at, search.since, search.until)
        query = query.where(table.charger_id == search.charger_id)
        if search.action:
            query = query.where(table.action == search.action)
        if search.failed is not None:
            query = query.where(table.error != "" if search.failed else table.error == "")
        if before is not None:
            moment, message_id = before
            same_time = and_(table.received_at == moment, table.message_id < message_id)
            query = query.where(or_(table.received_at < moment, same_time), table.received_at <= moment)
        newest_first = query.order_by(table.received_at.desc(), table.message_id.desc()).limit(limit)
        return [_entry.record(row) for row in self._sql.rows(newest_first)]


def _within(query: Select[Any], column: Any, since: datetime | None, until: datetime | None) -> Select[Any]:
    if since is not None:
        query = query.where(column >= since)
    return query if until is None else query.where(column < until)
