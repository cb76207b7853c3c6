"""A stop that takes its time, as operators and load balancers see it."""

from __future__ import annotations

import asyncio
import signal
import unittest

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.faults.sites import OPEN
from tests.integration.site import ScaledOut
from tests.servers.daemon import wait_until

PATIENCE_S = 30.0
LONG_S = "3600"


class StoppingTests(unittest.IsolatedAsyncioTestCase):
    async def test_a_gateway_that_stops_says_so_refuses_others_and_ends_at_once_at_a_second_signal(self) -> None:
        # Without a worker nobody decides, so the charger's CALL stays under way, and with it the charger.
        site = ScaledOut(self, {**OPEN, "CSMS_GATEWAY_ANSWER_DEADLINE_S": LONG_S, "CSMS_GATEWAY_DRAIN_S": LONG_S})
        gateway = site.gateway
        await asyncio.to_thread(gateway.start)
        url = f"ws://127.0.0.1:{site.gateway_port}/ocpp/"
        async with connect(f"{url}CP1", subprotocols=[Subprotocol("ocpp1.6")]) as charger:
            await charger.send('[2, "1", "Authorize", {"idTag": "T"}]')
            # The answer to the ping tells that what was sent before it was read.
            await (await charger.ping())
            await asyncio.to_thread(gateway.send, signal.SIGTERM)
            stopping = await asyncio.to_thread(wait_until, lambda: gateway.health()[0] == 503, PATIENCE_S)
            self.assertTrue(stopping)
            self.assertEqual(gateway.health()[1]["reasons"], {"process": "it stops"})
            with self.assertRaises(InvalidStatus) as refused:
                await connect(f"{url}CP2", subprotocols=[Subprotocol("ocpp1.6")])
            self.assertEqual(refused.exception.response.status_code, 503)
            self.assertTrue(gateway.alive)
            self.assertEqual(await asyncio.to_thread(gateway.end, signal.SIGTERM), -signal.SIGTERM)
        self.assertEqual(gateway.complaints(), [])
