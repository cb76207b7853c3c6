"""MeterValues: live values of a session, and values that belong to none."""

from __future__ import annotations

import unittest
from datetime import timedelta
from typing import Any

from csms.domain.messages import NotificationType
from csms.domain.model import Flag
from csms.domain.samples import POWER, REGISTER, SOC
from csms.ocpp.versions import Version
from tests.domain.station import NOON, Station, iso, register_2, sampled_16

UPDATED = NotificationType.METER_VALUES_UPDATED


class OfASession(unittest.TestCase):
    def setUp(self) -> None:
        self.station = Station()
        self.station.know("CARD")
        self.transaction_id = self.station.start()
        self.station.wait(minutes=10)

    def send(self, *elements: dict[str, Any], **fields: Any) -> None:
        payload = {"connectorId": 1, "transactionId": self.transaction_id, "meterValue": list(elements)}
        self.station.send("MeterValues", payload | fields)

    def test_they_show_in_the_session_and_are_told(self) -> None:
        now = self.station.now
        self.send(
            sampled_16(
                now,
                {"value": "2.25", "unit": "kWh"},
                {"value": "7400", "measurand": POWER},
                {"value": "55", "measurand": SOC},
            )
        )
        session = self.station.session
        self.assertEqual((session.energy_wh, session.power_w, session.soc_percent), (1250, 7400, 55))
        self.assertEqual(
            self.station.last(UPDATED),
            {
                "sessionId": session.id,
                "evseId": 1,
                "connectorId": 1,
                "energyWh": 1250,
                "powerW": 7400,
                "socPercent": 55,
                "registerWh": 2250,
                "sampledAt": now,
            },
        )
        self.assertEqual({sample.session_id for sample in self.station.samples}, {session.id})

    def test_repeated_they_have_no_effect(self) -> None:
        element = sampled_16(self.station.now, {"value": "2000"}, {"value": "500", "measurand": POWER})
        self.send(element)
        self.send(element)
        self.assertEqual(len(self.station.samples), 2)
        self.assertEqual(self.station.kinds().count(UPDATED), 1)

    def test_a_schema_fault_is_flagged_and_what_is_readable_is_taken(self) -> None:
        self.send(sampled_16(self.station.now, {"value": "2000", "unit": "Megajoule"}, {"value": "3", "phase": "L9"}))
        self.send({"timestamp": iso(self.station.now), "sampledValue": [{"value": 2500}]}, transactionId="x")
        session = self.station.session
        self.assertEqual(session.flags, {Flag.SCHEMA_FAULT})
        self.assertEqual([sample.session_id for sample in self.station.samples], [session.id, session.id, 0])

    def test_another_chargers_transaction_is_out_of_reach(self) -> None:
        stranger = Station(unit=self.station.unit, device_id="CP2")
        element = sampled_16(self.station.now, {"value": "99000"})
        stranger.send("MeterValues", {"connectorId": 1, "transactionId": self.transaction_id, "meterValue": [element]})
        self.assertEqual(self.station.session.energy_wh, 0)
        self.assertEqual([sample.session_id for sample in stranger.samples], [0])

    def test_values_taken_before_the_stop_but_sent_after_it_still_belong_to_it(self) -> None:
        self.station.stop(self.transaction_id)
        self.station.wait(minutes=10)
        before, after = NOON + timedelta(minutes=5), NOON + timedelta(minutes=15)
        self.send(sampled_16(before, {"value": "2000"}), sampled_16(after, {"value": "9000"}))
        self.assertEqual([sample.session_id for sample in self.station.samples], [self.station.session.id, 0])
        self.assertEqual((self.station.session.energy_wh, self.station.session.meter_stop_wh), (2500, 3500))
        self.assertIn(Flag.LATE_EVENT, self.station.session.flags)


class WithoutASession(unittest.TestCase):
    def test_they_are_kept_with_their_connector_and_told(self) -> None:
        station = Station()
        element = sampled_16(NOON, {"value": "3500"}, {"value": "10", "measurand": POWER})
        station.send("MeterValues", {"connectorId": 2, "meterValue": [element]})
        self.assertEqual(station.sessions, [])
        self.assertEqual([(one.session_id, one.connector_id) for one in station.samples], [(0, 2), (0, 2)])
        self.assertEqual(
            station.last(UPDATED),
            {"evseId": 2, "connectorId": 2, "registerWh": 3500, "powerW": 10, "sampledAt": NOON},
        )

    def test_the_running_session_of_the_connector_is_left_alone(self) -> None:
        station = Station()
        station.start()
        station.wait(minutes=5)
        station.send("MeterValues", {"connectorId": 1, "meterValue": [sampled_16(station.now, {"value": "9000"})]})
        self.assertEqual((station.session.energy_wh, station.session.meter_last_wh), (0, None))

    def test_a_backlog_is_stored_but_not_told(self) -> None:
        station = Station()
        element = sampled_16(NOON - timedelta(hours=3), {"value": "3500"})
        station.send("MeterValues", {"connectorId": 1, "meterValue": [element]})
        self.assertEqual((len(station.samples), station.told), (1, []))

    def test_values_that_nobody_watches_are_not_told(self) -> None:
        station = Station()
        element = sampled_16(NOON, {"value": "230", "measurand": "Voltage"})
        station.send("MeterValues", {"connectorId": 1, "meterValue": [element]})
        self.assertEqual((len(station.samples), station.told), (1, []))

    def test_2x_values_are_of_an_evse(self) -> None:
        for version in (Version.V201, Version.V21):
            station = Station(version)
            station.send("MeterValues", {"evseId": 3, "meterValue": [register_2(NOON, 1234)]})
            (sample,) = station.samples
            self.assertEqual((sample.evse_id, sample.connector_id, sample.session_id), (3, 0, 0))
            self.assertEqual((sample.measurand, sample.value), (REGISTER, 1234))
