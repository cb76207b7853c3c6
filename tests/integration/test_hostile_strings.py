"""A charger whose every string is an attack, on the pages of a real browser: all of it stays text."""

from __future__ import annotations

import asyncio
import json
import tempfile
import unittest
from pathlib import Path
from typing import Any
from urllib.parse import quote

from selenium.webdriver import Chrome
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.integration.chargers import now
from tests.integration.chromium import chromium, sign_in, text_of, wait_for
from tests.integration.people import get, post
from tests.integration.processes import Service
from tests.servers.daemon import free_port
from tests.workers.receiver import Receiver

SCRIPT = "<svg onload=ran()>"
"""Short enough for an id token."""
IMAGE = '"><img src=x onerror=ran()>'
DEVICE_ID = "<img src=x onerror=ran()>"
SQL = "'); DROP TABLE chargers; --"
TERMINAL = 'a\r\n{"level":"error"}\x1b[2J\u2028'
FORMULA = "=cmd|' /C calc'!A0"
COUNT = "window.runs = 0; window.ran = () => { window.runs += 1 }; window.alert = window.ran"
PAGES = ("/api/v1/chargers", "/api/v1/sessions", "/api/v1/sessions.csv", "/api/v1/security-events", "/api/v1/commands")


class HostileStringsTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.port = free_port()
        settings = {
            "CSMS_GATEWAY_PORT": str(self.port),
            "CSMS_GATEWAY_UNKNOWN_CHARGERS": "accept",
            "CSMS_GATEWAY_REQUIRE_PASSWORD": "no",
            "CSMS_WORKER_UNKNOWN_TOKENS": "accept",
            "CSMS_LOG_LEVEL": "debug",
        }
        self.service = Service("csms", Path(directory.name), settings)
        self.addCleanup(self.service.clean_up)
        self.service.start()
        self.lure = Receiver()
        self.addCleanup(self.lure.close)

    def test_no_string_of_a_charger_runs_and_none_breaks_anything(self) -> None:
        with chromium(1280, 900) as browser:
            browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNT})
            sign_in(browser, self.service.sign_in_link())
            cookie = "; ".join(f"{one['name']}={one['value']}" for one in browser.get_cookies())
            asyncio.run(self.attack(cookie))
            wait_for(browser, lambda: [DEVICE_ID in one for one in text_of(browser, "charger")] == [True, True])
            wait_for(browser, lambda: any("Charging started" in one for one in text_of(browser, "event")))
            self.assertIn(SCRIPT, text_of(browser, "session")[0])
            self.check_nothing_ran(browser, "/")
            for path in (*PAGES, f"/api/v1/chargers/{quote(DEVICE_ID, safe='')}/messages", f"/{quote(IMAGE)}"):
                browser.get(f"http://127.0.0.1:{self.service.http_port}{path}")
                self.check_nothing_ran(browser, path)
        self.check_csv(cookie)
        self.assertEqual(self.lure.connections, 0, "csms has fetched what a charger or a command named")
        self.assertEqual(self.service.complaints(), [])
        for line in self.service.output().splitlines():
            self.assertIn("namespace", json.loads(line))

    def check_nothing_ran(self, browser: Chrome, where: str) -> None:
        self.assertEqual(browser.execute_script("return window.runs"), 0, where)
        made = "return document.querySelectorAll('img[src=x], svg[onload]').length"
        self.assertEqual(browser.execute_script(made), 0, where)

    def check_csv(self, cookie: str) -> None:
        tokens = get(self.service.http_port, "/api/v1/unknown-tokens", cookie)["items"]
        self.assertIn(FORMULA, [one["token"] for one in tokens])
        chargers = get(self.service.http_port, "/api/v1/chargers", cookie)["items"]
        self.assertEqual(
            [(one["deviceId"], one["vendor"]) for one in chargers], [(DEVICE_ID, SCRIPT), (DEVICE_ID + "2", SCRIPT)]
        )

    async def attack(self, cookie: str) -> None:
        url = f"ws://127.0.0.1:{self.port}/ocpp/{quote(DEVICE_ID, safe='')}"
        async with connect(url, subprotocols=[Subprotocol("ocpp1.6")]) as socket:
            for action, payload in attacks():
                await self.call(socket, action, payload)
            keys = [
                {"key": IMAGE, "readonly": False, "value": IMAGE},
                {"key": SQL, "readonly": True, "value": TERMINAL},
            ]
            told = {"configurationKey": keys, "unknownKey": [SQL]}
            await self.commanded(socket, cookie, "GetConfiguration", {}, told)
            where = {"location": self.lure.url(f"/{quote(IMAGE)}")}
            await self.commanded(socket, cookie, "GetDiagnostics", where, {"fileName": IMAGE + SQL})
            await self.commanded(socket, cookie, "UpdateFirmware", {**where, "retrieveDate": now()}, {})
        async with connect(f"{url}2", subprotocols=[Subprotocol("ocpp2.0.1")]) as socket:
            for action, payload in self.lures():
                await self.call(socket, action, payload)

    def lures(self) -> list[tuple[str, dict[str, Any]]]:
        """What names a URL, for csms to fetch."""
        certificate = {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": "aa",
            "issuerKeyHash": "bb",
            "serialNumber": "1",
            "responderURL": self.lure.url("/ocsp"),
        }
        token = {"idToken": SCRIPT, "type": "eMAID"}
        station = {"vendorName": SCRIPT, "model": SCRIPT, "modem": {"iccid": SCRIPT}}
        return [
            ("BootNotification", {"reason": "PowerUp", "chargingStation": station}),
            ("Authorize", {"idToken": token, "iso15118CertificateHashData": [certificate]}),
            ("GetCertificateStatus", {"ocspRequestData": certificate}),
            ("NotifyEvent", event(self.lure.url("/event"))),
        ]

    async def call(self, socket: ClientConnection, action: str, payload: dict[str, Any]) -> Any:
        await socket.send(json.dumps([2, IMAGE, action, payload]))
        answer = json.loads(await socket.recv())
        self.assertEqual(answer[0], 4 if action == "GetCertificateStatus" else 3, f"{action}: {answer}")

    async def commanded(
        self, socket: ClientConnection, cookie: str, action: str, payload: dict[str, Any], answer: dict[str, Any]
    ) -> None:
        path = f"/api/v1/chargers/{quote(DEVICE_ID, safe='')}/commands/{action}"
        asked = asyncio.create_task(asyncio.to_thread(post, self.service.http_port, path, payload, cookie))
        frame = json.loads(await socket.recv())
        await socket.send(json.dumps([3, frame[1], answer]))
        status, told = await asked
        self.assertEqual((status, told["answer"]), (200, answer))


