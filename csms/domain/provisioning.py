"""What a charger is: its boot notification (1.6 section 4.2; 2.x B01 to B04) and its device model (2.x B07, B08)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from csms.domain.handling import Call, Handled
from csms.domain.messages import NotificationType
from csms.domain.model import ReportedVariable
from csms.domain.payloads import evse_of, integer, mapping, mappings, text
from csms.domain.times import device_time

MAX_VALUE = 2500
"""Characters of a variable's value (2.x ReportingValueSize)."""


def boot_notification_16(call: Call) -> Handled:
    """1.6 section 4.2. Whether the charger may stay was decided at the door; this keeps what it says of itself."""
    payload, charger = call.payload, call.charger
    charger.vendor = text(payload, "chargePointVendor", 50)
    charger.model = text(payload, "chargePointModel", 50)
    charger.serial_number = text(payload, "chargePointSerialNumber", 50) or text(payload, "chargeBoxSerialNumber", 50)
    charger.firmware_version = text(payload, "firmwareVersion", 50)
    charger.iccid = text(payload, "iccid", 30)
    charger.imsi = text(payload, "imsi", 30)
    charger.boot_reason = ""
    return _booted(call)


def boot_notification_2(call: Call) -> Handled:
    """2.x B01 to B04."""
    charger, station = call.charger, mapping(call.payload, "chargingStation")
    modem = mapping(station, "modem")
    charger.vendor = text(station, "vendorName", 50)
    charger.model = text(station, "model", 50)
    charger.serial_number = text(station, "serialNumber", 50)
    charger.firmware_version = text(station, "firmwareVersion", 50)
    charger.iccid = text(modem, "iccid", 30)
    charger.imsi = text(modem, "imsi", 30)
    charger.boot_reason = text(call.payload, "reason", 40)
    return _booted(call)


def notify_report(call: Call) -> Handled:
    """2.x B07, B08: variables of the device model; the last part of a report tells that it is complete."""
    payload = call.payload
    generated = device_time(payload.get("generatedAt"), call.received_at).at
    call.uow.chargers.report(_variables(call.charger.id, payload, generated))
    if payload.get("tbc") is not True:
        call.tell(
            NotificationType.REPORT_RECEIVED,
            requestId=integer(payload, "requestId"),
            parts=(integer(payload, "seqNo") or 0) + 1,
        )
    return call.done()


def _booted(call: Call) -> Handled:
    charger = call.charger
    charger.booted_at = call.received_at
    call.tell(
        NotificationType.CHARGER_BOOTED,
        vendor=charger.vendor,
        model=charger.model,
        serialNumber=charger.serial_number or None,
        firmwareVersion=charger.firmware_version or None,
        reason=charger.boot_reason or None,
    )
    return call.done()


def _variables(charger_id: int, payload: Mapping[str, Any], at: datetime) -> Iterator[ReportedVariable]:
    for data in mappings(payload, "reportData"):
        component, variable = mapping(data, "component"), mapping(data, "variable")
        characteristics = mapping(data, "variableCharacteristics")
        evse_id, connector_id = evse_of(component)
        if not text(component, "name", 50) or not text(variable, "name", 50):
            continue
        for attribute in mappings(data, "variableAttribute"):
            yield ReportedVariable(
                charger_id=charger_id,
                component=text(component, "name", 50),
                component_instance=text(component, "instance", 50),
                evse_id=evse_id,
                connector_id=connector_id,
                variable=text(variable, "name", 50),
                variable_instance=text(variable, "instance", 50),
                attribute=text(attribute, "type", 20) or "Actual",
                value=text(attribute, "value", MAX_VALUE),
                mutability=text(attribute, "mutability", 20),
                data_type=text(characteristics, "dataType", 20),
                unit=text(characteristics, "unit", 16),
                reported_at=at,
            )
