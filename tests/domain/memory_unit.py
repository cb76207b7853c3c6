"""A unit of work in dictionaries: as much of the protocols as handlers use, with the same rules about repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Generic, Protocol, TypeVar, cast

from msgspec.structs import replace as changed

from csms.domain.device_records import (
    ChargingProfile,
    CompositeSchedule,
    ConfigurationKey,
    InstalledCertificate,
    Job,
    JobState,
    LocalList,
    LocalListEntry,
    Reservation,
    ReservationState,
    SecurityEvent,
    WantedAvailability,
)
from csms.domain.model import (
    Charger,
    Connector,
    IdToken,
    ReportedVariable,
    Sample,
    Session,
    SessionState,
    TransactionEventRecord,
)
from csms.domain.repositories import UnitOfWork
from tests.domain.memory_commands import MemoryCommands
from tests.domain.memory_tokens import MemoryDeviations, MemoryGroups, MemoryUnknownTokens

T = TypeVar("T")


class Unit(Protocol):
    """What a test's charger needs of a place where things are kept; a database can be one, too."""

    def run(self, work: Callable[[UnitOfWork], T]) -> T:
        """The result of ``work``, in a transaction of its own."""
        ...

    def sessions_of(self, charger_id: int) -> list[Session]:
        """Oldest first."""
        ...

    def samples_of(self, charger_id: int) -> list[Sample]:
        """In the order of their arrival."""
        ...


@dataclass
class MemoryChargers:
    by_id: dict[int, Charger] = field(default_factory=dict)
    places: dict[tuple[int, int, int], Connector] = field(default_factory=dict)
    variables: dict[tuple[object, ...], ReportedVariable] = field(default_factory=dict)

    def get(self, charger_id: int) -> Charger | None:
        return self.by_id.get(charger_id)

    def add(self, charger: Charger) -> Charger:
        charger.id = len(self.by_id) + 1
        self.by_id[charger.id] = charger
        return charger

    def connector(self, charger_id: int, evse_id: int, connector_id: int) -> Connector:
        place = (charger_id, evse_id, connector_id)
        return self.places.setdefault(
            place, Connector(charger_id=charger_id, evse_id=evse_id, connector_id=connector_id)
        )

    def connectors(self, charger_ids: Iterable[int]) -> Sequence[Connector]:
        wanted = set(charger_ids)
        return [connector for place, connector in sorted(self.places.items()) if place[0] in wanted]

    def device_ids(self, charger_ids: Iterable[int]) -> Mapping[int, str]:
        return {one: self.by_id[one].device_id for one in charger_ids if one in self.by_id}

    def connected(self, charger_ids: Iterable[int]) -> frozenset[int]:
        wanted = set(charger_ids)
        return frozenset(charger.id for charger in self.by_id.values() if charger.connected and charger.id in wanted)

    def connected_through(self, gateway: str) -> Sequence[Charger]:
        return [charger for charger in self.by_id.values() if charger.connected and charger.gateway == gateway]

    def report(self, variables: Iterable[ReportedVariable]) -> None:
        for one in variables:
            place = (one.charger_id, one.component, one.component_instance, one.evse_id, one.connector_id)
            self.variables[*place, one.variable, one.variable_instance, one.attribute] = one


