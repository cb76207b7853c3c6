"""Chargers that are not ours: the ``ocpp`` package's own asyncio ChargePoint over the ``websockets`` package."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import ocpp.v16
import ocpp.v16.call as call16
import ocpp.v201
import ocpp.v201.call as call201
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

METER_START_WH = 12_000
METER_STOP_WH = 19_500


@dataclass(frozen=True, slots=True)
class Account:
    """A charger's identity and password, and the address of its gateway."""

    device_id: str
    password: str
    gateway_port: int


@asynccontextmanager
async def charger_16(account: Account) -> AsyncIterator[ocpp.v16.ChargePoint]:
    """A connected 1.6 charger."""
    async with _connected(account, "ocpp1.6", ocpp.v16.ChargePoint) as charger:
        yield charger


@asynccontextmanager
async def charger_201(account: Account) -> AsyncIterator[ocpp.v201.ChargePoint]:
    """A connected 2.0.1 charger."""
    async with _connected(account, "ocpp2.0.1", ocpp.v201.ChargePoint) as charger:
        yield charger


async def charge_16(charger: Any, token: str) -> dict[str, Any]:
    """Boot, authorize, start, meter, stop; what csms answered to each."""
    answers: dict[str, Any] = {}
    answers["boot"] = await charger.call(
        call16.BootNotification(charge_point_vendor="Other", charge_point_model="One", firmware_version="1.0")
    )
    await charger.call(call16.StatusNotification(connector_id=1, error_code="NoError", status="Available"))
    answers["authorize"] = await charger.call(call16.Authorize(id_tag=token))
    await charger.call(call16.StatusNotification(connector_id=1, error_code="NoError", status="Preparing"))
    answers["start"] = await charger.call(
        call16.StartTransaction(connector_id=1, id_tag=token, meter_start=METER_START_WH, timestamp=now())
    )
    transaction = answers["start"].transaction_id
    await charger.call(call16.StatusNotification(connector_id=1, error_code="NoError", status="Charging"))
    answers["meter"] = await charger.call(
        call16.MeterValues(
            connector_id=1,
            transaction_id=transaction,
            meter_value=[
                {
                    "timestamp": now(),
                    "sampledValue": [
                        {"value": "15.5", "measurand": "Energy.Active.Import.Register", "unit": "kWh"},
                        {"value": "7400", "measurand": "Power.Active.Import", "unit": "W"},
                    ],
                }
            ],
        )
    )
    answers["stop"] = await charger.call(
        call16.StopTransaction(
            transaction_id=transaction, meter_stop=METER_STOP_WH, timestamp=now(), id_tag=token, reason="EVDisconnected"
        )
    )
    await charger.call(call16.StatusNotification(connector_id=1, error_code="NoError", status="Available"))
    return answers


async def charge_201(charger: Any, token: str, transaction: str) -> dict[str, Any]:
    """The same by 2.0.1."""
    id_token = {"id_token": token, "type": "ISO14443"}
    evse = {"id": 1, "connector_id": 1}
    answers: dict[str, Any] = {}
    answers["boot"] = await charger.call(
        call201.BootNotification(charging_station={"vendor_name": "Other", "model": "Two"}, reason="PowerUp")
    )
    await charger.call(_status_201("Available"))
    answers["authorize"] = await charger.call(call201.Authorize(id_token=id_token))
    answers["start"] = await charger.call(
        _event_201(
            "Started",
            "Authorized",
            0,
            transaction,
            METER_START_WH,
            id_token=id_token,
            evse=evse,
        )
    )
    await charger.call(_status_201("Occupied"))
    answers["meter"] = await charger.call(
        _event_201("Updated", "MeterValuePeriodic", 1, transaction, 15_500, charging_state="Charging", power_w=7400)
    )
    answers["stop"] = await charger.call(
        _event_201("Ended", "EVCommunicationLost", 2, transaction, METER_STOP_WH, stopped_reason="EVDisconnected")
    )
    await charger.call(_status_201("Available"))
    return answers


def now() -> str:
    """The time in OCPP's format."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _status_201(status: str) -> Any:
    return call201.StatusNotification(timestamp=now(), connector_status=status, evse_id=1, connector_id=1)


def _event_201(
    kind: str,
    reason: str,
    number: int,
    transaction: str,
    meter_wh: int,
    *,
    charging_state: str | None = None,
    stopped_reason: str | None = None,
    power_w: int | None = None,
    **more: Any,
) -> Any:
    info = {"transaction_id": transaction, "charging_state": charging_state, "stopped_reason": stopped_reason}
    context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Sample.Periodic")
    values: list[dict[str, Any]] = [
        {"value": meter_wh, "measurand": "Energy.Active.Import.Register", "context": context}
    ]
    if power_w is not None:
        values.append({"value": power_w, "measurand": "Power.Active.Import"})
    return call201.TransactionEvent(
        event_type=kind,
        timestamp=now(),
        trigger_reason=reason,
        seq_no=number,
        transaction_info={name: value for name, value in info.items() if value is not None},
        meter_value=[{"timestamp": now(), "sampled_value": values}],
        **more,
    )


@asynccontextmanager
async def _connected(account: Account, subprotocol: str, kind: Any) -> AsyncIterator[Any]:
    credentials = base64.b64encode(f"{account.device_id}:{account.password}".encode()).decode()
    async with connect(
        f"ws://127.0.0.1:{account.gateway_port}/ocpp/{account.device_id}",
        subprotocols=[Subprotocol(subprotocol)],
        additional_headers={"Authorization": f"Basic {credentials}"},
    ) as socket:
        charger = kind(account.device_id, socket)
        listening = asyncio.create_task(charger.start())
        try:
            yield charger
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
