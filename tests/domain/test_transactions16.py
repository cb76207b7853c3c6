"""StartTransaction and StopTransaction of 1.6."""

from __future__ import annotations

import copy
import unittest
from datetime import timedelta

from csms.domain.foreign import FOREIGN_TRANSACTION as EVENT
from csms.domain.messages import NotificationType
from csms.domain.model import Flag, Session, SessionState
from csms.domain.sessions import MAX_ACTIVE
from tests.domain.station import NOON, Station, iso, sampled_16

STARTED, STOPPED = NotificationType.CHARGING_STARTED, NotificationType.CHARGING_STOPPED


def prepared() -> Station:
    station = Station()
    station.know("CARD", group="FLEET")
    return station


class Starts(unittest.TestCase):
    def test_a_start_makes_a_session_and_is_told(self) -> None:
        station = prepared()
        answer = station.send("StartTransaction", station.start_request(reservationId=8))
        self.assertEqual(answer["idTagInfo"], {"status": "Accepted", "parentIdTag": "FLEET"})
        session = station.session
        self.assertEqual(session.transaction_id, str(answer["transactionId"]))
        self.assertEqual((session.evse_id, session.connector_id, session.id_token), (1, 1, "CARD"))
        self.assertEqual((session.started_at, session.meter_start_wh, session.reservation_id), (NOON, 1000, 8))
        self.assertEqual((session.group_id_token, session.flags, session.state), ("FLEET", set(), "active"))
        told = station.last(STARTED)
        self.assertEqual((told["sessionId"], told["transactionId"]), (session.id, session.transaction_id))
        self.assertEqual((told["idToken"], told["meterStartWh"], told["startedAt"]), ("CARD", 1000, NOON))
        self.assertNotIn("stoppedAt", told)

    def test_transaction_ids_are_positive_and_not_in_sequence(self) -> None:
        station = prepared()
        ids = [station.start(connectorId=connector) for connector in range(1, 51)]
        self.assertEqual(len(set(ids)), 50)
        self.assertTrue(all(0 < one < 2**31 for one in ids))
        self.assertGreater(max(ids) - min(ids), 2**20)

    def test_an_id_that_is_taken_is_drawn_again(self) -> None:
        drawn = prepared().start()
        station = prepared()
        station.unit.sessions.add(
            Session(
                charger_id=station.charger.id,
                transaction_id=str(drawn),
                start_key="an earlier one",
                state=SessionState.ENDED,
                started_at=NOON,
                start_received_at=NOON,
            )
        )
        self.assertNotEqual(station.start(), drawn)
        self.assertEqual(len(station.sessions), 2)

    def test_the_same_message_handled_again_draws_the_same_id(self) -> None:
        self.assertEqual(prepared().start(), prepared().start())

    def test_starts_that_differ_in_any_key_field_are_different_sessions(self) -> None:
        station = prepared()
        different: list[dict[str, object]] = [
            {},
            {"connectorId": 2},
            {"idTag": "OTHER"},
            {"meterStart": 1001},
            {"timestamp": iso(NOON - timedelta(seconds=1))},
        ]
        ids = [station.start(**fields) for fields in different]
        self.assertEqual(len(set(ids)), len(ids))

    def test_a_repeat_may_write_the_same_time_in_another_way(self) -> None:
        station = prepared()
        first = station.start(timestamp="2026-06-01T12:00:00Z")
        self.assertEqual(station.start(timestamp="2026-06-01T14:00:00.000+02:00"), first)

    def test_a_repeat_gets_its_first_status_again_even_when_the_token_was_blocked_since(self) -> None:
        station = prepared()
        request = station.start_request()
        first = station.send("StartTransaction", request)
        token = station.unit.id_tokens.get("CARD")
        assert token is not None
        token.blocked = True
        self.assertEqual(station.send("StartTransaction", request), first)

    def test_two_chargers_with_the_same_start_have_two_sessions(self) -> None:
        one = prepared()
        other = Station(unit=one.unit, device_id="CP2")
        one.start()
        other.start()
        self.assertEqual((len(one.sessions), len(other.sessions)), (1, 1))

    def test_a_start_without_readable_fields_is_still_a_session(self) -> None:
        station = prepared()
        answer = station.send("StartTransaction", {"connectorId": "one", "idTag": None, "meterStart": {}})
        session = station.session
        self.assertEqual(str(answer["transactionId"]), session.transaction_id)
        self.assertEqual((session.evse_id, session.id_token, session.meter_start_wh), (0, "", None))
        self.assertEqual(session.flags, {Flag.SCHEMA_FAULT, Flag.CLOCK_SKEW, Flag.UNKNOWN_TOKEN})

    def test_wrong_types_that_can_be_read_are_read(self) -> None:
        station = prepared()
        station.start(connectorId="1", meterStart="1000.0", idTag="CARD")
        self.assertEqual((station.session.connector_id, station.session.meter_start_wh), (1, 1000))

    def test_a_meter_beyond_31_bits_is_kept(self) -> None:
        station = prepared()
        station.stop(station.start(meterStart=2**31 + 5), meterStop=2**31 + 1005)
        self.assertEqual(station.session.energy_wh, 1000)

    def test_connector_0_supersedes_nothing(self) -> None:
        station = prepared()
        station.start(connectorId=0)
        station.start(connectorId=0, idTag="OTHER")
        self.assertEqual([session.state for session in station.sessions], [SessionState.ACTIVE] * 2)

    def test_a_charger_cannot_keep_sessions_open_without_end(self) -> None:
        station = prepared()
        for number in range(MAX_ACTIVE + 5):
            station.start(connectorId=0, meterStart=number)
        states = [session.state for session in station.sessions]
        self.assertEqual(states.count(SessionState.ACTIVE), MAX_ACTIVE)
        self.assertEqual(states[:5], [SessionState.SUPERSEDED] * 5)

    def test_a_superseded_session_has_its_stop_told_once(self) -> None:
        station = prepared()
        first = station.start()
        station.wait(hours=1)
        station.start()
        self.assertEqual(station.kinds(), [STARTED, STOPPED, STARTED])
        told = station.last(STOPPED)
        self.assertEqual((told["state"], told["stoppedAt"]), ("superseded", NOON + timedelta(hours=1)))
        station.stop(first)
        station.stop(first)
        self.assertEqual(station.kinds()[3:], [NotificationType.CHARGING_UPDATED])

    def test_a_clock_that_was_set_meanwhile_does_not_turn_old_and_new_round(self) -> None:
        station = prepared()
        station.start(timestamp=iso(NOON + timedelta(hours=2)))
        station.wait(hours=1)
        station.start()
        self.assertEqual([one.state for one in station.sessions], [SessionState.SUPERSEDED, SessionState.ACTIVE])


