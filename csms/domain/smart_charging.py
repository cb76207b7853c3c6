"""Charging profiles: which ones a charger has (1.6 sections 3.13, 5.5, 5.7 and 5.16)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from csms.domain.commands import CommandCall
from csms.domain.composite import MAX_WINDOW_S, TX, Charging, Window, compare, composite
from csms.domain.device_records import ChargingProfile, CompositeSchedule, Period
from csms.domain.handling import Call
from csms.domain.messages import NotificationType
from csms.domain.model import Session
from csms.domain.payloads import MAX_EVSE_ID, bounded, integer, mapping, mappings, number, text
from csms.ocpp.timestamps import parse_timestamp

MAX_PERIODS = 2000
"""Of one schedule: what is read of a request or an answer."""
WAITS_FOR_START = timedelta(hours=1)
"""So long a TxProfile whose transaction is not known waits for one to begin."""


def profile_set(call: CommandCall) -> None:
    """SetChargingProfile: once accepted, it replaces what has its id, or its place, purpose and stack level."""
    if text(call.response, "status", 40) == "Accepted":
        evse_id = bounded(integer(call.request, "connectorId"), MAX_EVSE_ID)
        _set(call, evse_id, mapping(call.request, "csChargingProfiles"))


def remote_start_answered(call: CommandCall) -> None:
    """RemoteStartTransaction: a profile in it is the TxProfile of the transaction that will begin."""
    profile = mapping(call.request, "chargingProfile")
    if profile and text(call.response, "status", 40) == "Accepted":
        _set(call, bounded(integer(call.request, "connectorId"), MAX_EVSE_ID), profile, of_next=True)


def profiles_cleared(call: CommandCall) -> None:
    """ClearChargingProfile: whatever matched is gone; also when the charger knows none of it (``Unknown``)."""
    if text(call.response, "status", 40) not in ("Accepted", "Unknown"):
        return
    request = call.request
    profile_id, evse_id = integer(request, "id"), integer(request, "connectorId")
    purpose, stack_level = text(request, "chargingProfilePurpose", 40), integer(request, "stackLevel")
    for profile in call.uow.devices.charging_profiles.of(call.charger.id):
        if profile_id is not None:
            matches = profile.profile_id == profile_id
        else:
            matches = (
                evse_id in (None, profile.evse_id)
                and purpose in ("", profile.purpose)
                and stack_level in (None, profile.stack_level)
            )
        if matches:
            _remove(call, profile, "cleared")


def composite_reported(call: CommandCall) -> None:
    """GetCompositeSchedule: the charger's answer is kept beside what the profiles that we know of give."""
    response = call.response
    schedule = mapping(response, "chargingSchedule")
    periods = _periods(schedule)
    if text(response, "status", 40) != "Accepted" or not periods:
        return
    evse_id = bounded(integer(call.request, "connectorId"), MAX_EVSE_ID)
    starts_at = _time(response, "scheduleStart") or _time(schedule, "startSchedule") or call.now
    asked_s = integer(call.request, "duration") or 0
    duration_s = min(integer(schedule, "duration") or asked_s, asked_s, MAX_WINDOW_S)
    unit = _unit(schedule)
    window = Window(
        evse_id=evse_id, start=starts_at, duration_s=duration_s, unit=unit, charging=_charging(call, evse_id)
    )
    expected = composite(call.uow.devices.charging_profiles.of(call.charger.id), window)
    schedules = call.uow.devices.composite_schedules
    known = next((one for one in schedules.of(call.charger.id) if one.evse_id == evse_id), None)
    record = known or schedules.add(
        CompositeSchedule(
            charger_id=call.charger.id,
            evse_id=evse_id,
            unit=unit,
            starts_at=starts_at,
            duration_s=duration_s,
            reported_at=call.now,
        )
    )
    record.unit, record.starts_at, record.duration_s, record.reported_at = unit, starts_at, duration_s, call.now
    record.reported, record.expected = periods, expected
    record.comparison = compare(expected, periods, duration_s)
    record.command_id = call.command.command_id
    call.tell(
        NotificationType.COMPOSITE_SCHEDULE_REPORTED,
        evseId=evse_id,
        comparison=record.comparison.value,
        commandId=record.command_id,
    )


