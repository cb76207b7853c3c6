"""The console in a real browser, over csms as it runs."""

from __future__ import annotations

import asyncio
import tempfile
import unittest
from pathlib import Path
from threading import Event, Thread

from ocpp.v16 import ChargePoint, call
from ocpp.v16.enums import ChargePointErrorCode, ChargePointStatus
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from websockets.asyncio.client import connect

from tests.integration.chromium import chromium, sign_in, text_of, wait_for
from tests.integration.processes import Service
from tests.servers.daemon import free_port

HOSTILE = '<img src=x onerror="document.title=1">'


class Charger(Thread):
    """A 1.6 charger in a thread, step by step: ``connected``, ``charging``, ``finished``; each waits to be asked."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.start_charging, self.stop_charging, self.leave = Event(), Event(), Event()
        self._url = f"ws://127.0.0.1:{port}/ocpp/PAGE-1"

    def run(self) -> None:
        asyncio.run(self._live())

    def finish(self) -> None:
        """Live the rest, and wait for the end: a thread left behind would fail some later test."""
        for event in (self.start_charging, self.stop_charging, self.leave):
            event.set()
        if self.ident is not None:
            self.join()

    async def _live(self) -> None:
        async with connect(self._url, subprotocols=["ocpp1.6"]) as socket:  # type: ignore[list-item]
            charger = ChargePoint("PAGE-1", socket)
            listening = asyncio.create_task(charger.start())
            await charger.call(call.BootNotification(charge_point_vendor="Acme", charge_point_model=HOSTILE[:20]))
            await self._status(charger, ChargePointStatus.available)
            await asyncio.to_thread(self.start_charging.wait)
            start = call.StartTransaction(1, HOSTILE[:20], 1000, "2030-01-01T00:00:00Z")
            number = (await charger.call(start)).transaction_id
            await self._status(charger, ChargePointStatus.charging)
            samples = [
                {"value": "2500", "unit": "Wh", "measurand": "Energy.Active.Import.Register"},
                {"value": "7.4", "unit": "kW", "measurand": "Power.Active.Import"},
            ]
            value = {"timestamp": "2030-01-01T00:10:00Z", "sampledValue": samples}
            await charger.call(call.MeterValues(1, [value], number))
            await asyncio.to_thread(self.stop_charging.wait)
            await charger.call(call.StopTransaction(3000, "2030-01-01T00:20:00Z", number))
            await self._status(charger, ChargePointStatus.available)
            await asyncio.to_thread(self.leave.wait)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _status(self, charger: ChargePoint, status: ChargePointStatus) -> None:
        await charger.call(call.StatusNotification(1, ChargePointErrorCode.no_error, status))


def width_of(browser: Chrome) -> int:
    return int(browser.execute_script("return document.documentElement.scrollWidth"))


class ConsoleTests(unittest.TestCase):
    maxDiff = None

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.port = free_port()
        self.service = Service(
            "csms",
            Path(directory.name),
            {
                "CSMS_GATEWAY_PORT": str(self.port),
                "CSMS_GATEWAY_UNKNOWN_CHARGERS": "accept",
                "CSMS_GATEWAY_REQUIRE_PASSWORD": "no",
                "CSMS_WORKER_UNKNOWN_TOKENS": "accept",
            },
        )
        self.addCleanup(self.service.clean_up)
        self.service.start()
        self.charger = Charger(self.port)
        self.addCleanup(self.charger.finish)

    def test_a_person_signs_in_and_sees_a_session_live_while_hostile_names_stay_text(self) -> None:
        with chromium(1280, 900) as browser:
            sign_in(browser, self.service.sign_in_link())
            self.assertEqual(text_of(browser, "charger"), [])
            self.charger.start()
            wait_for(browser, lambda: "1: Available" in text_of(browser, "charger")[0])
            self.charger.start_charging.set()
            wait_for(browser, lambda: "7.4 kW" in text_of(browser, "session")[0])
            (session,) = text_of(browser, "session")
            for expected in ("PAGE-1", "1.50 kWh", HOSTILE[:20]):
                self.assertIn(expected, session)
            self.check_a_reload_shows_the_same(browser)
            self.charger.stop_charging.set()
            wait_for(browser, lambda: not text_of(browser, "session"))
            wait_for(browser, lambda: any("Charging stopped" in one for one in text_of(browser, "event")))
            self.assertEqual(browser.title, "csms", "a charger's string has become a script")
            errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
            self.assertEqual(errors, [])

    def check_a_reload_shows_the_same(self, browser: Chrome) -> None:
        browser.refresh()
        wait_for(browser, lambda: "7.4 kW" in text_of(browser, "session")[0])
        self.assertIn("1: Charging", text_of(browser, "charger")[0])

    def test_a_phone_shows_all_of_it_without_scrolling_sideways(self) -> None:
        with chromium(375, 700) as browser:
            sign_in(browser, self.service.sign_in_link())
            self.charger.start()
            self.charger.start_charging.set()
            wait_for(browser, lambda: "7.4 kW" in text_of(browser, "session")[0])
            self.assertLessEqual(width_of(browser), 375)
            browser.find_element(By.LINK_TEXT, "HTTP interface").click()
            wait_for(browser, lambda: browser.find_elements(By.ID, "createApiToken"))
            self.assertLessEqual(width_of(browser), 375)

    def test_whoever_signs_out_sees_nothing_more(self) -> None:
        with chromium(1280, 900) as browser:
            sign_in(browser, self.service.sign_in_link())
            browser.find_element(By.XPATH, "//button[text()='Sign out']").click()
            wait_for(browser, lambda: "sign-in-link" in browser.find_element(By.TAG_NAME, "body").text)
            browser.get(f"http://127.0.0.1:{self.service.http_port}/api/v1/chargers")
            self.assertIn("401", browser.find_element(By.TAG_NAME, "body").text)
