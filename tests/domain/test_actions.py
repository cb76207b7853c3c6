"""The table of actions is complete, and what gateways answer by themselves fits the schemas."""

from __future__ import annotations

import unittest

from csms.domain.actions import ACTIONS, AnsweredBy, answered_by, gateway_answer
from csms.domain.handling import AnswerContext
from csms.domain.messages import COMMAND_RESULT, COMMAND_SENT, CONNECTION_CLOSED, CONNECTION_OPENED
from csms.domain.model import Registration
from csms.ocpp.directions import Direction, direction
from csms.ocpp.errors import ErrorCode
from csms.ocpp.schemas import actions, check_response
from csms.ocpp.versions import Version
from tests.domain.station import NOON, Station, card

FROM_GATEWAYS = (CONNECTION_OPENED, CONNECTION_CLOSED, COMMAND_SENT, COMMAND_RESULT)
BY_GATEWAY = (AnsweredBy.GATEWAY, AnsweredBy.GATEWAY_MEMORY)
FROM_CHARGER = [
    (version, action)
    for version in Version
    for action in sorted(actions(version))
    if (way := direction(version, action)) and (way.charger_calls or way is Direction.SEND_FROM_CHARGER)
]


class TheTable(unittest.TestCase):
    def test_it_holds_every_action_that_a_charger_may_send_and_no_other(self) -> None:
        ours = {key for key in ACTIONS if key[1] not in FROM_GATEWAYS}
        self.assertEqual(ours, {(version.value, action) for version, action in FROM_CHARGER})

    def test_each_gateway_answer_fits_its_response_schema(self) -> None:
        for registration in Registration:
            context = AnswerContext(now=NOON, registration=registration.value, heartbeat_interval_s=60)
            for version, action in FROM_CHARGER:
                if ACTIONS[version, action].answer is None:
                    continue
                answer = gateway_answer(version, action, context)
                with self.subTest(version=version, action=action):
                    self.assertIsNone(check_response(version, action, answer))

    def test_each_row_has_exactly_what_its_answerer_needs(self) -> None:
        for (version, action), row in ACTIONS.items():
            with self.subTest(version=version, action=action):
                if row.answered_by in BY_GATEWAY:
                    self.assertIsNotNone(row.answer)
                elif row.answered_by is AnsweredBy.WORKER:
                    self.assertIsNotNone(row.handler)
                else:
                    self.assertIsNone(row.answer)

    def test_only_a_send_has_no_answer(self) -> None:
        for version, action in FROM_CHARGER:
            silent = ACTIONS[version, action].answered_by is AnsweredBy.NOBODY
            self.assertEqual(silent, direction(version, action) is Direction.SEND_FROM_CHARGER)

    def test_a_transaction_event_is_decided_by_a_worker_only_when_it_has_a_token(self) -> None:
        for version in ("2.0.1", "2.1"):
            self.assertIs(answered_by(version, "TransactionEvent", {}), AnsweredBy.GATEWAY)
            self.assertIs(answered_by(version, "TransactionEvent", {"idToken": None}), AnsweredBy.GATEWAY)
            self.assertIs(answered_by(version, "TransactionEvent", {"idToken": card()}), AnsweredBy.WORKER)

    def test_decisions_do_not_depend_on_the_payload_otherwise(self) -> None:
        self.assertIs(answered_by("1.6", "Authorize", {}), AnsweredBy.WORKER)
        self.assertIs(answered_by("1.6", "StartTransaction", {}), AnsweredBy.WORKER)
        self.assertIs(answered_by("1.6", "StopTransaction", {}), AnsweredBy.GATEWAY)
        self.assertIs(answered_by("1.6", "Heartbeat", {}), AnsweredBy.GATEWAY_MEMORY)

    def test_the_gateway_has_no_answer_to_a_decision(self) -> None:
        context = AnswerContext(now=NOON, registration="Accepted", heartbeat_interval_s=60)
        for action in ("Authorize", "StartTransaction", CONNECTION_OPENED):
            with self.assertRaises(KeyError):
                gateway_answer("1.6", action, context)

    def test_what_csms_cannot_decide_yet_is_refused_and_never_accepted(self) -> None:
        named = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1"}
        data = {**named, "responderURL": "http://127.0.0.1/"}
        for version in (Version.V201, Version.V21):
            handled = Station(version).handle("GetCertificateStatus", {"ocspRequestData": data})
            self.assertIs(handled.error, ErrorCode.NOT_SUPPORTED)
            self.assertIsNone(handled.answer)

    def test_without_an_authority_no_certificate_is_promised(self) -> None:
        csr = {"csr": "-----BEGIN CERTIFICATE REQUEST-----"}
        for version in Version:
            self.assertEqual(Station(version).handle("SignCertificate", csr).answer, {"status": "Rejected"})


class TheEntry(unittest.TestCase):
    def test_an_action_that_is_only_logged_has_no_effect_but_the_sign_of_life(self) -> None:
        station = Station(Version.V201)
        station.send("ClearedChargingLimit", {"chargingLimitSource": "EMS"})
        self.assertEqual(station.charger.last_seen_at, NOON)
        self.assertEqual(station.told, [])

    def test_a_charger_that_was_removed_is_refused(self) -> None:
        station = Station()
        del station.unit.chargers.by_id[station.charger.id]
        handled = station.handle("Authorize", {"idTag": "CARD"})
        self.assertIs(handled.error, ErrorCode.SECURITY_ERROR)

    def test_vendor_messages_are_answered_as_unknown(self) -> None:
        for version in Version:
            self.assertEqual(
                Station(version).send("DataTransfer", {"vendorId": "com.example"}), {"status": "UnknownVendorId"}
            )
