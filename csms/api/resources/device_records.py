"""What was agreed with chargers: settings, lists, reservations, profiles, jobs, certificates and security events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from csms.api.operations import Call, Operation, Run
from csms.api.parameters import Id, Paged
from csms.api.resources.chargers import charger_of
from csms.api.resources.reading import read
from csms.api.views import Page, fields_of
from csms.api.views_devices import (
    AvailabilityView,
    ChargingProfileView,
    CompositeScheduleView,
    ConfigurationView,
    InstalledCertificateView,
    JobStepView,
    JobView,
    LocalListEntryView,
    LocalListView,
    PeriodView,
    Records,
    ReservationView,
    SecurityEventView,
)
from csms.domain.device_records import ChargingProfile, CompositeSchedule, ConfigurationKey, Job, LocalList, Period
from csms.domain.model import Charger
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_devices import Devices

R = TypeVar("R")
V = TypeVar("V")
OF_CHARGER = "/api/v1/chargers/{deviceId}"


class HistoryQuery(Paged, frozen=True):
    """A page of what a charger has."""

    before: Id | None = None


class EventQuery(HistoryQuery, frozen=True):
    """Which security events of a charger."""

    critical: bool | None = None


class AllQuery(HistoryQuery, frozen=True):
    """Which of all chargers'."""

    charger_id: Id | None = None


class AllEventsQuery(EventQuery, frozen=True):
    """Which security events of all chargers."""

    charger_id: Id | None = None


async def show_configuration(call: Call[Any, None]) -> Records[ConfigurationView]:
    """In the order of the keys."""

    def look(uow: UnitOfWork) -> Records[ConfigurationView]:
        charger = charger_of(call, uow)
        keys = sorted(uow.devices.configuration.of(charger.id), key=lambda one: one.key.casefold())
        return Records([_configuration(one, charger) for one in keys])

    return await read(call, "show configuration", look)


async def show_local_list(call: Call[Any, None]) -> LocalListView:
    """The list with its entries; an empty one of version 0 when nothing is known."""

    def look(uow: UnitOfWork) -> LocalListView:
        charger = charger_of(call, uow)
        known = uow.devices.local_lists.of(charger.id)
        entries = [LocalListEntryView(**fields_of(LocalListEntryView, one)) for one in _entries(uow, charger)]
        about = known[0] if known else LocalList(charger_id=charger.id)
        return LocalListView(**fields_of(LocalListView, about), entries=entries)

    return await read(call, "show local list", look)


def _entries(uow: UnitOfWork, charger: Charger) -> Sequence[Any]:
    return sorted(uow.devices.local_list_entries.of(charger.id), key=lambda one: one.id_token.casefold())


def _in_force(name: str, of: Callable[[Devices, int], Sequence[R]], view: Callable[[R], V]) -> Run:
    """Shows all of a kind that a charger has, oldest first."""

    async def show(call: Call[Any, None]) -> Records[V]:
        def look(uow: UnitOfWork) -> Records[V]:
            return Records([view(one) for one in of(uow.devices, charger_of(call, uow).id)])

        return await read(call, name, look)

    return show


def _history(name: str, pages: Callable[[Devices], Callable[..., Sequence[Any]]], view: Callable[[Any, str], V]) -> Run:
    """Shows a page of a kind with a history, newest first: the path's charger's, or those of all."""

    async def show(call: Call[Any, None]) -> Page[V]:
        query = call.query
        limit: int = query.limit
        more = {"critical": query.critical} if isinstance(query, EventQuery) else {}

        def look(uow: UnitOfWork) -> Page[V]:
            charger_id = charger_of(call, uow).id if "deviceId" in call.path else query.charger_id
            page = pages(uow.devices)
            found = page(charger_id=charger_id, before_id=query.before or 0, limit=limit + 1, **more)
            shown = found[:limit]
            device_ids = uow.chargers.device_ids({one.charger_id for one in shown})
            items = [view(one, device_ids.get(one.charger_id, "")) for one in shown]
            return Page(items=items, next=shown[-1].id if len(found) > limit else None)

        return await read(call, name, look)

    return show


def _configuration(record: ConfigurationKey, charger: Charger) -> ConfigurationView:
    fields = fields_of(ConfigurationView, record) | {"reboot_required": record.reboot_required(charger.booted_at)}
    return ConfigurationView(**fields)


def _periods(periods: Sequence[Period]) -> list[PeriodView]:
    return [PeriodView(**fields_of(PeriodView, one)) for one in periods]


def _profile(record: ChargingProfile) -> ChargingProfileView:
    return ChargingProfileView(**fields_of(ChargingProfileView, record) | {"periods": _periods(record.periods)})


