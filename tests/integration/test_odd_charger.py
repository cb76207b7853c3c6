"""An odd charger from its socket to the interface: understood, recorded, and refused where nobody tolerates it."""

from __future__ import annotations

import asyncio
import base64
import json
import unittest
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.integration.people import get, sign_in
from tests.integration.site import ScaledOut
from tests.servers.daemon import wait_until

STATUS = {"connectorId": "1", "status": "available", "rssi": -70}
START = {"connectorId": 1, "idTag": "STRANGER", "meterStart": "1000"}
TEMPERATURE = {"value": 21.5, "measurand": "Temperature", "unit": "Celcius"}
EXPECTED = {
    ("missing", "BootNotification", "$.chargePointVendor"),
    ("long-text", "BootNotification", "$.chargePointSerialNumber"),
    ("missing", "StatusNotification", "$.errorCode"),
    ("number-as-text", "StatusNotification", "$.connectorId"),
    ("enum-case", "StatusNotification", "$.status"),
    ("extra-member", "StatusNotification", "$"),
    ("number-as-text", "StartTransaction", "$.meterStart"),
    ("lone-object", "MeterValues", "$.meterValue"),
    ("text-as-number", "MeterValues", "$.meterValue[*].sampledValue[*].value"),
    ("spelling", "MeterValues", "$..unit"),
}


async def call(socket: ClientConnection, unique_id: str, action: str, payload: object) -> list[Any]:
    """The answering frame."""
    await socket.send(json.dumps([2, unique_id, action, payload]))
    answer: list[Any] = json.loads(await asyncio.wait_for(socket.recv(), 15))
    return answer


class OddChargerTests(unittest.IsolatedAsyncioTestCase):
    async def test_what_is_tolerated_has_its_effect_and_is_shown(self) -> None:
        site = ScaledOut(self)
        site.start()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        account = site.account("ODD-1")
        cookie = sign_in(site.gateway.sign_in_link())
        credentials = base64.b64encode(f"{account.device_id}:{account.password}".encode()).decode()
        async with connect(
            f"ws://127.0.0.1:{account.gateway_port}/ocpp/{account.device_id}",
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers={"Authorization": f"Basic {credentials}"},
        ) as socket:
            boot = {"chargePointModel": "M", "chargePointSerialNumber": "9" * 26}
            self.assertEqual((await call(socket, "1", "BootNotification", boot))[2]["status"], "Accepted")
            self.assertEqual(await call(socket, "2", "StatusNotification", STATUS), [3, "2", {}])
            refused = await call(socket, "3", "StatusNotification", STATUS | {"connectorId": "one"})
            self.assertEqual(refused[:3], [4, "3", "TypeConstraintViolation"])
            started = (await call(socket, "4", "StartTransaction", START | {"timestamp": now}))[2]
            self.assertEqual(started["idTagInfo"]["status"], "Invalid")
            measured = {"timestamp": now, "sampledValue": [TEMPERATURE]}
            meter = {"connectorId": 1, "transactionId": started["transactionId"], "meterValue": measured}
            self.assertEqual(await call(socket, "5", "MeterValues", meter), [3, "5", {}])
        port = site.gateway.http_port

        def deviations() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = get(port, "/api/v1/chargers/ODD-1/deviations", cookie)["items"]
            return found

        await asyncio.to_thread(wait_until, lambda: len(deviations()) >= len(EXPECTED), 15.0)
        self.assertEqual({(one["kind"], one["action"], one["path"]) for one in deviations()}, EXPECTED)
        self.assertEqual(get(port, "/api/v1/chargers/ODD-1", cookie)["serialNumber"], "9" * 26)
        (session,) = get(port, "/api/v1/sessions", cookie)["items"]
        self.assertEqual((session["meterStartWh"], session["flags"]), (1000.0, ["unknown_token"]))
        (unknown,) = get(port, "/api/v1/unknown-tokens", cookie)["items"]
        self.assertEqual((unknown["token"], unknown["deviceId"], unknown["sessions"]), ("STRANGER", "ODD-1", 1))
        self.assertEqual([service.complaints() for service in site.services], [[], [], []])
