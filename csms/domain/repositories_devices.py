"""What a unit of work offers for what was agreed with chargers: see :mod:`csms.domain.device_records`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from csms.domain.device_records import (
    ChargingProfile,
    CompositeSchedule,
    ConfigurationKey,
    InstalledCertificate,
    Job,
    LocalList,
    LocalListEntry,
    Reservation,
    SecurityEvent,
    WantedAvailability,
)

R = TypeVar("R")


class DeviceRecords(Protocol[R]):
    """The records of one kind. Those of a charger are few enough to be looked through."""

    def of(self, charger_id: int) -> Sequence[R]:
        """What is in force for the charger, oldest first. Of kinds with a history: without what is over long ago."""
        ...

    def add(self, record: R) -> R:
        """Write a new record, so that it has its ``id``."""
        ...

    def remove(self, record: R) -> None: ...

    def page(self, *, charger_id: int | None = None, before_id: int = 0, limit: int = 100) -> Sequence[R]:
        """All records, history included, newest first; ``before_id`` continues a listing."""
        ...


class Reservations(DeviceRecords[Reservation], Protocol):
    """``of`` gives the active ones."""

    def overdue(self, now: datetime, *, limit: int) -> Sequence[Reservation]:
        """Active ones of all chargers whose time is over, locked against others who ask the same."""
        ...


class SecurityEvents(Protocol):
    """Append-only."""

    def append(self, event: SecurityEvent) -> None: ...

    def page(
        self, *, charger_id: int | None = None, critical: bool | None = None, before_id: int = 0, limit: int = 100
    ) -> Sequence[SecurityEvent]:
        """Newest first."""
        ...


class Devices(Protocol):
    """All of them."""

    @property
    def configuration(self) -> DeviceRecords[ConfigurationKey]: ...
    @property
    def local_lists(self) -> DeviceRecords[LocalList]: ...
    @property
    def local_list_entries(self) -> DeviceRecords[LocalListEntry]: ...
    @property
    def reservations(self) -> Reservations: ...
    @property
    def charging_profiles(self) -> DeviceRecords[ChargingProfile]: ...
    @property
    def composite_schedules(self) -> DeviceRecords[CompositeSchedule]: ...
    @property
    def jobs(self) -> DeviceRecords[Job]:
        """``of`` gives those that are open or failed: a failed one may go on."""
        ...

    @property
    def certificates(self) -> DeviceRecords[InstalledCertificate]: ...
    @property
    def availability(self) -> DeviceRecords[WantedAvailability]: ...
    @property
    def security_events(self) -> SecurityEvents: ...
