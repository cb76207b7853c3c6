"""CALLs of a charger: each answered once, in its order."""

from __future__ import annotations

import json
import unittest

from csms.ocpp.connection import Connection
from csms.ocpp.errors import ErrorCode, LocalError
from csms.ocpp.events import (
    CallReceived,
    Flooded,
    Ignored,
    Refused,
    Replayed,
    SendReceived,
    SendText,
    Why,
)
from csms.ocpp.versions import Version
from tests.ocpp.exchange import AUTHORIZED_16, authorize, call, of_kind, only, sent

TRANSFERRED = {"status": "Accepted"}
METER_VALUE = {"timestamp": "2024-01-01T00:00:00Z", "sampledValue": [{"value": "1"}]}


def transfer(unique_id: str, vendor: str = "vendor") -> str:
    """A DataTransfer."""
    return call(unique_id, "DataTransfer", {"vendorId": vendor})


class OrderTests(unittest.TestCase):
    def setUp(self) -> None:
        self.connection = Connection(Version.V16, max_queued_calls=3)

    def test_a_call_is_handed_out_and_answered(self) -> None:
        text = authorize("7")
        received = only(self.connection.receive(text), CallReceived)
        self.assertEqual((received.unique_id, received.action, received.payload), ("7", "Authorize", {"idTag": "tag"}))
        self.assertEqual(received.raw, text)
        self.assertIsNone(received.fault)
        self.assertFalse(received.cleaned)
        answer = only(self.connection.answer("7", AUTHORIZED_16), SendText)
        self.assertEqual(answer.text, '[3,"7",{"idTagInfo":{"status":"Accepted"}}]')
        self.assertIsNone(answer.fault)

    def test_pipelined_calls_are_handed_out_one_after_the_answer_of_the_other(self) -> None:
        self.assertEqual(len(self.connection.receive(authorize("1"))), 1)
        for unique_id in ("2", "3"):
            self.assertEqual(self.connection.receive(authorize(unique_id)), [])
        for unique_id, following in (("1", "2"), ("2", "3"), ("3", None)):
            events = self.connection.answer(unique_id, AUTHORIZED_16)
            self.assertEqual(sent(events), [[3, unique_id, AUTHORIZED_16]])
            self.assertEqual([e.unique_id for e in of_kind(events, CallReceived)], [following] if following else [])
        self.assertIsNone(self.connection.waiting_for)

    def test_a_refusal_waits_for_its_turn(self) -> None:
        self.connection.receive(authorize("1"))
        self.assertEqual(self.connection.receive(call("2", "Nonsense")), [])
        self.connection.receive(call("3", "Authorize", {"idTag": 5}))
        self.connection.receive(authorize("4"))
        events = self.connection.answer("1", AUTHORIZED_16)
        self.assertEqual([frame[:2] for frame in sent(events)], [[3, "1"], [4, "2"], [4, "3"]])
        self.assertEqual(self.connection.waiting_for, "4")
        self.assertIsInstance(events[-1], CallReceived)

    def test_an_abandoned_call_gets_no_answer_and_lets_the_next_one_through(self) -> None:
        self.connection.receive(authorize("1"))
        self.connection.receive(authorize("2"))
        self.assertEqual(only(self.connection.abandon("1"), CallReceived).unique_id, "2")
        with self.assertRaises(LocalError):
            self.connection.answer("1", AUTHORIZED_16)

    def test_an_error_answers_with_the_spelling_of_the_version(self) -> None:
        self.connection.receive(authorize("1"))
        events = self.connection.answer_error("1", ErrorCode.OCCURRENCE_VIOLATION, "no")
        self.assertEqual(sent(events), [[4, "1", "OccurenceConstraintViolation", "no", {}]])

    def test_an_answer_out_of_turn_is_our_error_and_changes_nothing(self) -> None:
        for unique_id in ("1", "2"):
            self.connection.receive(authorize(unique_id))
        for unique_id in ("2", "3"):
            with self.assertRaises(LocalError):
                self.connection.answer(unique_id, AUTHORIZED_16)
        with self.assertRaises(LocalError):
            self.connection.answer("1", {"idTagInfo": object()})
        self.assertEqual(self.connection.waiting_for, "1")
        self.assertEqual(len(self.connection.answer("1", AUTHORIZED_16)), 2)
        self.connection.answer("2", AUTHORIZED_16)
        with self.assertRaises(LocalError):
            self.connection.answer("2", AUTHORIZED_16)

    def test_an_answer_of_ours_that_breaks_its_schema_is_sent_and_told(self) -> None:
        self.connection.receive(authorize("1"))
        answer = only(self.connection.answer("1", {"idTagInfo": {"status": "Perhaps"}}), SendText)
        assert answer.fault is not None
        self.assertEqual(answer.fault.path, "$.idTagInfo.status")

    def test_reading_pauses_while_too_many_wait(self) -> None:
        for number in range(3):
            self.connection.receive(authorize(str(number)))
            self.assertFalse(self.connection.should_pause)
        self.connection.receive(authorize("3"))
        self.assertTrue(self.connection.should_pause)
        self.connection.answer("0", AUTHORIZED_16)
        self.assertFalse(self.connection.should_pause)

    def test_what_arrives_beyond_the_hard_limit_is_a_flood(self) -> None:
        self.connection.receive(authorize("first"))
        for number in range(3 * 64):
            self.assertEqual(self.connection.receive(authorize(str(number))), [])
        self.assertEqual(only(self.connection.receive(authorize("last")), Flooded).queued_calls, 3 * 64)
        self.assertEqual(self.connection.waiting_for, "first")

    def test_long_texts_that_wait_are_bounded_too(self) -> None:
        connection = Connection(Version.V16, max_queued_chars=1_000)
        connection.receive(authorize("1"))
        long = call("2", "DataTransfer", {"vendorId": "v", "data": "x" * 2_000})
        self.assertEqual(connection.receive(long), [])
        self.assertTrue(connection.should_pause)
        only(connection.receive(authorize("3")), Flooded)
        connection.answer("1", AUTHORIZED_16)
        self.assertFalse(connection.should_pause)

    def test_after_the_end_nothing_is_handed_out(self) -> None:
        self.connection.receive(authorize("1"))
        self.connection.receive(authorize("2"))
        self.assertEqual(self.connection.lost(), [])
        self.assertEqual(self.connection.receive(authorize("3")), [])
        self.assertEqual(self.connection.receive_binary(5), [])
        with self.assertRaises(LocalError):
            self.connection.answer("1", AUTHORIZED_16)