@dataclass
class MemorySessions:
    rows: dict[int, Session] = field(default_factory=dict)
    events: set[tuple[int, str, int]] = field(default_factory=set)
    measured: dict[Sample, Sample] = field(default_factory=dict)

    def by_transaction(self, charger_id: int, transaction_id: str) -> Session | None:
        wanted = (charger_id, transaction_id)
        return next((row for row in self.rows.values() if (row.charger_id, row.transaction_id) == wanted), None)

    def by_start_key(self, charger_id: int, start_key: str) -> Session | None:
        wanted = (charger_id, start_key)
        return next((row for row in self.rows.values() if (row.charger_id, row.start_key) == wanted), None)

    def by_stop_key(self, charger_id: int, stop_key: str) -> Session | None:
        wanted = (charger_id, stop_key)
        return next((row for row in self.rows.values() if (row.charger_id, row.stop_key) == wanted), None)

    def active(self, charger_id: int) -> Sequence[Session]:
        return [row for row in self.rows.values() if row.charger_id == charger_id and row.state is SessionState.ACTIVE]

    def active_with_token(self, id_token: str) -> Sequence[Session]:
        wanted = id_token.casefold()
        active = (row for row in self.rows.values() if row.state is SessionState.ACTIVE)
        return [row for row in active if row.id_token.casefold() == wanted]

    def runs_elsewhere(self, charger_id: int, transaction_id: str) -> bool:
        active = (row for row in self.rows.values() if row.state is SessionState.ACTIVE)
        return any(row.transaction_id == transaction_id and row.charger_id != charger_id for row in active)

    def active_with_group(self, group: str) -> Sequence[Session]:
        wanted = group.casefold()
        active = (row for row in self.rows.values() if row.state is SessionState.ACTIVE)
        return [row for row in active if row.group_id_token.casefold() == wanted]

    def add(self, session: Session) -> Session:
        existing = self.by_start_key(session.charger_id, session.start_key)
        if existing is not None:
            return existing
        session.id = len(self.rows) + 1
        self.rows[session.id] = session
        return session

    def first_time(self, event: TransactionEventRecord) -> bool:
        key = (event.charger_id, event.transaction_id, event.seq_no)
        if key in self.events:
            return False
        self.events.add(key)
        return True

    def page(
        self, *, active: bool | None = None, charger_id: int | None = None, before_id: int = 0, limit: int = 100
    ) -> Sequence[Session]:
        rows = [
            row
            for row in reversed(self.rows.values())
            if (active is None or active == (row.state is SessionState.ACTIVE))
            and charger_id in (None, row.charger_id)
            and (before_id == 0 or row.id < before_id)
        ]
        return rows[:limit]

    def add_samples(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            key = changed(sample, value=None, unit="", raw_value="", received_at=sample.sampled_at)
            self.measured.setdefault(key, sample)


@dataclass
class MemoryTokens:
    by_token: dict[str, IdToken] = field(default_factory=dict)

    def get(self, token: str) -> IdToken | None:
        return self.by_token.get(token.casefold())

    def add(self, token: IdToken) -> IdToken:
        return self.by_token.setdefault(token.token.casefold(), token)


class Owned(Protocol):
    id: int
    charger_id: int


R = TypeVar("R", bound=Owned)


def _always(_: object) -> bool:
    return True


def _goes_on(job: Job) -> bool:
    return job.state in (JobState.ACCEPTED, JobState.RUNNING, JobState.FAILED)


@dataclass
class MemoryRecords(Generic[R]):
    in_force: Callable[[R], bool] = _always
    rows: dict[int, R] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def of(self, charger_id: int) -> Sequence[R]:
        return [row for row in self.rows.values() if row.charger_id == charger_id and self.in_force(row)]

    def add(self, record: R) -> R:
        record.id = next(self.numbers)
        self.rows[record.id] = record
        return record

    def remove(self, record: R) -> None:
        del self.rows[record.id]

    def page(self, *, charger_id: int | None = None, before_id: int = 0, limit: int = 100) -> Sequence[R]:
        rows = [row for row in reversed(self.rows.values()) if charger_id in (None, row.charger_id)]
        return [row for row in rows if before_id == 0 or row.id < before_id][:limit]


class MemoryReservations(MemoryRecords[Reservation]):
    def overdue(self, now: datetime, *, limit: int) -> Sequence[Reservation]:
        return [row for row in self.rows.values() if self.in_force(row) and row.expires_at <= now][:limit]


class MemoryEvents(list[SecurityEvent]):
    def page(
        self, *, charger_id: int | None = None, critical: bool | None = None, before_id: int = 0, limit: int = 100
    ) -> Sequence[SecurityEvent]:
        wanted = (one for one in reversed(self) if charger_id in (None, one.charger_id))
        return [one for one in wanted if critical in (None, one.critical)][:limit]


@dataclass
class MemoryDevices:
    configuration: MemoryRecords[ConfigurationKey] = field(default_factory=MemoryRecords)
    local_lists: MemoryRecords[LocalList] = field(default_factory=MemoryRecords)
    local_list_entries: MemoryRecords[LocalListEntry] = field(default_factory=MemoryRecords)
    reservations: MemoryReservations = field(
        default_factory=lambda: MemoryReservations(lambda row: row.state is ReservationState.ACTIVE)
    )
    charging_profiles: MemoryRecords[ChargingProfile] = field(default_factory=MemoryRecords)
    composite_schedules: MemoryRecords[CompositeSchedule] = field(default_factory=MemoryRecords)
    jobs: MemoryRecords[Job] = field(default_factory=lambda: MemoryRecords(_goes_on))
    certificates: MemoryRecords[InstalledCertificate] = field(default_factory=MemoryRecords)
    availability: MemoryRecords[WantedAvailability] = field(default_factory=MemoryRecords)
    security_events: MemoryEvents = field(default_factory=MemoryEvents)


@dataclass
class MemoryUnit:
    """One for all of a test: nothing is ever rolled back."""

    chargers: MemoryChargers = field(default_factory=MemoryChargers)
    sessions: MemorySessions = field(default_factory=MemorySessions)
    id_tokens: MemoryTokens = field(default_factory=MemoryTokens)
    commands: MemoryCommands = field(default_factory=MemoryCommands)
    devices: MemoryDevices = field(default_factory=MemoryDevices)
    token_groups: MemoryGroups = field(default_factory=MemoryGroups)
    unknown_tokens: MemoryUnknownTokens = field(default_factory=MemoryUnknownTokens)
    deviations: MemoryDeviations = field(default_factory=MemoryDeviations)

    def as_unit_of_work(self) -> UnitOfWork:
        return cast(UnitOfWork, self)

    def run(self, work: Callable[[UnitOfWork], T]) -> T:
        return work(self.as_unit_of_work())

    def sessions_of(self, charger_id: int) -> list[Session]:
        return [row for row in self.sessions.rows.values() if row.charger_id == charger_id]

    def samples_of(self, charger_id: int) -> list[Sample]:
        return [one for one in self.sessions.measured.values() if one.charger_id == charger_id]
