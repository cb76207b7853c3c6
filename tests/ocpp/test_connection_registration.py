"""What a charger may send before its boot notification was accepted."""

from __future__ import annotations

import json
import unittest

from csms.ocpp.connection import Connection
from csms.ocpp.errors import LocalError
from csms.ocpp.events import CallReceived, Ignored, SendText
from csms.ocpp.registration import Registration
from csms.ocpp.versions import Version
from tests.ocpp.exchange import call, of_kind, only, sent

IN_2X = (Version.V201, Version.V21)
BOOT = call("boot", "BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "m", "vendorName": "v"}})
STATUS = call(
    "status",
    "StatusNotification",
    {"timestamp": "2024-01-01T00:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 1},
)
REPORT = call("report", "NotifyReport", {"requestId": 1, "generatedAt": "2024-01-01T00:00:00Z", "seqNo": 0})


def boot_answer(status: str) -> dict[str, object]:
    """The answer to BOOT."""
    return {"status": status, "currentTime": "2024-01-01T00:00:00Z", "interval": 300}


class RegistrationTests(unittest.TestCase):
    def assert_security_error(self, connection: Connection, text: str) -> None:
        (frame,) = sent(connection.receive(text))
        self.assertEqual(frame[0], 4)
        self.assertEqual(frame[2], "SecurityError")

    def test_a_charger_that_reconnects_without_booting_may_send(self) -> None:
        for version in IN_2X:
            only(Connection(version).receive(STATUS), CallReceived)

    def test_2x_refuses_all_but_boot_while_pending_or_rejected(self) -> None:
        for version in IN_2X:
            for registration in (Registration.PENDING, Registration.REJECTED):
                connection = Connection(version, registration=registration)
                for text in (STATUS, REPORT, call("1", "Nonsense"), call("2", "MeterValues", {})):
                    self.assert_security_error(connection, text)
                only(connection.receive(BOOT), CallReceived)

    def test_16_is_tolerant(self) -> None:
        connection = Connection(Version.V16, registration=Registration.PENDING)
        only(connection.receive(call("1", "Heartbeat")), CallReceived)

    def test_what_was_pipelined_behind_the_boot_is_judged_after_its_answer(self) -> None:
        for status in Registration:
            connection = Connection(Version.V201, registration=Registration.PENDING)
            connection.receive(BOOT)
            self.assertEqual(connection.receive(STATUS), [])
            connection.registration = status
            events = connection.answer("boot", boot_answer(status.value))
            if status is Registration.ACCEPTED:
                self.assertEqual([e.unique_id for e in of_kind(events, CallReceived)], ["status"])
            else:
                self.assertEqual([frame[:2] for frame in sent(events)], [[3, "boot"], [4, "status"]])

    def test_what_we_asked_for_may_be_sent_while_pending(self) -> None:
        for action, payload, text in (
            ("TriggerMessage", {"requestedMessage": "StatusNotification"}, STATUS),
            ("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}, REPORT),
        ):
            connection = Connection(Version.V201, registration=Registration.PENDING)
            self.assert_security_error(connection, text)
            connection.call("ours", action, payload, 0.0, 30.0)
            only(connection.receive(text), CallReceived)

    def test_a_triggered_certificate_request_may_be_sent_while_pending(self) -> None:
        connection = Connection(Version.V201, registration=Registration.PENDING)
        connection.call("ours", "TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"}, 0.0, 30.0)
        only(connection.receive(call("1", "SignCertificate", {"csr": "x"})), CallReceived)

    def test_what_we_asked_for_is_refused_once_rejected(self) -> None:
        connection = Connection(Version.V201, registration=Registration.PENDING)
        connection.call("ours", "TriggerMessage", {"requestedMessage": "StatusNotification"}, 0.0, 30.0)
        connection.registration = Registration.REJECTED
        self.assert_security_error(connection, STATUS)

    def test_a_rejected_charger_is_not_called(self) -> None:
        for version in Version:
            connection = Connection(version, registration=Registration.REJECTED)
            with self.assertRaises(LocalError):
                connection.call("ours", "ClearCache", {}, 0.0, 30.0)

    def test_a_send_of_a_charger_that_is_not_accepted_is_dropped(self) -> None:
        connection = Connection(Version.V21, registration=Registration.PENDING)
        stream = {"id": 1, "pending": 0, "basetime": "2024-01-01T00:00:00Z", "data": [{"t": 0, "v": "1"}]}
        events = connection.receive(json.dumps([6, "1", "NotifyPeriodicEventStream", stream]))
        only(events, Ignored)
        self.assertEqual(of_kind(events, SendText), [])
