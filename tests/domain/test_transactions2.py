"""TransactionEvent of 2.0.1 and 2.1."""

from __future__ import annotations

import unittest
from datetime import timedelta

from csms.domain.messages import NotificationType
from csms.domain.model import Flag, SessionState
from csms.ocpp.versions import Version
from tests.domain.station import NOON, Station, card, iso, register_2

STARTED, STOPPED = NotificationType.CHARGING_STARTED, NotificationType.CHARGING_STOPPED
UPDATED, METER = NotificationType.CHARGING_UPDATED, NotificationType.METER_VALUES_UPDATED
EVSE = {"id": 1, "connectorId": 2}


def prepared(version: Version = Version.V201) -> Station:
    station = Station(version)
    station.know("CARD", group="FLEET")
    station.know("SISTER", group="FLEET")
    return station


class Sessions(unittest.TestCase):
    def test_a_whole_session_of_either_version(self) -> None:
        for version in (Version.V201, Version.V21):
            station = prepared(version)
            begin = register_2(NOON, 1000, "Transaction.Begin")
            self.assertEqual(station.event("Started", 0, evse=EVSE, state="EVConnected", meterValue=[begin]), {})
            answer = station.event("Updated", 1, idToken=card(), triggerReason="Authorized", state="Charging")
            self.assertEqual(answer["idTokenInfo"]["status"], "Accepted")
            self.assertEqual(answer["idTokenInfo"]["groupIdToken"], {"idToken": "FLEET", "type": "Central"})
            station.wait(minutes=30)
            station.event("Updated", 2, meterValue=[register_2(station.now, 4000)])
            self.assertEqual(station.session.energy_wh, 3000)
            station.wait(minutes=30)
            end = register_2(station.now, 8000, "Transaction.End")
            answer = station.event("Ended", 3, idToken=card("SISTER"), reason="StoppedByEV", meterValue=[end])
            self.assertEqual(answer["idTokenInfo"]["status"], "Accepted")

            session = station.session
            self.assertEqual((session.transaction_id, session.state, session.flags), ("tx-1", "ended", set()))
            self.assertEqual((session.evse_id, session.connector_id), (1, 2))
            self.assertEqual(
                (session.id_token, session.id_token_type, session.stop_id_token), ("CARD", "ISO14443", "SISTER")
            )
            self.assertEqual((session.started_at, session.stopped_at), (NOON, NOON + timedelta(hours=1)))
            self.assertEqual((session.meter_start_wh, session.meter_stop_wh, session.energy_wh), (1000, 8000, 7000))
            self.assertEqual((session.stop_reason, session.charging_state, session.last_seq_no), ("StoppedByEV", "", 3))
            self.assertEqual(station.kinds(), [STARTED, UPDATED, METER, STOPPED])
            self.assertEqual(len(station.samples), 3)

    def test_without_a_token_there_is_no_token_info(self) -> None:
        station = prepared()
        self.assertEqual(station.event("Started", 0), {})
        self.assertEqual(station.event("Ended", 1), {})

    def test_an_unknown_token_is_answered_and_its_session_kept(self) -> None:
        station = prepared()
        self.assertEqual(station.event("Started", 0, idToken=card("X"))["idTokenInfo"], {"status": "Unknown"})
        self.assertEqual((station.session.id_token, station.session.authorization_status), ("X", "Unknown"))
        self.assertEqual(station.session.flags, {Flag.UNKNOWN_TOKEN})

    def test_a_good_card_after_a_refused_one_takes_the_session(self) -> None:
        station = prepared()
        station.event("Started", 0, idToken=card("X"))
        station.event("Updated", 1, idToken=card())
        session = station.session
        self.assertEqual((session.id_token, session.authorization_status, session.flags), ("CARD", "Accepted", set()))

    def test_another_card_beside_the_accepted_one_is_only_answered(self) -> None:
        station = prepared()
        station.event("Started", 0, idToken=card())
        self.assertEqual(station.event("Updated", 1, idToken=card("X"))["idTokenInfo"]["status"], "Unknown")
        self.assertEqual((station.session.id_token, station.session.authorization_status), ("CARD", "Accepted"))

    def test_the_card_that_stops_is_not_the_one_that_pays(self) -> None:
        station = prepared()
        station.event("Started", 0, idToken=card())
        station.event("Updated", 1, idToken=card("SISTER"), triggerReason="StopAuthorized")
        self.assertEqual((station.session.id_token, station.session.stop_id_token), ("CARD", "SISTER"))

    def test_what_later_events_know_completes_the_session(self) -> None:
        station = prepared()
        station.event("Started", 0, reservationId=4)
        station.event("Updated", 1, evse={"id": 2}, transactionInfo={"transactionId": "tx-1", "remoteStartId": 9})
        station.event("Updated", 2, evse={"id": 2, "connectorId": 1})
        session = station.session
        self.assertEqual((session.evse_id, session.connector_id), (2, 1))
        self.assertEqual((session.reservation_id, session.remote_start_id), (4, 9))

    def test_only_a_change_is_told(self) -> None:
        station = prepared()
        station.event("Started", 0, state="Charging")
        station.event("Updated", 1, state="Charging")
        station.event("Updated", 2, state="SuspendedEV")
        self.assertEqual(station.kinds(), [STARTED, UPDATED])
        self.assertEqual(station.last(UPDATED)["chargingState"], "SuspendedEV")

    def test_a_second_transaction_on_the_evse_supersedes_the_first(self) -> None:
        station = prepared()
        station.event("Started", 0, evse=EVSE)
        station.wait(hours=1)
        station.event("Started", 0, evse={"id": 1}, transaction="tx-2")
        station.event("Started", 0, evse={"id": 2, "connectorId": 1}, transaction="tx-3")
        states = [session.state for session in station.sessions]
        self.assertEqual(states, [SessionState.SUPERSEDED, SessionState.ACTIVE, SessionState.ACTIVE])

    def test_an_end_without_meter_values_keeps_what_was_measured(self) -> None:
        station = prepared()
        station.event("Started", 0, meterValue=[register_2(NOON, 1000, "Transaction.Begin")])
        station.wait(minutes=5)
        station.event("Updated", 1, meterValue=[register_2(station.now, 1500)])
        station.event("Ended", 2)
        self.assertEqual((station.session.energy_wh, station.session.meter_stop_wh), (500, None))

    def test_an_end_with_all_its_samples_is_not_offline(self) -> None:
        station = prepared()
        station.event("Started", 0)
        station.wait(hours=2)
        samples = [
            register_2(NOON, 1000, "Transaction.Begin"),
            register_2(NOON + timedelta(hours=1), 3000),
            register_2(station.now, 5000, "Transaction.End"),
        ]
        station.event("Ended", 1, meterValue=samples)
        self.assertEqual((station.session.energy_wh, station.session.flags), (4000, set()))


