"""Reservations: from the answer to their end."""

from __future__ import annotations

import unittest
from datetime import timedelta
from typing import Any

from csms.domain.device_records import Reservation, ReservationState
from csms.domain.messages import NotificationType
from csms.domain.reservations import expire_reservations
from tests.domain.commanding import CommandedStation
from tests.domain.station import NOON, iso

HOUR = NOON + timedelta(hours=1)


class ReservationsCase(unittest.TestCase):
    def setUp(self) -> None:
        self.station = CommandedStation()

    def reserve(self, answer: str = "Accepted", **fields: Any) -> Reservation:
        request = {"connectorId": 1, "expiryDate": iso(HOUR), "idTag": "CARD", "reservationId": 7} | fields
        self.station.command("ReserveNow", request, {"status": answer})
        return self.all()[-1]

    def all(self) -> list[Reservation]:
        return list(self.station.devices.reservations.rows.values())

    def status(self, status: str, connector: int = 1) -> None:
        self.station.send("StatusNotification", {"connectorId": connector, "status": status, "errorCode": "NoError"})

    def cancel(self, answer: str = "Accepted") -> None:
        self.station.command("CancelReservation", {"reservationId": 7}, {"status": answer})


class Making(ReservationsCase):
    def test_an_accepted_one_is_active_and_told(self) -> None:
        made = self.reserve(parentIdTag="FAMILY")
        self.assertIs(made.state, ReservationState.ACTIVE)
        self.assertEqual((made.evse_id, made.id_token, made.parent_id_token), (1, "CARD", "FAMILY"))
        self.assertEqual((made.expires_at, made.command_id), (HOUR, "command-1"))
        told = self.station.last(NotificationType.RESERVATION_CHANGED)
        self.assertEqual((told["reservationId"], told["state"], told["expiresAt"]), (7, "active", HOUR))

    def test_a_refused_one_is_kept_with_the_reason_and_leaves_the_active_one(self) -> None:
        active = self.reserve()
        for answer in ("Faulted", "Occupied", "Rejected", "Unavailable"):
            refused = self.reserve(answer)
            self.assertEqual((refused.state, refused.answer), (ReservationState.REFUSED, answer))
        self.assertIs(active.state, ReservationState.ACTIVE)
        self.assertEqual(self.station.devices.reservations.of(self.station.charger.id), [active])

    def test_the_same_id_again_replaces_it(self) -> None:
        first = self.reserve()
        second = self.reserve(connectorId=2)
        self.assertIs(first.state, ReservationState.REPLACED)
        self.assertIs(second.state, ReservationState.ACTIVE)


class Ending(ReservationsCase):
    def test_a_start_with_its_id_uses_it_wherever(self) -> None:
        made = self.reserve(connectorId=0)
        self.station.start(connectorId=2, idTag="FRIEND", reservationId=7)
        self.assertEqual((made.state, made.session_id), (ReservationState.USED, self.station.session.id))

    def test_a_start_of_its_token_on_its_connector_uses_it(self) -> None:
        made = self.reserve()
        self.station.start(connectorId=2)
        self.assertIs(made.state, ReservationState.ACTIVE)
        self.station.start(connectorId=1, idTag="OTHER", meterStart=1)
        self.assertIs(made.state, ReservationState.ACTIVE)
        self.station.start(connectorId=1, idTag="card")
        self.assertIs(made.state, ReservationState.USED)

    def test_a_start_of_its_group_uses_it(self) -> None:
        self.station.know("FRIEND", group="FAMILY")
        made = self.reserve(parentIdTag="FAMILY")
        self.station.start(idTag="FRIEND")
        self.assertIs(made.state, ReservationState.USED)

    def test_a_session_from_before_does_not_use_it(self) -> None:
        made = self.reserve()
        self.station.start(timestamp=iso(NOON - timedelta(hours=2)))
        self.assertIs(made.state, ReservationState.ACTIVE)

    def test_a_start_within_its_time_that_is_told_after_it_has_used_it(self) -> None:
        made = self.reserve()
        started = self.station.now
        self.station.wait(hours=2)
        expire_reservations(self.station.unit.as_unit_of_work(), self.station.now)
        self.assertIs(made.state, ReservationState.EXPIRED)
        self.station.start(timestamp=iso(started), reservationId=7)
        self.assertIs(made.state, ReservationState.USED)

    def test_cancelled(self) -> None:
        made = self.reserve()
        self.cancel("Rejected")
        self.assertIs(made.state, ReservationState.ACTIVE)
        self.cancel()
        self.assertIs(made.state, ReservationState.CANCELLED)

    def test_cancelled_even_when_the_connector_was_free_before_the_answer(self) -> None:
        made = self.reserve()
        self.status("Reserved")
        self.status("Available")
        self.assertIs(made.state, ReservationState.ENDED)
        self.cancel()
        self.assertIs(made.state, ReservationState.CANCELLED)

    def test_a_fault_ends_it_and_one_elsewhere_does_not(self) -> None:
        for status in ("Faulted", "Unavailable"):
            made = self.reserve()
            self.status(status, connector=2)
            self.assertIs(made.state, ReservationState.ACTIVE)
            self.status(status)
            self.assertIs(made.state, ReservationState.ENDED)
            self.status("Available")
            self.status("Available", connector=2)

    def test_a_fault_of_the_charger_ends_all(self) -> None:
        made = self.reserve()
        self.status("Faulted", connector=0)
        self.assertIs(made.state, ReservationState.ENDED)

    def test_being_free_before_having_been_reserved_says_nothing(self) -> None:
        made = self.reserve()
        self.status("Available")
        self.status("Preparing")
        self.assertIs(made.state, ReservationState.ACTIVE)

    def test_free_again_after_its_time_it_has_expired(self) -> None:
        made = self.reserve()
        self.status("Reserved")
        self.station.wait(hours=2)
        self.status("Available")
        self.assertIs(made.state, ReservationState.EXPIRED)

    def test_time_ends_it_once(self) -> None:
        made = self.reserve()
        unit = self.station.unit.as_unit_of_work()
        self.assertEqual(expire_reservations(unit, HOUR - timedelta(seconds=1)), [])
        (told,) = expire_reservations(unit, HOUR)
        self.assertEqual((told.device_id, told.data["state"]), ("CP1", "expired"))
        self.assertEqual((made.state, made.ended_at), (ReservationState.EXPIRED, HOUR))
        self.assertEqual(expire_reservations(unit, HOUR), [])
