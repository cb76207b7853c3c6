"""A charger of OCPP 1.6 that boots, charges for a moment and stops."""

import asyncio
from datetime import UTC, datetime

import websockets
from ocpp.v16 import ChargePoint, call
from ocpp.v16.enums import ChargePointErrorCode, ChargePointStatus


def now() -> str:
    return datetime.now(UTC).isoformat()


async def life(charger: ChargePoint) -> None:
    await charger.call(call.BootNotification(charge_point_vendor="Me", charge_point_model="First"))
    await charger.call(
        call.StatusNotification(
            connector_id=1, error_code=ChargePointErrorCode.no_error, status=ChargePointStatus.preparing
        )
    )
    start = call.StartTransaction(connector_id=1, id_tag="MY-CARD", meter_start=1000, timestamp=now())
    transaction_id = (await charger.call(start)).transaction_id
    for register in range(1100, 2100, 100):
        await asyncio.sleep(1)
        value = {"timestamp": now(), "sampledValue": [{"value": str(register), "unit": "Wh"}]}
        await charger.call(call.MeterValues(connector_id=1, transaction_id=transaction_id, meter_value=[value]))
    await charger.call(call.StopTransaction(transaction_id=transaction_id, meter_stop=2000, timestamp=now()))


async def main() -> None:
    address = "ws://127.0.0.1:9000/ocpp/MY-FIRST"
    async with websockets.connect(address, subprotocols=["ocpp1.6"]) as connection:
        charger = ChargePoint("MY-FIRST", connection)
        listening = asyncio.create_task(charger.start())
        await life(charger)
        listening.cancel()


asyncio.run(main())