class Stops(unittest.TestCase):
    def test_a_stop_ends_the_session_and_is_told(self) -> None:
        station = prepared()
        transaction_id = station.start()
        station.wait(minutes=90)
        station.stop(transaction_id, idTag="OTHER", reason="EVDisconnected")
        session = station.session
        self.assertEqual(
            (session.state, session.stop_reason, session.stop_id_token), ("ended", "EVDisconnected", "OTHER")
        )
        self.assertEqual((session.stopped_at, session.stop_received_at), (station.now, station.now))
        self.assertEqual((session.meter_stop_wh, session.energy_wh, session.flags), (3500, 2500, set()))
        told = station.last(STOPPED)
        self.assertEqual((told["energyWh"], told["durationS"], told["stopReason"]), (2500, 5400, "EVDisconnected"))
        self.assertEqual(station.kinds(), [STARTED, STOPPED])

    def test_transaction_data_belongs_to_the_session(self) -> None:
        station = prepared()
        transaction_id = station.start()
        station.wait(minutes=60)
        data = [
            sampled_16(NOON, {"value": "1.0", "unit": "kWh", "context": "Transaction.Begin"}),
            sampled_16(
                station.now,
                {"value": "3.5", "unit": "kWh", "context": "Transaction.End"},
                {"value": "9", "measurand": "SoC"},
            ),
        ]
        station.stop(transaction_id, transactionData=data)
        self.assertEqual([sample.value for sample in station.samples], [1000, 3500, 9])
        self.assertEqual({sample.session_id for sample in station.samples}, {station.session.id})
        self.assertEqual((station.session.soc_percent, station.session.flags), (9, set()))

    def test_an_unreadable_meter_stop_is_taken_from_the_transaction_data(self) -> None:
        station = prepared()
        transaction_id = station.start()
        station.wait(minutes=60)
        data = [sampled_16(station.now, {"value": "4000", "context": "Transaction.End"})]
        station.stop(transaction_id, meterStop=None, transactionData=data)
        self.assertEqual((station.session.meter_stop_wh, station.session.energy_wh), (4000, 3000))
        self.assertEqual(station.session.flags, {Flag.SCHEMA_FAULT})

    def test_a_stop_before_its_start_is_flagged_and_has_no_negative_duration(self) -> None:
        station = prepared()
        station.stop(station.start(), timestamp=iso(NOON - timedelta(hours=1)))
        self.assertEqual(station.session.stopped_at, NOON)
        self.assertIn(Flag.CLOCK_SKEW, station.session.flags)
        self.assertEqual(station.last(STOPPED)["durationS"], 0)

    def test_another_chargers_transaction_cannot_be_stopped(self) -> None:
        one = prepared()
        other = Station(unit=one.unit, device_id="CP2")
        other.stop(one.start())
        self.assertEqual(one.session.state, "active")
        self.assertEqual(other.session.flags, {Flag.ORPHAN})

    def test_what_a_charger_says_of_anothers_transaction_changes_nothing_there_and_is_told_once(self) -> None:
        one = prepared()
        number = one.start()
        before = copy.deepcopy(one.session)
        other = Station(unit=one.unit, device_id="CP2")
        value = {"timestamp": iso(one.now), "sampledValue": [{"value": "99999"}]}
        for _ in range(3):
            other.send("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [value]})
            other.send("MeterValues", {"connectorId": 1, "transactionId": number + 1, "meterValue": [value]})
        other.stop(number)
        other.stop(number)
        self.assertEqual(one.session, before)
        events = one.unit.devices.security_events
        self.assertEqual([(event.charger_id, event.type) for event in events], [(other.charger.id, EVENT)] * 2)
        self.assertEqual(
            [event.tech_info for event in events],
            [
                f"{action} names transaction {number} of another charger"
                for action in ("MeterValues", "StopTransaction")
            ],
        )
        self.assertEqual([note.data["event"] for note in other.told if note.type == "security.event"], [EVENT] * 2)
        one.stop(number)
        other.stop(number)
        self.assertEqual(len(events), 2)

    def test_a_stop_with_nothing_readable_is_an_orphan(self) -> None:
        station = prepared()
        station.send("StopTransaction", {"transactionId": [], "transactionData": "none", "timestamp": 5})
        session = station.session
        self.assertEqual(
            (session.transaction_id, session.reported_transaction_id, session.state), (None, "none", "ended")
        )
        self.assertEqual(session.flags, {Flag.ORPHAN, Flag.SCHEMA_FAULT, Flag.CLOCK_SKEW})
        self.assertEqual(station.told, [])
