"""Hourly rollups, and which events had their effect already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as changed
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, select

from csms.domain.model import HourlyUse
from csms.storage.sql import OR_CONFLICT, Clauses, Sql, replace
from csms.storage.tables import consumed_events, hourly_use, session_registers
from csms.storage.tracking import Shape

_use = Shape(HourlyUse, hourly_use)
_SUMS = ("energy_wh", "sessions_started", "sessions_ended", "charging_s")
_ADD = "ON CONFLICT (charger_id, hour) DO UPDATE SET " + ", ".join(
    f"{name} = hourly_use.{name} + excluded.{name}" for name in _SUMS
)
_REGISTER = ("session_id", "energy_wh", "at")
_REPLACE_REGISTER = replace(_REGISTER, ("session_id",))


def _consumed(clauses: Clauses) -> Select[Any]:
    table = consumed_events.c
    mine = table.consumer == bindparam("consumer")
    return select(table.event_id).where(mine, clauses.any_of(table.event_id, "events"))


def _registers_of(clauses: Clauses) -> Select[Any]:
    table = session_registers.c
    query = select(table.session_id, table.energy_wh, table.at).order_by(table.session_id)
    return clauses.locked(query.where(clauses.any_of(table.session_id, "sessions")))


class SqlConsumed:
    """Implements :class:`csms.domain.repositories.Consumed`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def first_times(
        self, consumer: str, event_ids: Sequence[str], now: datetime, *, optimistic: bool = False
    ) -> frozenset[str]:
        wanted = dict.fromkeys(event_ids)
        if not wanted:
            return frozenset()
        if not (optimistic and self._sql.may_assume()):
            for row in self._sql.rows(self._sql.made(_consumed), consumer=consumer, events=list(wanted)):
                del wanted[row[0]]
        rows = [(consumer, event_id, now) for event_id in wanted]
        self._sql.insert_new(consumed_events, ("consumer", "event_id", "consumed_at"), rows)
        return frozenset(wanted)


class SqlAnalytics:
    """Implements :class:`csms.domain.repositories.Analytics`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._uses: dict[tuple[int, datetime], HourlyUse] = {}
        self._registers: dict[int, tuple[float, datetime] | None] = {}
        self._stored: set[int] = set()
        self._changed: set[int] = set()

    def add_use(self, uses: Iterable[HourlyUse]) -> None:
        for use in uses:
            key = (use.charger_id, use.hour)
            sums = self._uses.get(key)
            if sums is None:
                self._uses[key] = use
            else:
                self._uses[key] = changed(use, **{name: getattr(sums, name) + getattr(use, name) for name in _SUMS})

    def use(self, charger_id: int, *, since: datetime, until: datetime) -> Sequence[HourlyUse]:
        self.flush()
        table = hourly_use.c
        query = _use.query().where(table.charger_id == charger_id, table.hour >= since, table.hour < until)
        return [_use.record(row) for row in self._sql.rows(query.order_by(table.hour))]

    def registers(self, session_ids: Iterable[int]) -> Mapping[int, tuple[float, datetime]]:
        wanted = set(session_ids)
        unknown = wanted - self._registers.keys()
        if unknown:
            # Two workers may have events of one session: whoever comes second adds from where the first has left off.
            self._registers.update(dict.fromkeys(unknown))
            for row in self._sql.rows(self._sql.made(_registers_of), sessions=unknown):
                self._registers[row[0]] = (row[1], row[2])
                self._stored.add(row[0])
        found = ((session_id, self._registers[session_id]) for session_id in wanted)
        return {session_id: register for session_id, register in found if register is not None}

    def set_register(self, session_id: int, energy_wh: float, at: datetime) -> None:
        self.registers([session_id])
        self._registers[session_id] = (energy_wh, at)
        self._changed.add(session_id)

    def flush(self) -> None:
        """Write what was added up."""
        # Always in the same order, so that two transactions never wait for each other in a circle.
        uses = [_use.row(use) for _, use in sorted(self._uses.items())]
        self._uses.clear()
        self._sql.insert(hourly_use, _use.columns, uses, _ADD)
        registers = [(i, *register) for i in sorted(self._changed) if (register := self._registers[i]) is not None]
        known = [one for one in registers if one[0] in self._stored]
        # One that another worker has begun meanwhile is a conflict: it is read when the work runs again.
        begun = [one for one in registers if one[0] not in self._stored]
        self._sql.insert(session_registers, _REGISTER, known, _REPLACE_REGISTER)
        self._sql.insert(session_registers, _REGISTER, begun, OR_CONFLICT)
        self._stored |= self._changed
        self._changed.clear()