class OrderAndRepeats(unittest.TestCase):
    def test_a_repeat_has_no_effect_and_the_same_answer(self) -> None:
        station = prepared()
        value = register_2(NOON, 1000, "Transaction.Begin")
        first = station.event("Started", 0, idToken=card(), meterValue=[value])
        token = station.unit.id_tokens.get("CARD")
        assert token is not None
        token.blocked = True
        self.assertEqual(station.event("Started", 0, idToken=card(), meterValue=[value]), first)
        self.assertEqual((station.kinds(), len(station.samples)), ([STARTED], 1))

    def test_a_repeated_end_counts_once(self) -> None:
        station = prepared()
        station.event("Started", 0)
        station.event("Ended", 1, idToken=card())
        station.wait(hours=1)
        self.assertEqual(station.event("Ended", 1, idToken=card())["idTokenInfo"]["status"], "Accepted")
        self.assertEqual((station.session.stopped_at, station.kinds()), (NOON, [STARTED, STOPPED]))

    def test_an_end_under_a_used_number_still_ends(self) -> None:
        station = prepared()
        station.event("Started", 0, meterValue=[register_2(NOON, 1000, "Transaction.Begin")])
        station.wait(minutes=5)
        station.event("Updated", 0, meterValue=[register_2(station.now, 2000)])
        station.wait(minutes=5)
        station.event("Ended", 0, meterValue=[register_2(station.now, 3000)])
        self.assertEqual((station.session.state, station.session.energy_wh), ("ended", 2000))

    def test_an_older_state_that_comes_late_is_not_the_present_one(self) -> None:
        station = prepared()
        station.event("Started", 0)
        station.event("Updated", 2, state="SuspendedEV")
        station.event("Updated", 1, state="Charging", offline=True)
        self.assertEqual(station.session.charging_state, "SuspendedEV")
        self.assertEqual(station.session.flags, {Flag.LATE_EVENT, Flag.OFFLINE})

    def test_late_intervals_complete_the_energy(self) -> None:
        station = prepared()

        def interval(minute: int, wh: float) -> list[dict[str, object]]:
            sampled = {"value": wh, "measurand": "Energy.Active.Import.Interval"}
            return [{"timestamp": iso(NOON + timedelta(minutes=minute)), "sampledValue": [sampled]}]

        station.event("Started", 0)
        station.wait(minutes=30)
        station.event("Ended", 3, meterValue=interval(30, 300))
        station.event("Updated", 2, meterValue=interval(20, 200), offline=True)
        station.event("Updated", 1, meterValue=interval(10, 100), offline=True)
        station.event("Updated", 2, meterValue=interval(20, 200), offline=True)
        self.assertEqual(station.session.energy_wh, 600)
        self.assertEqual(station.last(UPDATED)["energyWh"], 600)

    def test_another_chargers_transaction_is_another_session(self) -> None:
        one = prepared()
        other = Station(Version.V201, unit=one.unit, device_id="CP2")
        one.event("Started", 0)
        other.event("Ended", 1)
        self.assertEqual((one.session.state, other.session.state), ("active", "ended"))

    def test_a_meter_that_goes_back_is_no_negative_energy(self) -> None:
        station = prepared()
        station.event("Started", 0, meterValue=[register_2(NOON, 5000, "Transaction.Begin")])
        station.wait(minutes=5)
        station.event("Ended", 1, meterValue=[register_2(station.now, 200, "Transaction.End")])
        session = station.session
        self.assertEqual((session.meter_stop_wh, session.energy_wh), (200, 0))
        self.assertEqual(session.flags, {Flag.METER_DECREASED})