def attacks() -> list[tuple[str, dict[str, Any]]]:
    """In every string that a 1.6 charger may choose."""
    boot = {
        "chargePointVendor": SCRIPT,
        "chargePointModel": SCRIPT,
        "chargePointSerialNumber": SQL[:25],
        "chargeBoxSerialNumber": SCRIPT,
        "firmwareVersion": IMAGE,
        "meterType": TERMINAL[:25],
        "iccid": SCRIPT,
        "imsi": SCRIPT,
    }
    status = {
        "connectorId": 1,
        "status": "Available",
        "errorCode": "OtherError",
        "info": IMAGE + SQL[:20],
        "vendorId": IMAGE + TERMINAL,
        "vendorErrorCode": IMAGE,
    }
    sample = {"value": IMAGE, "measurand": "Power.Active.Import", "unit": "W"}
    start = {"connectorId": 1, "meterStart": 0, "timestamp": now()}
    return [
        ("BootNotification", boot),
        ("StatusNotification", status),
        ("Authorize", {"idTag": FORMULA}),
        ("Authorize", {"idTag": SQL[:20]}),
        ("StartTransaction", {**start, "idTag": SCRIPT}),
        ("StatusNotification", {**status, "status": "Charging"}),
        ("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": now(), "sampledValue": [sample]}]}),
        ("DataTransfer", {"vendorId": IMAGE, "messageId": SQL, "data": IMAGE + TERMINAL}),
        ("SecurityEventNotification", {"type": IMAGE, "timestamp": now(), "techInfo": IMAGE + SQL + TERMINAL}),
        ("FirmwareStatusNotification", {"status": "Downloading"}),
    ]


def event(value: str) -> dict[str, Any]:
    """2.x NotifyEvent."""
    data = {
        "eventId": 1,
        "timestamp": now(),
        "trigger": "Alerting",
        "actualValue": value + IMAGE,
        "techInfo": IMAGE + TERMINAL,
        "eventNotificationType": "CustomMonitor",
        "component": {"name": SCRIPT},
        "variable": {"name": SCRIPT},
    }
    return {"generatedAt": now(), "seqNo": 0, "eventData": [data]}