def transaction_began(call: Call, session: Session) -> None:
    """The TxProfiles that waited for a transaction on this EVSE belong to it."""
    for profile in call.uow.devices.charging_profiles.of(call.charger.id):
        if profile.purpose != TX or profile.transaction_id or profile.evse_id not in (0, session.evse_id):
            continue
        if call.received_at - profile.set_at > WAITS_FOR_START or session.transaction_id is None:
            _remove(call, profile, "ended")
        else:
            profile.evse_id, profile.transaction_id = session.evse_id, session.transaction_id


def transaction_ended(call: Call, session: Session) -> None:
    """A TxProfile ends with its transaction."""
    for profile in call.uow.devices.charging_profiles.of(call.charger.id):
        if profile.purpose == TX and profile.transaction_id and profile.transaction_id == session.transaction_id:
            _remove(call, profile, "ended")


def _set(call: CommandCall, evse_id: int, given: Mapping[str, Any], *, of_next: bool = False) -> None:
    profiles = call.uow.devices.charging_profiles
    schedule = mapping(given, "chargingSchedule")
    profile = ChargingProfile(
        charger_id=call.charger.id,
        evse_id=evse_id,
        profile_id=integer(given, "chargingProfileId") or 0,
        stack_level=integer(given, "stackLevel") or 0,
        purpose=text(given, "chargingProfilePurpose", 40),
        kind=text(given, "chargingProfileKind", 40),
        recurrency=text(given, "recurrencyKind", 40),
        valid_from=_time(given, "validFrom"),
        valid_to=_time(given, "validTo"),
        unit=_unit(schedule),
        start_schedule=_time(schedule, "startSchedule"),
        duration_s=integer(schedule, "duration"),
        min_rate=number(schedule.get("minChargingRate")),
        periods=_periods(schedule),
        set_at=call.now,
        command_id=call.command.command_id,
    )
    if profile.purpose == TX and not of_next:
        charging = _charging(call, evse_id)
        told = integer(given, "transactionId")
        profile.transaction_id = str(told) if told is not None else charging.transaction_id if charging else ""
    place = (profile.evse_id, profile.purpose, profile.stack_level)
    for other in profiles.of(call.charger.id):
        if other.profile_id == profile.profile_id or (other.evse_id, other.purpose, other.stack_level) == place:
            profiles.remove(other)
    _tell(call, profiles.add(profile), "set")


def _charging(call: CommandCall, evse_id: int) -> Charging | None:
    """The transaction on this EVSE."""
    running = [one for one in call.uow.sessions.active(call.charger.id) if one.evse_id == evse_id != 0]
    session = running[-1] if running else None
    if session is None or session.transaction_id is None:
        return None
    return Charging(transaction_id=session.transaction_id, started_at=session.started_at)


def _periods(schedule: Mapping[str, Any]) -> tuple[Period, ...]:
    found = []
    for one in mappings(schedule, "chargingSchedulePeriod")[:MAX_PERIODS]:
        start, limit = number(one.get("startPeriod")), number(one.get("limit"))
        if start is not None and limit is not None and start >= 0:
            found.append(Period(start, limit, integer(one, "numberPhases")))
    return tuple(sorted(found, key=lambda period: period.start_s))


def _unit(schedule: Mapping[str, Any]) -> str:
    return text(schedule, "chargingRateUnit", 1) or "W"


def _time(source: Mapping[str, Any], name: str) -> datetime | None:
    value = source.get(name)
    return parse_timestamp(value) if isinstance(value, str) else None


def _remove(call: Call | CommandCall, profile: ChargingProfile, change: str) -> None:
    call.uow.devices.charging_profiles.remove(profile)
    _tell(call, profile, change)


def _tell(call: Call | CommandCall, profile: ChargingProfile, change: str) -> None:
    call.tell(
        NotificationType.PROFILES_CHANGED,
        change=change,
        evseId=profile.evse_id,
        profileId=profile.profile_id,
        purpose=profile.purpose,
        stackLevel=profile.stack_level,
        transactionId=profile.transaction_id or None,
    )
