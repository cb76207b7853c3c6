"""Connections, signs of life and connector statuses."""

from __future__ import annotations

import unittest
from datetime import timedelta

from csms.domain.availability import SEEN_STEP, disconnect_dead
from csms.domain.messages import CONNECTION_CLOSED, CONNECTION_OPENED, NotificationType
from csms.ocpp.versions import Version
from tests.domain.station import FIRST_CONNECTION, NOON, Station, iso

SECOND = "000000000002-bbbbbbbbbbbb"
THIRD = "000000000003-000000000000"
CONNECTED, DISCONNECTED = NotificationType.CHARGER_CONNECTED, NotificationType.CHARGER_DISCONNECTED


class Connections(unittest.TestCase):
    def setUp(self) -> None:
        self.station = Station()
        self.charger = self.station.charger

    def opened(self, connection_id: str, gateway: str = "gw2") -> None:
        self.station.connection_id, self.station.gateway = connection_id, gateway
        self.station.handle(CONNECTION_OPENED, {"remote": "192.0.2.1"})

    def closed(self, connection_id: str) -> None:
        self.station.connection_id = connection_id
        self.station.handle(CONNECTION_CLOSED, {"code": 1006, "reason": "lost"})

    def test_an_opened_connection_is_noted_and_told(self) -> None:
        self.charger.connected = False
        self.charger.connection_id = ""
        self.opened(FIRST_CONNECTION)
        self.assertTrue(self.charger.connected)
        self.assertEqual((self.charger.connection_id, self.charger.gateway), (FIRST_CONNECTION, "gw2"))
        self.assertEqual((self.charger.ocpp_version, self.charger.connected_at), ("1.6", NOON))
        self.assertEqual(self.station.last(CONNECTED), {"ocppVersion": "1.6", "gateway": "gw2"})

    def test_a_close_is_noted_with_its_reason(self) -> None:
        self.closed(FIRST_CONNECTION)
        self.assertFalse(self.charger.connected)
        self.assertEqual(self.charger.disconnected_at, NOON)
        self.assertEqual(self.station.last(DISCONNECTED), {"gateway": "gw1", "reason": "lost", "code": 1006})

    def test_the_close_of_an_old_connection_takes_nothing_down(self) -> None:
        self.opened(SECOND)
        self.closed(FIRST_CONNECTION)
        self.assertTrue(self.charger.connected)
        self.assertEqual(self.charger.connection_id, SECOND)
        self.assertEqual(self.station.kinds(), [CONNECTED])
        self.assertEqual(self.station.last(CONNECTED)["reason"], "replaces an older connection")

    def test_an_older_connection_never_replaces_a_newer_one(self) -> None:
        self.opened(THIRD, "gw3")
        self.opened(SECOND, "gw2")
        self.assertEqual((self.charger.connection_id, self.charger.gateway), (THIRD, "gw3"))
        self.closed(THIRD)
        self.opened(SECOND, "gw2")
        self.assertFalse(self.charger.connected)

    def test_a_second_close_is_not_told_again(self) -> None:
        self.closed(FIRST_CONNECTION)
        self.closed(FIRST_CONNECTION)
        self.assertEqual(self.station.kinds(), [DISCONNECTED])

    def test_chargers_of_a_dead_gateway_are_disconnected_once(self) -> None:
        self.charger.gateway = "gw1"
        other = Station(unit=self.station.unit, device_id="CP2")
        other.charger.gateway = "gw2"
        unit = self.station.unit.as_unit_of_work()
        told = disconnect_dead(unit, ["gw1", "gw9"], NOON, reason="silent")
        self.assertEqual([(one.type, one.device_id) for one in told], [(DISCONNECTED, "CP1")])
        self.assertEqual(told[0].data["reason"], "silent")
        self.assertFalse(self.charger.connected)
        self.assertTrue(other.charger.connected)
        self.assertEqual(disconnect_dead(unit, ["gw1"], NOON, reason="silent"), [])

    def test_a_charger_that_speaks_after_its_gateway_was_given_up_is_connected_again(self) -> None:
        self.charger.gateway = "gw1"
        disconnect_dead(self.station.unit.as_unit_of_work(), ["gw1"], NOON, reason="silent")
        self.station.send("Heartbeat", {})
        self.assertFalse(self.charger.connected, "that one was under way before")
        self.station.wait(seconds=1)
        self.station.send("Heartbeat", {})
        self.assertTrue(self.charger.connected)
        self.assertEqual(self.station.kinds(), [CONNECTED])

    def test_any_message_is_a_sign_of_life_but_not_each_is_written(self) -> None:
        self.station.send("Heartbeat", {})
        self.station.wait(seconds=SEEN_STEP.total_seconds() - 1)
        self.station.send("DataTransfer", {"vendorId": "x"})
        self.assertEqual(self.charger.last_seen_at, NOON)
        self.station.wait(seconds=1)
        self.station.send("DataTransfer", {"vendorId": "x"})
        self.assertEqual(self.charger.last_seen_at, NOON + SEEN_STEP)


