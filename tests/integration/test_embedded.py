"""One process with everything: ``twistd csms`` as it comes, on SQLite."""

from __future__ import annotations

import signal
import tempfile
import unittest
from pathlib import Path

from tests.integration.chargers import Account
from tests.integration.people import browser, get, sign_in
from tests.integration.processes import Service, admin
from tests.integration.scenario import TOKEN, Scenario
from tests.servers.daemon import free_port


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
