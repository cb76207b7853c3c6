"""A gateway and two workers as processes of their own over RabbitMQ and PostgreSQL, with each AMQP client."""

from __future__ import annotations

import signal
import unittest
from typing import Any

from tests.integration.people import browser, sign_in
from tests.integration.scenario import EXPECTED_TYPES, TOKEN, Scenario, query
from tests.integration.site import ScaledOut


class PikaTests(unittest.IsolatedAsyncioTestCase):
    client = "pika"

    async def test_a_session_by_each_version_reaches_rows_notifications_and_browser(self) -> None:
        site = ScaledOut(self, {"CSMS_BROKER_AMQP_CLIENT": self.client, "CSMS_LOG_LEVEL": "debug"})
        site.start()
        accounts = [site.account("OLD-1"), site.account("NEW-1")]
        site.add_token(TOKEN)
        listener = site.listener()
        scenario = Scenario(self, site.database_url, accounts)
        async with browser(site.gateway.http_port, sign_in(site.gateway.sign_in_link())) as seen:
            await scenario.run(seen)
        scenario.check_browser(seen)
        scenario.check_rows()
        taken = listener.take()
        self.check_notifications(taken, [account.device_id for account in accounts])
        self.check_trail(site, taken)
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

    def check_trail(self, site: ScaledOut, taken: list[tuple[str, dict[str, Any]]]) -> None:
        """One id leads from the socket to the row, and on to the notification."""
        started = {body["deviceId"]: body["eventId"] for key, body in taken if key == "notification.charging.started"}
        for device, action, message_id in query(
            site.database_url,
            "select device_id, action, message_id from charger_data join chargers on chargers.id = charger_id "
            "where action in ('StartTransaction', 'MeterValues') or raw like '%\"Started\"%'",
        ):
            steps = [
                event["message"].replace(message_id, "ID")
                for service in (site.gateway, *site.workers)
                for event in service.events()
                if event.get("message_id") == message_id
            ]
            self.assertEqual(steps[0], f"{action} ID of {device} goes to the broker")
            self.assertIn(f"{action} ID of {device} is safe in the broker", steps)
            self.assertRegex(steps[-1], rf"^{action} ID of ocpp_messages\.\d+ is done$")
            self.assertEqual("the decision about ID is here" in steps, action != "MeterValues")
            if action != "MeterValues":
                self.assertTrue(started[device].startswith(message_id), started)


class TxAmqpTests(PikaTests):
    client = "txamqp"
