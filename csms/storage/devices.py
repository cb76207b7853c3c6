"""What was agreed with chargers: one repository for all kinds of records, and what is special about some."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property, partial
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Select, exists, select, true

from csms.domain.device_records import (
    ChargingProfile,
    Comparison,
    CompositeSchedule,
    ConfigurationKey,
    InstalledCertificate,
    Job,
    JobKind,
    JobState,
    LocalList,
    LocalListEntry,
    Period,
    Reservation,
    ReservationState,
    SecurityEvent,
    WantedAvailability,
    WishState,
)
from csms.storage import tables_devices as tables
from csms.storage.keys import digest, folded
from csms.storage.sql import OR_CONFLICT, Clauses, Sql
from csms.storage.tracking import Shape, Tracked


class Owned(Protocol):
    """A record of a charger."""

    id: int
    charger_id: int


R = TypeVar("R", bound=Owned)
_Kind = tuple[Shape[Any], ColumnElement[bool]]
_by_id = attrgetter("id")


def _periods_text(periods: tuple[Period, ...]) -> str:
    return msgspec.json.encode([(one.start_s, one.limit, one.phases) for one in periods]).decode()


def _periods(text: str) -> tuple[Period, ...]:
    return tuple(Period(*one) for one in msgspec.json.decode(text))


def _history_text(history: tuple[tuple[str, str], ...]) -> str:
    return msgspec.json.encode(history).decode()


def _history(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((status, at) for status, at in msgspec.json.decode(text))


_configuration = Shape(
    ConfigurationKey, tables.configuration_keys, derived={"name_key": lambda record: folded(record.key)}
)
_list = Shape(LocalList, tables.local_lists)
_entry = Shape(
    LocalListEntry,
    tables.local_list_entries,
    derived={"id_token_key": lambda record: digest(folded(record.id_token))},
)
_reservation = Shape(Reservation, tables.reservations, loaded={"state": ReservationState})
_profile = Shape(
    ChargingProfile, tables.charging_profiles, stored={"periods": _periods_text}, loaded={"periods": _periods}
)
_schedule = Shape(
    CompositeSchedule,
    tables.composite_schedules,
    stored={"reported": _periods_text, "expected": _periods_text},
    loaded={"reported": _periods, "expected": _periods, "comparison": Comparison},
)
_job = Shape(
    Job,
    tables.jobs,
    stored={"history": _history_text},
    loaded={"history": _history, "kind": JobKind, "state": JobState},
)
_certificate = Shape(InstalledCertificate, tables.installed_certificates)
_availability = Shape(WantedAvailability, tables.wanted_availability, loaded={"state": WishState})
_event = Shape(SecurityEvent, tables.security_events)

_GOING_ON = (JobState.ACCEPTED, JobState.RUNNING, JobState.FAILED)
_is_going_on = tables.jobs.c.state.in_([state.value for state in _GOING_ON])
_is_active = tables.reservations.c.state == ReservationState.ACTIVE.value


def _of_chargers(clauses: Clauses, shape: Shape[Any], condition: ColumnElement[bool]) -> Select[Any]:
    return shape.query().where(clauses.any_of(shape.table.c.charger_id, "chargers"), condition)


def _which(clauses: Clauses, *kinds: _Kind) -> Select[Any]:
    """Of each kind whether there is any for the chargers in the parameter of its number."""
    questions: list[ColumnElement[Any]] = [
        exists().where(clauses.any_of(shape.table.c.charger_id, f"chargers_{number}"), condition).label(f"any_{number}")
        for number, (shape, condition) in enumerate(kinds)
    ]
    return select(*questions)


class SqlDeviceRecords(Generic[R]):
    """Implements :class:`csms.domain.repositories_devices.DeviceRecords`.

    Queries only load; the answer is always looked up among the records in memory, where changes of this transaction
    show that are not written yet.
    """

    def __init__(
        self,
        sql: Sql,
        shape: Shape[R],
        in_force: Callable[[R], bool] = lambda _: True,
        condition: ColumnElement[bool] | None = None,
    ) -> None:
        self._sql = sql
        self._shape = shape
        self._in_force = in_force
        self._condition = true() if condition is None else condition
        self._by_charger: defaultdict[int, dict[int, R]] = defaultdict(dict)
        self._complete: set[int] = set()
        self._removed: list[int] = []
        self._records: Tracked[R] = Tracked(sql, shape, partial(_index, self._by_charger))

    def of(self, charger_id: int) -> Sequence[R]:
        self.load([charger_id])
        found = self._by_charger[charger_id].values()
        return sorted((record for record in found if self._in_force(record)), key=_by_id)

    def add(self, record: R) -> R:
        return self._records.add(record)

    def remove(self, record: R) -> None:
        self._records.forget(record.id)
        self._by_charger[record.charger_id].pop(record.id, None)
        self._removed.append(record.id)

    def page(self, *, charger_id: int | None = None, before_id: int = 0, limit: int = 100) -> Sequence[R]:
        self.flush()
        columns = self._shape.table.c
        query = self._shape.query().order_by(columns.id.desc()).limit(limit)
        if charger_id is not None:
            query = query.where(columns.charger_id == charger_id)
        if before_id:
            query = query.where(columns.id < before_id)
        return self._records.fetch(query)

    @property
    def kind(self) -> _Kind:
        """What :meth:`load` looks for."""
        return self._shape, self._condition

    def missing(self, charger_ids: Iterable[int]) -> set[int]:
        """Those of the chargers whose records were not fetched."""
        return set(charger_ids) - self._complete

    def none_of(self, charger_ids: Iterable[int]) -> None:
        """These are known to have nothing in force."""
        self._complete.update(charger_ids)

    def load(self, charger_ids: Iterable[int]) -> None:
        """Fetch what is in force for these in one query."""
        wanted = self.missing(charger_ids)
        if wanted:
            self._complete |= wanted
            self._records.fetch(self._sql.made(_of_chargers, self._shape, self._condition), chargers=wanted)

    def flush(self) -> None:
        """Write what is new, what changed, and what is gone."""
        self._delete()
        self._records.flush()

    def _delete(self) -> None:
        gone, self._removed = self._removed, []
        self._sql.delete(self._shape.table, gone)


def _index(by_charger: defaultdict[int, dict[int, R]], record: R) -> None:
    by_charger[record.charger_id][record.id] = record


class SqlReservations(SqlDeviceRecords[Reservation]):
    """Implements :class:`csms.domain.repositories_devices.Reservations`."""

    def __init__(self, sql: Sql) -> None:
        super().__init__(sql, _reservation, lambda one: one.state is ReservationState.ACTIVE, _is_active)

    def overdue(self, now: datetime, *, limit: int) -> Sequence[Reservation]:
        self.flush()
        expires_at = tables.reservations.c.expires_at
        query = _reservation.query().where(self._condition, expires_at <= now).order_by(expires_at).limit(limit)
        found = self._records.fetch(query.with_for_update(skip_locked=True))
        return [one for one in found if one.state is ReservationState.ACTIVE]


class SqlSecurityEvents:
    """Implements :class:`csms.domain.repositories_devices.SecurityEvents`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._new: list[SecurityEvent] = []

    def append(self, event: SecurityEvent) -> None:
        self._new.append(event)

    def page(
        self, *, charger_id: int | None = None, critical: bool | None = None, before_id: int = 0, limit: int = 100
    ) -> Sequence[SecurityEvent]:
        self.flush()
        columns = tables.security_events.c
        query = _event.query().order_by(columns.id.desc()).limit(limit)
        if charger_id is not None:
            query = query.where(columns.charger_id == charger_id)
        if critical is not None:
            query = query.where(columns.critical.is_(critical))
        if before_id:
            query = query.where(columns.id < before_id)
        return [_event.record(row) for row in self._sql.rows(query)]

    def flush(self) -> None:
        """Write what was appended."""
        new, self._new = self._new, []
        rows = [_event.row(replace(event, id=self._sql.new_id(tables.security_events))) for event in new]
        self._sql.insert(tables.security_events, _event.columns, rows, OR_CONFLICT)


