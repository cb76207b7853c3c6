"""Everything in one process, and virtual chargers of every version that obey commands sent over REST."""

from __future__ import annotations

import signal
import tempfile
import unittest
from pathlib import Path
from typing import Any

from tests.integration.people import get, post, sign_in
from tests.integration.processes import Service
from tests.servers.daemon import free_port, wait_until

OLD, NEW, NEWEST = "SIM-0001", "SIM-0002", "SIM-0003"
FIRMWARE = [{"component": {"name": "ChargingStation"}, "variable": {"name": "FirmwareVersion"}}]


class CommandedSimulatorTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        port = str(free_port())
        settings = {
            "CSMS_GATEWAY_PORT": port,
            "CSMS_GATEWAY_UNKNOWN_CHARGERS": "accept",
            "CSMS_GATEWAY_REQUIRE_PASSWORD": "no",
            "CSMS_SIMULATOR_URL": f"ws://127.0.0.1:{port}/ocpp",
            "CSMS_SIMULATOR_CHARGERS": "3",
            "CSMS_SIMULATOR_VERSIONS": "ocpp1.6 ocpp2.0.1 ocpp2.1",
        }
        self.csms = Service("csms", Path(directory.name), settings)
        self.simulator = Service("csms-simulator", Path(directory.name), settings)
        for service in (self.csms, self.simulator):
            self.addCleanup(service.clean_up)

    def send(self, device_id: str, action: str, payload: Any) -> tuple[int, Any]:
        path = f"/api/v1/chargers/{device_id}/commands/{action}"
        return post(self.csms.http_port, path, payload, self.cookie)

    def connected(self) -> int:
        found: int = get(self.csms.http_port, "/api/v1/overview", self.cookie)["connected"]
        return found

    def test_chargers_of_every_version_answer_until_they_are_gone(self) -> None:
        self.csms.start()
        self.cookie = sign_in(self.csms.sign_in_link())
        self.simulator.launch()
        self.assertTrue(wait_until(lambda: self.connected() == 3, 30.0))
        for device_id in (OLD, NEW, NEWEST):
            for action, payload in (("ClearCache", {}), ("TriggerMessage", {"requestedMessage": "Heartbeat"})):
                status, command = self.send(device_id, action, payload)
                self.assertEqual((status, command["answer"]), (200, {"status": "Accepted"}), command)
        _, command = self.send(OLD, "GetConfiguration", {"key": ["HeartbeatInterval", "Nonsense"]})
        self.assertEqual(command["answer"]["unknownKey"], ["Nonsense"])
        for device_id in (NEW, NEWEST):
            _, command = self.send(device_id, "GetVariables", {"getVariableData": FIRMWARE})
            [result] = command["answer"]["getVariableResult"]
            self.assertEqual(result["attributeStatus"], "Accepted")
        status, command = self.send(OLD, "GetLocalListVersion", {})
        self.assertEqual((status, command["state"]), (200, "refused"))
        self.assertEqual(self.simulator.terminate(), -signal.SIGTERM)
        self.assertTrue(wait_until(lambda: self.connected() == 0, 30.0))
        for device_id in (OLD, NEW, NEWEST):
            self.assertEqual(self.send(device_id, "ClearCache", {})[0], 409)
        self.assertEqual(self.csms.terminate(), -signal.SIGTERM)
        for service in (self.csms, self.simulator):
            self.assertEqual(service.complaints(), [])
