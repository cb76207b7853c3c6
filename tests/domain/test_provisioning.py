"""Boot notifications and device model reports."""

from __future__ import annotations

import unittest

from csms.domain.messages import NotificationType
from csms.domain.model import Registration
from csms.ocpp.versions import Version
from tests.domain.station import NOON, Station, iso


class Boots(unittest.TestCase):
    def test_a_16_charger_says_what_it_is(self) -> None:
        station = Station()
        answer = station.send(
            "BootNotification",
            {
                "chargePointVendor": "Acme",
                "chargePointModel": "Wall 1",
                "chargeBoxSerialNumber": "B1",
                "firmwareVersion": "1.2",
                "iccid": "89",
                "imsi": "26",
            },
        )
        self.assertEqual(answer, {"status": "Accepted", "currentTime": "2026-06-01T12:00:00.000Z", "interval": 300})
        charger = station.charger
        self.assertEqual((charger.vendor, charger.model, charger.serial_number), ("Acme", "Wall 1", "B1"))
        self.assertEqual((charger.firmware_version, charger.iccid, charger.imsi), ("1.2", "89", "26"))
        self.assertEqual(charger.booted_at, NOON)
        self.assertEqual(
            station.last(NotificationType.CHARGER_BOOTED),
            {"vendor": "Acme", "model": "Wall 1", "serialNumber": "B1", "firmwareVersion": "1.2"},
        )

    def test_a_2x_charger_says_what_it_is_and_why_it_boots(self) -> None:
        for version in (Version.V201, Version.V21):
            station = Station(version)
            station.send(
                "BootNotification",
                {
                    "reason": "PowerUp",
                    "chargingStation": {
                        "vendorName": "Acme",
                        "model": "DC 9",
                        "serialNumber": "S9",
                        "modem": {"iccid": "89", "imsi": "26"},
                    },
                },
            )
            charger = station.charger
            self.assertEqual((charger.vendor, charger.model, charger.serial_number), ("Acme", "DC 9", "S9"))
            self.assertEqual((charger.iccid, charger.imsi, charger.boot_reason), ("89", "26", "PowerUp"))
            self.assertEqual(station.last(NotificationType.CHARGER_BOOTED)["reason"], "PowerUp")

    def test_what_a_firmware_no_longer_tells_is_forgotten(self) -> None:
        station = Station()
        both = {"chargePointVendor": "Acme", "chargePointModel": "Wall 1"}
        station.send("BootNotification", both | {"firmwareVersion": "1.2"})
        station.send("BootNotification", both)
        self.assertEqual(station.charger.firmware_version, "")

    def test_the_answer_tells_the_registration(self) -> None:
        for registration in Registration:
            station = Station()
            station.charger.registration = registration
            answer = station.send("BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"})
            self.assertEqual(answer["status"], registration.value)

    def test_a_boot_ends_no_session(self) -> None:
        station = Station()
        station.start()
        station.send("BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"})
        self.assertEqual(station.session.state, "active")


class Reports(unittest.TestCase):
    def part(self, seq_no: int, value: str, *, more: bool) -> dict[str, object]:
        data = {
            "component": {"name": "OCPPCommCtrlr"},
            "variable": {"name": "HeartbeatInterval"},
            "variableAttribute": [{"value": value, "mutability": "ReadWrite"}, {"type": "Target", "value": "1"}],
            "variableCharacteristics": {"dataType": "integer", "supportsMonitoring": False, "unit": "s"},
        }
        return {"requestId": 5, "generatedAt": iso(NOON), "tbc": more, "seqNo": seq_no, "reportData": [data]}

    def test_variables_are_kept_and_the_newest_report_wins(self) -> None:
        station = Station(Version.V201)
        station.send("NotifyReport", self.part(0, "300", more=True))
        self.assertEqual(station.told, [])
        station.send("NotifyReport", self.part(1, "60", more=False))
        actual, target = station.unit.chargers.variables.values()
        self.assertEqual(
            (actual.component, actual.variable, actual.attribute), ("OCPPCommCtrlr", "HeartbeatInterval", "Actual")
        )
        self.assertEqual(
            (actual.value, actual.data_type, actual.unit, actual.mutability), ("60", "integer", "s", "ReadWrite")
        )
        self.assertEqual((target.attribute, target.value, target.reported_at), ("Target", "1", NOON))
        self.assertEqual(station.last(NotificationType.REPORT_RECEIVED), {"requestId": 5, "parts": 2})

    def test_an_empty_report_is_complete_at_once(self) -> None:
        station = Station(Version.V21)
        station.send("NotifyReport", {"requestId": 5, "generatedAt": iso(NOON), "seqNo": 0})
        self.assertEqual(station.kinds(), [NotificationType.REPORT_RECEIVED])