def _schedule(record: CompositeSchedule) -> CompositeScheduleView:
    periods = {"reported": _periods(record.reported), "expected": _periods(record.expected)}
    return CompositeScheduleView(**fields_of(CompositeScheduleView, record) | periods)


def _job(record: Job, device_id: str) -> JobView:
    history = [JobStepView(status, at) for status, at in record.history]
    return JobView(**fields_of(JobView, record) | {"history": history, "device_id": device_id})


def _reservation(record: Any, device_id: str) -> ReservationView:
    return ReservationView(**fields_of(ReservationView, record), device_id=device_id)


def _event(record: Any, device_id: str) -> SecurityEventView:
    return SecurityEventView(**fields_of(SecurityEventView, record), device_id=device_id)


def _certificate(record: Any) -> InstalledCertificateView:
    return InstalledCertificateView(**fields_of(InstalledCertificateView, record))


def _wish(record: Any) -> AvailabilityView:
    return AvailabilityView(**fields_of(AvailabilityView, record))


def _row(name: str, path: str, tag: str, summary: str, run: Run, answer: Any, **more: Any) -> Operation:
    return Operation(
        name=name, method="GET", path=path, tag=tag, summary=summary, role=Role.VIEWER, run=run, answer=answer, **more
    )


_reservations = _history("list reservations", lambda devices: devices.reservations.page, _reservation)
_jobs = _history("list jobs", lambda devices: devices.jobs.page, _job)
_events = _history("list security events", lambda devices: devices.security_events.page, _event)

OPERATIONS = (
    _row(
        "showConfiguration",
        f"{OF_CHARGER}/configuration",
        "chargers",
        "Configuration keys as the charger reported them and as they are wanted",
        show_configuration,
        Records[ConfigurationView],
    ),
    _row(
        "showLocalList",
        f"{OF_CHARGER}/local-list",
        "chargers",
        "The charger's local authorization list",
        show_local_list,
        LocalListView,
    ),
    _row(
        "listChargingProfiles",
        f"{OF_CHARGER}/charging-profiles",
        "chargers",
        "Charging profiles in the charger",
        _in_force("list charging profiles", lambda devices, key: devices.charging_profiles.of(key), _profile),
        Records[ChargingProfileView],
    ),
    _row(
        "listCompositeSchedules",
        f"{OF_CHARGER}/composite-schedules",
        "chargers",
        "What the charger last said that it will allow, beside what is expected",
        _in_force("list composite schedules", lambda devices, key: devices.composite_schedules.of(key), _schedule),
        Records[CompositeScheduleView],
    ),
    _row(
        "listInstalledCertificates",
        f"{OF_CHARGER}/certificates",
        "chargers",
        "Certificates in the charger",
        _in_force("list installed certificates", lambda devices, key: devices.certificates.of(key), _certificate),
        Records[InstalledCertificateView],
    ),
    _row(
        "showAvailability",
        f"{OF_CHARGER}/availability",
        "chargers",
        "Which availability was last asked of the charger and its connectors",
        _in_force("show availability", lambda devices, key: devices.availability.of(key), _wish),
        Records[AvailabilityView],
    ),
    _row(
        "listReservationsOfCharger",
        f"{OF_CHARGER}/reservations",
        "chargers",
        "The charger's reservations, newest first",
        _reservations,
        Page[ReservationView],
        query=HistoryQuery,
    ),
    _row(
        "listJobsOfCharger",
        f"{OF_CHARGER}/jobs",
        "chargers",
        "The charger's firmware updates and uploads, newest first",
        _jobs,
        Page[JobView],
        query=HistoryQuery,
    ),
    _row(
        "listSecurityEventsOfCharger",
        f"{OF_CHARGER}/security-events",
        "chargers",
        "The charger's security events, newest first",
        _events,
        Page[SecurityEventView],
        query=EventQuery,
    ),
    _row(
        "listReservations",
        "/api/v1/reservations",
        "reservations",
        "Reservations of all chargers, newest first",
        _reservations,
        Page[ReservationView],
        query=AllQuery,
    ),
    _row(
        "listJobs",
        "/api/v1/jobs",
        "jobs",
        "Firmware updates and uploads of all chargers, newest first",
        _jobs,
        Page[JobView],
        query=AllQuery,
    ),
    _row(
        "listSecurityEvents",
        "/api/v1/security-events",
        "security events",
        "Security events of all chargers, newest first",
        _events,
        Page[SecurityEventView],
        query=AllEventsQuery,
    ),
)