class Statuses(unittest.TestCase):
    def report(self, station: Station, status: str = "Available", error: str = "NoError", **fields: object) -> None:
        station.send("StatusNotification", {"connectorId": 1, "status": status, "errorCode": error} | fields)

    def test_a_change_is_told_with_what_was_before(self) -> None:
        station = Station()
        self.report(station)
        station.wait(minutes=1)
        self.report(station, "Charging", timestamp=iso(NOON), info="cable")
        self.assertEqual(
            station.last(NotificationType.CHARGER_STATUS_CHANGED),
            {
                "evseId": 1,
                "connectorId": 1,
                "status": "Charging",
                "previousStatus": "Available",
                "errorCode": "NoError",
                "info": "cable",
            },
        )
        connector = station.connector(1)
        self.assertEqual((connector.status, connector.status_at), ("Charging", NOON))
        self.assertEqual(connector.received_at, NOON + timedelta(minutes=1))

    def test_the_same_status_again_is_not_told(self) -> None:
        station = Station()
        self.report(station)
        self.report(station)
        self.assertEqual(station.kinds(), [NotificationType.CHARGER_STATUS_CHANGED])

    def test_what_an_abandoned_connection_brings_late_changes_nothing(self) -> None:
        station = Station()
        late = {"connectorId": 1, "errorCode": "NoError", "status": "Preparing", "timestamp": iso(NOON)}
        old = station.connection_id
        station.connection_id = SECOND
        now = late | {"status": "Charging", "timestamp": iso(NOON + timedelta(seconds=9))}
        station.send("StatusNotification", now)
        station.connection_id = old
        station.send("StatusNotification", late)
        self.assertEqual(station.connector(1).status, "Charging")

    def test_a_clock_that_was_set_back_and_another_gateways_clock_hold_up_no_status(self) -> None:
        station = Station()
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Preparing", "timestamp": iso(NOON)}
        station.send("StatusNotification", status)
        set_back = status | {"status": "Charging", "timestamp": iso(NOON - timedelta(hours=1))}
        station.send("StatusNotification", set_back)
        self.assertEqual(station.connector(1).status, "Charging")
        station.connection_id = "000000000000-aaaaaaaaaaaa"
        station.send("StatusNotification", status | {"status": "Finishing"})
        self.assertEqual(station.connector(1).status, "Finishing")

    def test_an_error_is_told_once_and_again_when_it_is_another(self) -> None:
        station = Station()
        self.report(station, "Faulted", "GroundFailure", vendorErrorCode="E42")
        self.report(station, "Faulted", "GroundFailure")
        self.report(station, "Faulted", "HighTemperature")
        errors = [one.data["errorCode"] for one in station.told if one.type == NotificationType.ERROR_OCCURRED]
        self.assertEqual(errors, ["GroundFailure", "HighTemperature"])
        self.assertEqual(station.kinds().count(NotificationType.CHARGER_STATUS_CHANGED), 1)

    def test_connector_0_is_the_charger_as_a_whole(self) -> None:
        station = Station()
        station.send("StatusNotification", {"connectorId": 0, "status": "Available", "errorCode": "NoError"})
        self.assertEqual(station.connector(0).status, "Available")

    def test_a_charger_cannot_make_up_connectors_without_end(self) -> None:
        station = Station()
        for connector in (-1, 1000, 2**31):
            station.send(
                "StatusNotification", {"connectorId": connector, "status": "Available", "errorCode": "NoError"}
            )
        self.assertEqual(station.unit.chargers.places, {})

    def test_2x_names_evse_and_connector_and_a_fault_is_an_error(self) -> None:
        for version in (Version.V201, Version.V21):
            station = Station(version)
            station.send(
                "StatusNotification",
                {"timestamp": iso(NOON), "evseId": 2, "connectorId": 1, "connectorStatus": "Faulted"},
            )
            self.assertEqual(station.unit.chargers.places[station.charger.id, 2, 1].status, "Faulted")
            self.assertEqual(
                station.kinds(), [NotificationType.CHARGER_STATUS_CHANGED, NotificationType.ERROR_OCCURRED]
            )

    def test_2x_may_report_a_status_as_an_event(self) -> None:
        station = Station(Version.V201)
        event = {
            "eventId": 1,
            "timestamp": iso(NOON),
            "trigger": "Delta",
            "actualValue": "Occupied",
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
            "variable": {"name": "AvailabilityState"},
        }
        station.send("NotifyEvent", {"generatedAt": iso(NOON), "seqNo": 0, "eventData": [event]})
        self.assertEqual(station.connector(1).status, "Occupied")
        self.assertEqual(station.kinds(), [NotificationType.CHARGER_STATUS_CHANGED])