class SqlDevices:
    """Implements :class:`csms.domain.repositories_devices.Devices`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    @cached_property
    def configuration(self) -> SqlDeviceRecords[ConfigurationKey]:
        return SqlDeviceRecords(self._sql, _configuration)

    @cached_property
    def local_lists(self) -> SqlDeviceRecords[LocalList]:
        return SqlDeviceRecords(self._sql, _list)

    @cached_property
    def local_list_entries(self) -> SqlDeviceRecords[LocalListEntry]:
        return SqlDeviceRecords(self._sql, _entry)

    @cached_property
    def reservations(self) -> SqlReservations:
        return SqlReservations(self._sql)

    @cached_property
    def charging_profiles(self) -> SqlDeviceRecords[ChargingProfile]:
        return SqlDeviceRecords(self._sql, _profile)

    @cached_property
    def composite_schedules(self) -> SqlDeviceRecords[CompositeSchedule]:
        return SqlDeviceRecords(self._sql, _schedule)

    @cached_property
    def jobs(self) -> SqlDeviceRecords[Job]:
        return SqlDeviceRecords(self._sql, _job, lambda job: job.state in _GOING_ON, _is_going_on)

    @cached_property
    def certificates(self) -> SqlDeviceRecords[InstalledCertificate]:
        return SqlDeviceRecords(self._sql, _certificate)

    @cached_property
    def availability(self) -> SqlDeviceRecords[WantedAvailability]:
        return SqlDeviceRecords(self._sql, _availability)

    @cached_property
    def security_events(self) -> SqlSecurityEvents:
        return SqlSecurityEvents(self._sql)

    def load(self, *, with_status: Iterable[int], with_bounds: Iterable[int]) -> None:
        """Fetch what statuses of connectors, and the beginnings and ends of transactions, may change.

        Few chargers have any of it: one query tells which kinds there are.
        """
        kinds: tuple[tuple[SqlDeviceRecords[Any], Iterable[int]], ...] = (
            (self.availability, with_status),
            (self.reservations, {*with_status, *with_bounds}),
            (self.charging_profiles, with_bounds),
        )
        asked = [(records, ids) for records, wanted in kinds if (ids := records.missing(wanted))]
        if not asked:
            return
        statement = self._sql.made(_which, *(records.kind for records, _ in asked))
        [found] = self._sql.rows(statement, **{f"chargers_{number}": ids for number, (_, ids) in enumerate(asked)})
        for (records, ids), is_there in zip(asked, found, strict=True):
            if is_there:
                records.load(ids)
            else:
                records.none_of(ids)

    def flush(self) -> None:
        """Write everything that is not written yet, always in the same order."""
        for name in sorted(self.__dict__):
            if name != "_sql":
                getattr(self, name).flush()
