"""Variables of 2.x chargers, as commands read and set them."""

from __future__ import annotations

import unittest
from typing import Any

from csms.domain.messages import NotificationType
from csms.ocpp.versions import Version
from tests.domain.commanding import CommandedStation

VERSIONS = (Version.V201, Version.V21)
INTERVAL = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
ENABLED = {
    "component": {"name": "EVSE", "evse": {"id": 2, "connectorId": 1}},
    "variable": {"name": "Enabled", "instance": "a"},
}
PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}


def values(station: CommandedStation) -> dict[tuple[Any, ...], str]:
    found = station.unit.chargers.variables.values()
    return {(one.component, one.evse_id, one.connector_id, one.variable, one.attribute): one.value for one in found}


class Variables(unittest.TestCase):
    def test_what_was_read_is_known(self) -> None:
        for version in VERSIONS:
            station = CommandedStation(version)
            asked = {"getVariableData": [INTERVAL, ENABLED]}
            results = [
                INTERVAL | {"attributeStatus": "Accepted", "attributeValue": "60", "attributeType": "Target"},
                ENABLED | {"attributeStatus": "UnknownVariable"},
                PASSWORD | {"attributeStatus": "Accepted", "attributeValue": "secret"},
            ]
            station.command("GetVariables", asked, {"getVariableResult": results})
            self.assertEqual(values(station), {("OCPPCommCtrlr", 0, 0, "HeartbeatInterval", "Target"): "60"})

    def test_what_was_taken_is_known_and_told_whatever_the_order_of_the_answer(self) -> None:
        for version in VERSIONS:
            station = CommandedStation(version)
            wanted = [INTERVAL | {"attributeValue": "300"}, ENABLED | {"attributeValue": "true"}]
            results = [ENABLED | {"attributeStatus": "RebootRequired"}, INTERVAL | {"attributeStatus": "Accepted"}]
            station.command("SetVariables", {"setVariableData": wanted}, {"setVariableResult": results})
            self.assertEqual(
                values(station),
                {
                    ("OCPPCommCtrlr", 0, 0, "HeartbeatInterval", "Actual"): "300",
                    ("EVSE", 2, 1, "Enabled", "Actual"): "true",
                },
            )
            told = station.last(NotificationType.CONFIGURATION_CHANGED)
            self.assertEqual(told["keys"], ["EVSE.Enabled", "OCPPCommCtrlr.HeartbeatInterval"])

    def test_what_was_refused_or_never_asked_changes_nothing(self) -> None:
        for version in VERSIONS:
            station = CommandedStation(version)
            results = [INTERVAL | {"attributeStatus": "Rejected"}, ENABLED | {"attributeStatus": "Accepted"}]
            wanted = {"setVariableData": [INTERVAL | {"attributeValue": "300"}]}
            station.command("SetVariables", wanted, {"setVariableResult": results})
            self.assertEqual((values(station), station.told), ({}, []))

    def test_a_password_is_never_kept(self) -> None:
        for version in VERSIONS:
            station = CommandedStation(version)
            wanted = {"setVariableData": [PASSWORD | {"attributeValue": "secret"}]}
            results = {"setVariableResult": [PASSWORD | {"attributeStatus": "Accepted"}]}
            station.command("SetVariables", wanted, results)
            self.assertEqual(values(station), {})
            self.assertEqual(
                station.last(NotificationType.CONFIGURATION_CHANGED)["keys"], ["SecurityCtrlr.BasicAuthPassword"]
            )