class SchemaFaults(unittest.TestCase):
    def test_a_token_as_bare_text_is_read(self) -> None:
        station = prepared()
        self.assertEqual(station.event("Started", 0, idToken="CARD")["idTokenInfo"]["status"], "Accepted")
        self.assertEqual(station.session.flags, {Flag.SCHEMA_FAULT})

    def test_events_without_a_number_are_told_apart_by_what_they_say(self) -> None:
        station = prepared()
        station.event("Started", 0)
        for state in ("Charging", "Charging", "SuspendedEV"):
            station.event("Updated", 0, seqNo=None, state=state)
        self.assertEqual(station.session.charging_state, "SuspendedEV")
        self.assertEqual(station.kinds(), [STARTED, UPDATED, UPDATED])
        self.assertEqual(len(station.unit.sessions.events), 3)

    def test_an_event_without_a_transaction_keeps_its_samples_and_answers_its_token(self) -> None:
        station = prepared()
        value = register_2(NOON, 1000)
        answer = station.event("Updated", 0, transactionInfo=None, idToken=card(), evse=EVSE, meterValue=[value])
        self.assertEqual(answer["idTokenInfo"]["status"], "Accepted")
        self.assertEqual(station.sessions, [])
        self.assertEqual([(one.session_id, one.evse_id) for one in station.samples], [(0, 1)])

    def test_unreadable_times_are_those_of_receipt(self) -> None:
        station = prepared()
        station.event("Started", 0, timestamp="soon")
        self.assertEqual(station.session.started_at, NOON)
        self.assertEqual(station.session.flags, {Flag.SCHEMA_FAULT, Flag.CLOCK_SKEW})
