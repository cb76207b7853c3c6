"""Firmware, logs, security and monitored events: what a charger tells of its inner life.

1.6 sections 4.4, 4.5 and the Security Whitepaper; 2.x L01, N01, N07, A04.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csms.domain.availability import Reported, report
from csms.domain.device_records import JobKind, SecurityEvent
from csms.domain.handling import Call, Handled
from csms.domain.jobs import job_status
from csms.domain.messages import NotificationType
from csms.domain.payloads import evse_of, integer, mapping, mappings, text
from csms.domain.times import device_time
from csms.ocpp.versions import Version

CRITICAL_EVENTS = frozenset(
    {
        *("FirmwareUpdated", "SettingSystemTime", "StartupOfTheDevice", "ResetOrReboot", "SecurityLogWasCleared"),
        *("MemoryExhaustion", "TamperDetectionActivated"),
    }
)
"""By the list of security events in the Security Whitepaper; 2.x calls these critical, too."""
CRITICAL_EVENTS_2 = CRITICAL_EVENTS | {"InvalidFirmwareSignature", "MaintenanceLoginAccepted", "MaintenanceLoginFailed"}
"""By the appendix of 2.x."""


def firmware_status(call: Call) -> Handled:
    """The firmware job goes on (FirmwareStatusNotification, 1.6 SignedFirmwareStatusNotification)."""
    status, previous = text(call.payload, "status", 40), call.charger.firmware_status
    if status and status != previous:
        call.charger.firmware_status = status
        call.tell(
            NotificationType.FIRMWARE_STATUS_CHANGED,
            status=status,
            previousStatus=previous or None,
            requestId=integer(call.payload, "requestId"),
        )
    job_status(call, JobKind.FIRMWARE)
    return call.done()


def diagnostics_status(call: Call) -> Handled:
    """The diagnostics job goes on (1.6 DiagnosticsStatusNotification)."""
    return _upload_status(call, JobKind.DIAGNOSTICS)


def log_status(call: Call) -> Handled:
    """The log job goes on (LogStatusNotification)."""
    return _upload_status(call, JobKind.LOG)


def _upload_status(call: Call, kind: JobKind) -> Handled:
    status, previous = text(call.payload, "status", 40), call.charger.diagnostics_status
    if status and status != previous:
        call.charger.diagnostics_status = status
        call.tell(
            NotificationType.DIAGNOSTICS_STATUS_CHANGED,
            status=status,
            previousStatus=previous or None,
            requestId=integer(call.payload, "requestId"),
        )
    job_status(call, kind)
    return call.done()


def security_event(call: Call) -> Handled:
    """SecurityEventNotification (1.6 Security Whitepaper section 5, 2.x A04): kept for good."""
    critical = CRITICAL_EVENTS if call.message.ocpp_version == Version.V16.value else CRITICAL_EVENTS_2
    event = SecurityEvent(
        charger_id=call.charger.id,
        message_id=call.message.message_id,
        type=text(call.payload, "type", 50),
        tech_info=text(call.payload, "techInfo", 255),
        critical=text(call.payload, "type", 50) in critical,
        occurred_at=device_time(call.payload.get("timestamp"), call.received_at).at,
        received_at=call.received_at,
    )
    call.uow.devices.security_events.append(event)
    call.tell(
        NotificationType.SECURITY_EVENT,
        event=event.type,
        info=event.tech_info or None,
        critical=event.critical,
        occurredAt=event.occurred_at,
    )
    return call.done()


def notify_event(call: Call) -> Handled:
    """2.x N07, and G01's other way to report a connector's status: a change of its AvailabilityState."""
    for event in mappings(call.payload, "eventData"):
        component, variable = mapping(event, "component"), mapping(event, "variable")
        names = (text(component, "name", 50).casefold(), text(variable, "name", 50).casefold())
        if names == ("connector", "availabilitystate"):
            _connector_status(call, event, component)
        elif event.get("trigger") == "Alerting" and event.get("cleared") is not True:
            evse_id, connector_id = evse_of(component)
            call.tell(
                NotificationType.ERROR_OCCURRED,
                evseId=evse_id,
                connectorId=connector_id,
                errorCode=text(event, "techCode", 50) or None,
                component=text(component, "name", 50),
                variable=text(variable, "name", 50),
                value=text(event, "actualValue", 500),
                info=text(event, "techInfo", 500) or None,
                occurredAt=device_time(event.get("timestamp"), call.received_at).at,
            )
    return call.done()


def _connector_status(call: Call, event: Mapping[str, Any], component: Mapping[str, Any]) -> None:
    evse_id, connector_id = evse_of(component)
    if evse_id and connector_id:
        at = device_time(event.get("timestamp"), call.received_at).at
        status = text(event, "actualValue", 40)
        report(call, Reported(evse_id=evse_id, connector_id=connector_id, status=status, at=at))
