"""One process with everything: ``twistd csms`` as it comes, on SQLite."""

from __future__ import annotations

import json
import signal
import sqlite3
import tempfile
import unittest
from pathlib import Path
from typing import Any

from tests.integration.chargers import Account, charger_16
from tests.integration.people import browser, get, sign_in
from tests.integration.processes import Service, admin
from tests.integration.scenario import SETTLE_S, TOKEN, Scenario, query
from tests.servers.daemon import free_port, wait_until

LEFT_BEHIND = 1_000_000
"""A row of the outbox."""


class EmbeddedTests(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.gateway_port = free_port()
        self.settings = {"CSMS_GATEWAY_PORT": str(self.gateway_port)}
        self.database_url = f"sqlite:///{self.directory}/var/csms.db"

    def account(self, device_id: str) -> Account:
        password = admin(self.directory, self.settings, "charger", "add", device_id)["password"]
        return Account(device_id, password, self.gateway_port)

    def service(self) -> Service:
        service = Service("csms", self.directory, self.settings)
        self.addCleanup(service.clean_up)
        return service

    async def test_a_session_by_each_version_reaches_rows_and_browser(self) -> None:
        accounts = [self.account("OLD-1"), self.account("NEW-1")]
        admin(self.directory, self.settings, "token", "add", TOKEN)
        service = self.service()
        service.start()
        cookie = sign_in(service.sign_in_link())
        scenario = Scenario(self, self.database_url, accounts)
        async with browser(service.http_port, cookie) as seen:
            await scenario.run(seen)
        scenario.check_browser(seen)
        scenario.check_rows()
        overview = get(service.http_port, "/api/v1/overview", cookie)
        self.assertEqual(overview["chargers"], 2)
        self.assertEqual(service.terminate(), -signal.SIGTERM)
        self.assertEqual(service.complaints(), [])

    async def test_a_browser_that_comes_back_to_a_killed_process_loads_all_anew(self) -> None:
        account = self.account("OLD-1")
        service = self.service()
        service.start()
        cookie = sign_in(service.sign_in_link())
        async with browser(service.http_port, cookie) as seen, charger_16(account):
            last = await seen.until(lambda frame: frame.get("type") == "charger.connected")
        async with browser(service.http_port, cookie) as again:
            self.assertEqual((await again.resume(last["id"], seen.feed))["event"], "resumed")
            await again.until(lambda frame: frame.get("type") == "charger.disconnected")
        service.end(signal.SIGKILL)
        self.leave_in_the_outbox(last)
        service.start()
        waiting = f"select id from outbox where id = {LEFT_BEHIND}"
        self.assertTrue(wait_until(lambda: not query(self.database_url, waiting), SETTLE_S))
        async with browser(service.http_port, cookie) as after:
            # It is told anew, but what was told beside it before the end is not.
            self.assertEqual((await after.resume(last["id"], seen.feed))["event"], "reset")

    def leave_in_the_outbox(self, frame: dict[str, Any]) -> None:
        """An event that was told just before the process was killed."""
        body = {"eventId": frame["id"], **frame["data"]}
        body |= {name: frame[name] for name in ("type", "chargerId", "deviceId", "timestamp")}
        with sqlite3.connect(self.database_url.removeprefix("sqlite:///")) as connection:
            connection.execute(
                "insert into outbox (id, exchange, event_id, routing_key, body, taken_at, shard) "
                "values (?, 'events_exchange', ?, ?, ?, '2026-01-01T00:00:00.000000Z', 0)",
                (LEFT_BEHIND, frame["id"], f"notification.{frame['type']}", json.dumps(body)),
            )
        connection.close()

    async def test_a_port_in_use_ends_the_process_with_one_line(self) -> None:
        first = self.service()
        first.start()
        second = Service("csms", self.directory, self.settings, name="second")
        self.addCleanup(second.clean_up)
        second.launch()
        self.assertEqual(second.wait(), 1)
        (complaint,) = second.complaints()
        self.assertIn(f"gateway cannot start: Couldn't listen on 127.0.0.1:{self.gateway_port}", complaint)
        self.assertEqual(first.health()[0], 200)

    async def test_a_database_that_cannot_be_opened_ends_the_process_with_one_line(self) -> None:
        (self.directory / "var").write_text("a file where the directory should be")
        service = self.service()
        service.launch()
        self.assertEqual(service.wait(), 1)
        (complaint,) = service.complaints()
        self.assertIn("database cannot start: ", complaint)