class RepetitionTests(unittest.TestCase):
    def setUp(self) -> None:
        self.connection = Connection(Version.V16, remembered_answers=2)

    def test_a_repeated_call_gets_the_same_answer_again(self) -> None:
        self.connection.receive(transfer("1"))
        (first,) = self.connection.answer("1", TRANSFERRED)
        events = self.connection.receive(transfer("1"))
        self.assertEqual(events, [Replayed("1", "DataTransfer"), first])

    def test_a_call_repeated_while_in_progress_is_answered_once(self) -> None:
        self.connection.receive(transfer("1"))
        self.connection.receive(transfer("2"))
        for unique_id in ("1", "2"):
            ignored = only(self.connection.receive(transfer(unique_id)), Ignored)
            self.assertEqual((ignored.why, ignored.unique_id), (Why.REPEATED_IN_PROGRESS, unique_id))
        events = self.connection.answer("1", TRANSFERRED) + self.connection.answer("2", TRANSFERRED)
        self.assertEqual([frame[1] for frame in sent(events)], ["1", "2"])

    def test_a_replayed_answer_waits_for_its_turn(self) -> None:
        self.connection.receive(transfer("1"))
        self.connection.answer("1", TRANSFERRED)
        self.connection.receive(transfer("2"))
        self.assertEqual(self.connection.receive(transfer("1")), [])
        self.assertEqual([frame[1] for frame in sent(self.connection.answer("2", TRANSFERRED))], ["2", "1"])

    def test_the_same_id_with_another_payload_is_a_new_call(self) -> None:
        self.connection.receive(transfer("1"))
        self.connection.answer("1", TRANSFERRED)
        again = only(self.connection.receive(transfer("1", "other")), CallReceived)
        self.assertTrue(again.reused_id)
        self.assertEqual(again.payload, {"vendorId": "other"})

    def test_the_same_id_with_another_payload_is_a_new_call_while_in_progress(self) -> None:
        first = only(self.connection.receive(transfer("1")), CallReceived)
        self.assertFalse(first.reused_id)
        self.connection.receive(transfer("1", "other"))
        again = of_kind(self.connection.answer("1", TRANSFERRED), CallReceived)
        self.assertEqual([(c.payload["vendorId"], c.reused_id) for c in again], [("other", True)])
        self.connection.answer("1", TRANSFERRED)
        self.assertIsNone(self.connection.waiting_for)

    def test_only_the_last_answers_are_remembered(self) -> None:
        for unique_id in ("1", "2", "3"):
            self.connection.receive(transfer(unique_id))
            self.connection.answer(unique_id, TRANSFERRED)
        only(self.connection.receive(transfer("1")), CallReceived)
        self.connection.abandon("1")
        self.assertIsInstance(self.connection.receive(transfer("2"))[0], Replayed)
        self.assertIsInstance(self.connection.receive(transfer("3"))[0], Replayed)

    def test_with_no_memory_each_repeat_is_new(self) -> None:
        connection = Connection(Version.V16, remembered_answers=0)
        for _ in range(2):
            only(connection.receive(transfer("1")), CallReceived)
            connection.answer("1", TRANSFERRED)

    def test_refused_and_abandoned_calls_are_tried_anew(self) -> None:
        self.connection.receive(transfer("1"))
        self.connection.answer_error("1", ErrorCode.INTERNAL_ERROR)
        only(self.connection.receive(transfer("1")), CallReceived)
        self.connection.abandon("1")
        only(self.connection.receive(transfer("1")), CallReceived)

    def test_an_answer_that_tells_how_things_stand_is_never_an_old_one(self) -> None:
        boot = call("2", "BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"})
        for text, unique_id in ((call("1", "Heartbeat"), "1"), (boot, "2"), (authorize("3"), "3")):
            for _ in range(2):
                only(self.connection.receive(text), CallReceived)
                self.connection.answer(unique_id, {})


