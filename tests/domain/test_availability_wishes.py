"""What ChangeAvailability asked for comes to pass with the connectors' next statuses."""

from __future__ import annotations

import unittest
from datetime import timedelta
from typing import Any

from csms.domain.device_records import WantedAvailability, WishState
from csms.domain.messages import NotificationType
from csms.ocpp.versions import Version
from tests.domain.commanding import CommandedStation
from tests.domain.station import NOON, iso


class AvailabilityWishes(unittest.TestCase):
    def setUp(self) -> None:
        self.station = CommandedStation()

    def change(self, connector: int, kind: str, answer: str = "Accepted") -> None:
        self.station.command("ChangeAvailability", {"connectorId": connector, "type": kind}, {"status": answer})

    def status(self, status: str, connector: int = 1) -> None:
        self.station.send("StatusNotification", {"connectorId": connector, "status": status, "errorCode": "NoError"})

    @property
    def wishes(self) -> list[WantedAvailability]:
        return list(self.station.devices.availability.of(self.station.charger.id))

    @property
    def wish(self) -> WantedAvailability:
        (wish,) = self.wishes
        return wish

    def test_an_accepted_change_is_applied_by_the_next_status(self) -> None:
        self.status("Available")
        self.change(1, "Inoperative")
        self.assertEqual((self.wish.operative, self.wish.state), (False, WishState.ACCEPTED))
        self.status("Unavailable")
        self.assertEqual((self.wish.state, self.wish.applied_at), (WishState.APPLIED, NOON + timedelta(seconds=1)))
        told = self.station.last(NotificationType.AVAILABILITY_CHANGED)
        expected = {"evseId": 1, "connectorId": 1, "operative": False, "state": "applied", "commandId": "command-1"}
        self.assertEqual(told, expected)
        self.change(1, "Operative")
        self.status("Available")
        self.assertEqual((self.wish.operative, self.wish.state), (True, WishState.APPLIED))

    def test_a_scheduled_change_waits_for_the_end_of_the_transaction(self) -> None:
        self.status("Charging")
        self.change(1, "Inoperative", "Scheduled")
        self.assertIs(self.wish.state, WishState.SCHEDULED)
        self.status("Finishing")
        self.assertIs(self.wish.state, WishState.SCHEDULED)
        self.status("Unavailable")
        self.assertIs(self.wish.state, WishState.APPLIED)

    def test_a_rejected_change_leaves_what_was_wanted(self) -> None:
        self.change(1, "Inoperative", "Rejected")
        self.assertEqual(self.wishes, [])
        self.change(1, "Inoperative")
        self.change(1, "Operative", "Rejected")
        self.assertFalse(self.wish.operative)

    def test_a_charger_that_is_as_wanted_already_reports_nothing_more(self) -> None:
        self.status("Unavailable")
        self.change(1, "Inoperative")
        self.assertIs(self.wish.state, WishState.APPLIED)

    def test_a_status_that_overtakes_the_answer_counts(self) -> None:
        command = self.station.ask("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
        self.status("Unavailable")
        self.station.answer(command, {"status": "Scheduled"})
        self.assertIs(self.wish.state, WishState.APPLIED)

    def test_another_connectors_status_says_nothing(self) -> None:
        self.status("Available")
        self.change(1, "Inoperative")
        self.status("Unavailable", connector=2)
        self.assertIs(self.wish.state, WishState.ACCEPTED)

    def test_the_whole_charger_is_applied_when_it_or_all_its_connectors_say_so(self) -> None:
        for connector in (1, 2):
            self.status("Available", connector)
        self.change(0, "Inoperative")
        self.status("Unavailable", 1)
        self.assertIs(self.wish.state, WishState.ACCEPTED)
        self.status("Unavailable", 2)
        self.assertIs(self.wish.state, WishState.APPLIED)
        self.change(0, "Operative")
        self.assertIs(self.wish.state, WishState.ACCEPTED)
        self.status("Available", 0)
        self.assertIs(self.wish.state, WishState.APPLIED)

    def test_a_wish_for_the_charger_replaces_those_for_its_connectors(self) -> None:
        self.change(1, "Inoperative")
        self.change(2, "Inoperative")
        self.change(0, "Operative")
        self.assertEqual((self.wish.evse_id, self.wish.connector_id, self.wish.operative), (0, 0, True))

    def test_2x_asks_for_the_station_an_evse_or_a_connector(self) -> None:
        for version in (Version.V201, Version.V21):
            for place, expected in (({}, (0, 0)), ({"id": 2}, (2, 0)), ({"id": 2, "connectorId": 1}, (2, 1))):
                station = CommandedStation(version)
                request: dict[str, Any] = {"operationalStatus": "Inoperative"} | ({"evse": place} if place else {})
                station.command("ChangeAvailability", request)
                (wish,) = station.devices.availability.of(station.charger.id)
                self.assertEqual((wish.evse_id, wish.connector_id), expected)
                self.assertIs(wish.state, WishState.ACCEPTED)
                status = {"timestamp": iso(NOON), "evseId": 2, "connectorId": 1, "connectorStatus": "Unavailable"}
                station.send("StatusNotification", status)
                self.assertIs(wish.state, WishState.APPLIED)
