"""Firmware and log statuses, security events, monitored events."""

from __future__ import annotations

import unittest

from csms.domain.messages import NotificationType
from csms.ocpp.versions import Version
from tests.domain.station import NOON, Station, iso


class Statuses(unittest.TestCase):
    def test_a_firmware_status_is_told_when_it_changes(self) -> None:
        for version, action, fields in (
            (Version.V16, "FirmwareStatusNotification", {}),
            (Version.V16, "SignedFirmwareStatusNotification", {"requestId": 9}),
            (Version.V201, "FirmwareStatusNotification", {"requestId": 9}),
        ):
            station = Station(version)
            for status in ("Downloading", "Downloading", "Installed"):
                station.send(action, {"status": status} | fields)
            of_status = [one for one in station.told if one.type == NotificationType.FIRMWARE_STATUS_CHANGED]
            self.assertEqual(len(of_status), 2)
            self.assertEqual(of_status[-1].data, {"status": "Installed", "previousStatus": "Downloading"} | fields)
            self.assertEqual(station.charger.firmware_status, "Installed")

    def test_a_log_status_is_told_when_it_changes(self) -> None:
        for version, action in (
            (Version.V16, "DiagnosticsStatusNotification"),
            (Version.V16, "LogStatusNotification"),
            (Version.V21, "LogStatusNotification"),
        ):
            station = Station(version)
            for status in ("Uploading", "Uploading", "Uploaded"):
                station.send(action, {"status": status})
            self.assertEqual(station.kinds().count(NotificationType.DIAGNOSTICS_STATUS_CHANGED), 2)
            self.assertEqual(station.charger.diagnostics_status, "Uploaded")


class Events(unittest.TestCase):
    def test_every_security_event_is_told(self) -> None:
        for version in Version:
            station = Station(version)
            payload = {"type": "TamperDetectionActivated", "timestamp": iso(NOON), "techInfo": "lid"}
            station.send("SecurityEventNotification", payload)
            station.send("SecurityEventNotification", payload)
            self.assertEqual(station.kinds(), [NotificationType.SECURITY_EVENT] * 2)
            told = {"event": "TamperDetectionActivated", "info": "lid", "critical": True, "occurredAt": NOON}
            self.assertEqual(station.told[0].data, told)
            kept = station.unit.devices.security_events
            self.assertEqual(
                [(one.type, one.tech_info, one.critical) for one in kept], [(told["event"], "lid", True)] * 2
            )

    def test_what_is_critical_depends_on_the_version(self) -> None:
        def critical(version: Version, event: str) -> bool:
            station = Station(version)
            station.send("SecurityEventNotification", {"type": event, "timestamp": iso(NOON)})
            return station.unit.devices.security_events[0].critical

        self.assertEqual([critical(version, "InvalidMessages") for version in Version], [False] * 3)
        self.assertEqual([critical(version, "StartupOfTheDevice") for version in Version], [True] * 3)
        self.assertEqual([critical(version, "InvalidFirmwareSignature") for version in Version], [False, True, True])

    def test_an_alert_is_an_error_until_it_is_cleared(self) -> None:
        station = Station(Version.V201)
        event = {
            "eventId": 1,
            "timestamp": iso(NOON),
            "trigger": "Alerting",
            "actualValue": "true",
            "techCode": "E7",
            "eventNotificationType": "HardWiredMonitor",
            "component": {"name": "EVSE", "evse": {"id": 2}},
            "variable": {"name": "Overload"},
        }
        events = [event, event | {"cleared": True}, event | {"trigger": "Periodic"}]
        station.send("NotifyEvent", {"generatedAt": iso(NOON), "seqNo": 0, "eventData": events})
        (told,) = station.told
        self.assertEqual(told.type, NotificationType.ERROR_OCCURRED)
        self.assertEqual((told.data["evseId"], told.data["errorCode"], told.data["variable"]), (2, "E7", "Overload"))

    def test_each_notification_of_a_message_has_its_own_id_and_a_repeated_run_makes_the_same(self) -> None:
        def ids() -> list[str]:
            station = Station()
            payload = {"connectorId": 1, "status": "Faulted", "errorCode": "GroundFailure"}
            station.send("StatusNotification", payload)
            return [one.event_id for one in station.told]

        self.assertEqual(len(set(ids())), 2)
        self.assertEqual(ids(), sorted(ids()))
