"""Messages of chargers as a gateway publishes them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from csms.domain.messages import ChargerMessage, encode
from csms.domain.model import Charger
from csms.domain.topology import SHARD_HEADER, gateway_queue, shard_of
from csms.ports import Message

BEGIN = datetime(2026, 11, 23, 10, 45, tzinfo=UTC)
GATEWAY = "gw1"
_numbers = itertools.count(1)


def call(
    charger: Charger, action: str, payload: dict[str, Any], *, at: datetime = BEGIN, version: str = "1.6"
) -> ChargerMessage:
    """A CALL."""
    number = next(_numbers)
    return ChargerMessage(
        device_id=charger.device_id,
        charger_id=charger.id,
        message_type=action,
        payload=payload,
        timestamp=at,
        raw_data=f'[2,"{number}","{action}",...]',
        message_id=f"019a0000{number:04x}-{number:012x}",
        unique_id=str(number),
        connection_id="019a00000000-00000000000c",
        ocpp_version=version,
        gateway=GATEWAY,
    )


def start(charger: Charger, *, at: datetime = BEGIN, connector: int = 1, meter_wh: int = 1000) -> ChargerMessage:
    """StartTransaction."""
    payload = {
        "connectorId": connector,
        "idTag": "CARD-1",
        "meterStart": meter_wh,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
    }
    return call(charger, "StartTransaction", payload, at=at)


def stop(charger: Charger, transaction_id: int, *, at: datetime, meter_wh: int) -> ChargerMessage:
    """StopTransaction."""
    payload = {
        "transactionId": transaction_id,
        "meterStop": meter_wh,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "reason": "Local",
    }
    return call(charger, "StopTransaction", payload, at=at)


def meter(charger: Charger, transaction_id: int, *, at: datetime, energy_wh: int, power_w: int) -> ChargerMessage:
    """MeterValues with a register and a power."""
    value = {
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "sampledValue": [
            {"value": str(energy_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": str(power_w), "measurand": "Power.Active.Import", "unit": "W"},
        ],
    }
    payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [value]}
    return call(charger, "MeterValues", payload, at=at)


def status(charger: Charger, word: str, *, number: int = 0) -> ChargerMessage:
    """StatusNotification of connector 1; ``number`` makes ``info`` and the time differ."""
    at = BEGIN + timedelta(seconds=number)
    payload = {
        "connectorId": 1,
        "errorCode": "NoError",
        "status": word,
        "info": str(number),
        "timestamp": at.isoformat().replace("+00:00", "Z"),
    }
    return call(charger, "StatusNotification", payload, at=at)


def on_broker(message: ChargerMessage, *, shards: int = 1) -> Message:
    """The message as the gateway publishes it."""
    return Message(
        body=encode(message),
        message_id=message.message_id,
        type=message.message_type,
        headers={SHARD_HEADER: shard_of(message.device_id, shards)},
        reply_to=gateway_queue(message.gateway),
        correlation_id=message.message_id,
        timestamp=message.timestamp,
    )