class ContentTests(unittest.TestCase):
    def refused(self, version: Version, text: str) -> tuple[Refused, list[object]]:
        events = Connection(version).receive(text)
        (refused,) = of_kind(events, Refused)
        self.assertIsInstance(events[-1], SendText)
        (frame,) = sent(events)
        return refused, frame

    def test_session_data_is_never_refused_for_its_content(self) -> None:
        cases: tuple[tuple[Version, str, dict[str, object]], ...] = (
            (Version.V16, "StartTransaction", {"connectorId": "one", "extra": 1}),
            (Version.V16, "StopTransaction", {"transactionId": 99999999999999999999}),
            (Version.V16, "MeterValues", {"connectorId": 1, "meterValue": [METER_VALUE | {"timestamp": "?"}]}),
            (Version.V201, "TransactionEvent", {}),
            (Version.V201, "MeterValues", {"evseId": None}),
            (Version.V21, "TransactionEvent", {"eventType": "Odd"}),
            (Version.V21, "MeterValues", {}),
        )
        for version, action, payload in cases:
            connection = Connection(version)
            received = only(connection.receive(call("1", action, payload)), CallReceived)
            self.assertIsNotNone(received.fault, action)
            self.assertEqual(received.cleaned, "99999999999999999999" in received.raw)
            connection.answer("1", {})

    def test_other_actions_are_refused_for_their_content(self) -> None:
        for version, code in ((Version.V16, "TypeConstraintViolation"), (Version.V201, "TypeConstraintViolation")):
            action, payload = ("Authorize", {"idTag": 5}) if version.is_16 else ("Authorize", {"idToken": 5})
            refused, frame = self.refused(version, call("1", action, payload))
            self.assertEqual((refused.action, refused.code), (action, ErrorCode.TYPE_VIOLATION))
            self.assertEqual(frame[:3], [4, "1", code])
            self.assertIn("$.idT", str(frame[3]))
        _, frame = self.refused(Version.V16, call("1", "Authorize"))
        self.assertEqual(frame[2], "OccurenceConstraintViolation")
        _, frame = self.refused(Version.V201, call("1", "Authorize"))
        self.assertEqual(frame[2], "OccurrenceConstraintViolation")

    def test_a_payload_that_is_no_object_is_refused_whatever_the_action(self) -> None:
        for version, code in ((Version.V16, "FormationViolation"), (Version.V201, "RpcFrameworkError")):
            for action in ("MeterValues", "Heartbeat"):
                refused, frame = self.refused(version, json.dumps([2, "1", action, None]))
                self.assertEqual(refused.action, action)
                self.assertEqual(frame[:3], [4, "1", code])

    def test_an_unknown_action_is_not_implemented(self) -> None:
        for version in Version:
            for action in ("Nonsense", "heartbeat", "x" * 60_000, "\ud800"):
                _, frame = self.refused(version, call("1", action))
                self.assertEqual(frame[:3], [4, "1", "NotImplemented"])
                self.assertLess(len(str(frame[3])), 256)

    def test_an_action_for_the_other_direction_is_not_supported(self) -> None:
        for version, action in (
            (Version.V16, "RemoteStartTransaction"),
            (Version.V201, "RequestStartTransaction"),
            (Version.V21, "NotifyPeriodicEventStream"),
        ):
            _, frame = self.refused(version, call("1", action))
            self.assertEqual(frame[:3], [4, "1", "NotSupported"])

    def test_an_id_that_is_somewhat_too_long_is_answered(self) -> None:
        _, frame = self.refused(Version.V16, call("x" * 37, "Heartbeat"))
        self.assertEqual(frame[:3], [4, "x" * 37, "FormationViolation"])

    def test_what_was_cleaned_is_told(self) -> None:
        received = only(Connection(Version.V16).receive(authorize("1", "a\x00b")), CallReceived)
        self.assertTrue(received.cleaned)
        self.assertEqual(received.payload, {"idTag": "a\ufffdb"})


