"""A gateway and two workers as processes of their own over RabbitMQ and PostgreSQL, with each AMQP client."""

from __future__ import annotations

import signal
import unittest
from typing import Any

from tests.integration.people import browser, sign_in
from tests.integration.scenario import EXPECTED_TYPES, TOKEN, Scenario
from tests.integration.site import ScaledOut


class PikaTests(unittest.IsolatedAsyncioTestCase):
    client = "pika"

    async def test_a_session_by_each_version_reaches_rows_notifications_and_browser(self) -> None:
        site = ScaledOut(self, {"CSMS_BROKER_AMQP_CLIENT": self.client})
        site.start()
        accounts = [site.account("OLD-1"), site.account("NEW-1")]
        site.add_token(TOKEN)
        listener = site.listener()
        scenario = Scenario(self, site.database_url, accounts)
        async with browser(site.gateway.http_port, sign_in(site.gateway.sign_in_link())) as seen:
            await scenario.run(seen)
        scenario.check_browser(seen)
        scenario.check_rows()
        self.check_notifications(listener.take(), [account.device_id for account in accounts])
        for service in site.services:
            self.assertEqual(service.terminate(), -signal.SIGTERM)
            self.assertEqual(service.complaints(), [])

    def check_notifications(self, taken: list[tuple[str, dict[str, Any]]], devices: list[str]) -> None:
        for key, body in taken:
            self.assertEqual(key, f"notification.{body['type']}")
        ids = [body["eventId"] for _, body in taken]
        self.assertEqual(len(ids), len(set(ids)))
        for device in devices:
            types = [body["type"] for _, body in taken if body["deviceId"] == device]
            self.assertLessEqual(EXPECTED_TYPES, set(types))
            self.assertEqual(types.count("charging.started"), 1)
            self.assertEqual(types.count("charging.stopped"), 1)


class TxAmqpTests(PikaTests):
    client = "txamqp"
