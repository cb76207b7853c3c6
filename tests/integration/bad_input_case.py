"""A real gateway process that strangers may talk to, with a charger beside them that must not notice."""

from __future__ import annotations

import http.client
import tempfile
import time
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.integration.processes import Service
from tests.integration.raw_peer import TIMEOUT_S, RawPeer, SteadyCharger, resident_bytes
from tests.servers.daemon import free_port

LONGEST_ANSWER_S = 8.0
"""To the charger beside: ample on a busy machine, and what a charger would wait for in any case."""
GROWTH_BYTES = 80 * 1024 * 1024
"""Ample for what Python keeps for itself, and far below what the bombs would take."""


class BadInputCase(unittest.TestCase):
    """One process for all tests of a class."""

    service: ClassVar[Service]
    steady: ClassVar[SteadyCharger]
    port: ClassVar[int]
    settings: ClassVar[dict[str, str]] = {}

    @classmethod
    def setUpClass(cls) -> None:
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.port = free_port()
        settings = {
            "CSMS_GATEWAY_PORT": str(cls.port),
            "CSMS_GATEWAY_REQUIRE_PASSWORD": "false",
            "CSMS_GATEWAY_UNKNOWN_CHARGERS": "accept",
        }
        cls.service = Service("csms", Path(directory.name), settings | cls.settings)
        cls.addClassCleanup(cls.service.clean_up)
        cls.service.start()
        cls.steady = SteadyCharger(cls.port)
        cls.addClassCleanup(cls.steady.stop)

    def setUp(self) -> None:
        self.answered_before = self.steady.answered
        self.memory_before = resident_bytes(self.service.pid)

    def tearDown(self) -> None:
        self.steady.wait_beyond(self.answered_before)
        self.assertEqual(self.steady.trouble, "")
        self.assertLess(self.steady.longest_s, LONGEST_ANSWER_S)
        self.assertLess(resident_bytes(self.service.pid) - self.memory_before, GROWTH_BYTES)
        self.assertEqual(self.service.complaints(), [])

    def peer(self) -> RawPeer:
        """A connection to the chargers' port."""
        peer = RawPeer(self.port)
        self.addCleanup(peer.close)
        return peer

    def charger(self, subprotocol: str = "ocpp1.6", *, headers: str = "") -> RawPeer:
        """An open WebSocket."""
        peer = self.peer()
        peer.open("ODD", subprotocol=subprotocol, headers=headers)
        return peer

    def sample(self, name: str) -> float:
        """What a metric says now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.service.http_port, timeout=20)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        finally:
            connection.close()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)

    @contextmanager
    def counting(self, name: str, by: int = 1) -> Iterator[None]:
        """The metric grows by that much, at least."""
        before = self.sample(name)
        yield
        limit = time.monotonic() + TIMEOUT_S
        while self.sample(name) - before < by:  # a socket's end is counted a moment after it was seen
            self.assertLess(time.monotonic(), limit, name)
            time.sleep(0.01)