class UnreadableTests(unittest.TestCase):
    TEXTS = ("", "[", "{}", "[]", "null", '[2,{},"Heartbeat",{}]', '["2","1","Heartbeat",{}]', "[" * 100_000)

    def test_2x_answers_with_minus_one(self) -> None:
        for version in (Version.V201, Version.V21):
            connection = Connection(version)
            connection.receive(call("1", "Heartbeat"))
            for text in self.TEXTS:
                events = connection.receive(text)
                self.assertEqual(only(events[:1], Refused).unique_id, "-1")
                (frame,) = sent(events)
                self.assertEqual(frame[:3], [4, "-1", "RpcFrameworkError"])
            self.assertEqual(connection.waiting_for, "1")

    def test_16_drops_and_counts(self) -> None:
        connection = Connection(Version.V16)
        for text in (*self.TEXTS, b"\xff\xfe\x00"):
            self.assertIs(only(connection.receive(text), Ignored).why, Why.UNREADABLE)

    def test_unknown_message_types_are_ignored(self) -> None:
        for version in Version:
            for text in ('[7,"1",{}]', "[0]", '[1,"x"]'):
                ignored = only(Connection(version).receive(text), Ignored)
                self.assertIs(ignored.why, Why.UNKNOWN_MESSAGE_TYPE)

    def test_a_binary_frame_is_ignored(self) -> None:
        ignored = only(Connection(Version.V201).receive_binary(12), Ignored)
        self.assertEqual((ignored.why, ignored.detail), (Why.BINARY, "12 bytes"))


class SendTests(unittest.TestCase):
    STREAM = {"id": 1, "pending": 0, "basetime": "2024-01-01T00:00:00Z", "data": [{"t": 0, "v": "1"}]}

    def send(self, payload: object, action: str = "NotifyPeriodicEventStream") -> str:
        return json.dumps([6, "1", action, payload])

    def test_a_send_is_handed_out_and_never_answered(self) -> None:
        connection = Connection(Version.V21)
        connection.receive(call("1", "Heartbeat"))
        received = only(connection.receive(self.send(self.STREAM)), SendReceived)
        self.assertEqual((received.action, received.payload), ("NotifyPeriodicEventStream", self.STREAM))
        self.assertEqual(connection.waiting_for, "1")

    def test_a_send_that_is_of_no_use_is_counted(self) -> None:
        connection = Connection(Version.V21)
        for text in (
            self.send({}),
            self.send({}, "Heartbeat"),
            self.send({}, "Nonsense"),
            self.send(None),
            "[6]",
        ):
            self.assertIs(only(connection.receive(text), Ignored).why, Why.UNUSABLE_SEND)
