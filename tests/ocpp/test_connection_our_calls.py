"""Our CALLs to a charger: one outstanding, each matched with its own answer or none."""

from __future__ import annotations

import unittest

from csms.ocpp.connection import Connection
from csms.ocpp.errors import ErrorCode, LocalError
from csms.ocpp.events import (
    AnswerRefused,
    CallLost,
    CallReceived,
    CallTimedOut,
    ErrorReceived,
    Event,
    Ignored,
    ResultReceived,
    Why,
)
from csms.ocpp.versions import Version
from tests.ocpp.exchange import AUTHORIZED_16, authorize, call, only, sent

ACCEPTED = '{"status":"Accepted"}'


class OurCallsTests(unittest.TestCase):
    def setUp(self) -> None:
        self.connection = Connection(Version.V16)

    def reset(self, unique_id: str = "r1", now: float = 100.0) -> str:
        return self.connection.call(unique_id, "Reset", {"type": "Soft"}, now, 30.0)

    def assert_ignored(self, events: list[Event], why: Why) -> None:
        self.assertIs(only(events, Ignored).why, why)

    def test_a_call_is_written_and_its_result_matched(self) -> None:
        self.assertEqual(self.reset(), '[2,"r1","Reset",{"type":"Soft"}]')
        result = only(self.connection.receive(f'[3,"r1",{ACCEPTED}]'), ResultReceived)
        self.assertEqual((result.unique_id, result.action, result.payload), ("r1", "Reset", {"status": "Accepted"}))
        self.assertIsNone(result.fault)
        self.assertIsNone(self.connection.outstanding)

    def test_an_error_is_matched(self) -> None:
        self.reset()
        error = only(self.connection.receive('[4,"r1","NotSupported","no",{"a":1}]'), ErrorReceived)
        self.assertEqual(
            (error.action, error.code, error.description, error.details), ("Reset", "NotSupported", "no", {"a": 1})
        )
        self.assertIsNone(self.connection.outstanding)

    def test_a_second_call_is_refused_while_one_is_outstanding(self) -> None:
        self.reset()
        with self.assertRaises(LocalError):
            self.reset("r2")
        only(self.connection.receive(f'[3,"r1",{ACCEPTED}]'), ResultReceived)
        self.reset("r2")

    def test_a_call_that_is_wrong_is_our_error_and_nothing_is_outstanding(self) -> None:
        for unique_id, action, payload in (
            ("r1", "Reset", {"type": "Medium"}),
            ("r1", "Reset", {"type": object()}),
            ("r1", "Nonsense", {}),
            ("r1", "Heartbeat", {}),
            ("r1", "RequestStartTransaction", {}),
            ("", "Reset", {"type": "Soft"}),
            ("x" * 37, "Reset", {"type": "Soft"}),
            ("\ud800", "Reset", {"type": "Soft"}),
        ):
            with self.assertRaises(LocalError):
                self.connection.call(unique_id, action, payload, 0.0, 30.0)
            self.assertIsNone(self.connection.outstanding)

    def test_the_directions_are_independent(self) -> None:
        only(self.connection.receive(authorize("same")), CallReceived)
        self.reset("same")
        only(self.connection.receive(f'[3,"same",{ACCEPTED}]'), ResultReceived)
        self.assertEqual(self.connection.waiting_for, "same")
        self.assertEqual(sent(self.connection.answer("same", AUTHORIZED_16)), [[3, "same", AUTHORIZED_16]])

    def test_a_call_times_out_at_its_deadline_and_not_before(self) -> None:
        self.reset(now=100.0)
        self.assertEqual(self.connection.timeout(129.9), [])
        self.assertEqual(self.connection.timeout(130.0), [CallTimedOut("r1", "Reset")])
        self.assertEqual(self.connection.timeout(1e9), [])

    def test_a_late_answer_is_told_once_and_never_taken_for_the_next_call(self) -> None:
        self.reset("r1", now=0.0)
        self.connection.timeout(30.0)
        self.reset("r2", now=30.0)
        late = only(self.connection.receive(f'[3,"r1",{ACCEPTED}]'), ResultReceived)
        self.assertEqual(
            (late.unique_id, late.action, late.payload, late.late), ("r1", "Reset", {"status": "Accepted"}, True)
        )
        self.assert_ignored(self.connection.receive('[4,"r1","GenericError","",{}]'), Why.REPEATED_ANSWER)
        assert self.connection.outstanding is not None
        self.assertEqual(self.connection.outstanding.unique_id, "r2")
        self.assertFalse(only(self.connection.receive(f'[3,"r2",{ACCEPTED}]'), ResultReceived).late)

    def test_a_late_refusal_is_told_and_a_late_answer_that_breaks_its_schema_too(self) -> None:
        for number, text in enumerate(('[4,"r0","NotSupported","no",{}]', '[3,"r1",{"status":"Perhaps"}]')):
            self.reset(f"r{number}", now=0.0)
            self.connection.timeout(30.0)
            (told,) = self.connection.receive(text)
            assert isinstance(told, ResultReceived | ErrorReceived)
            self.assertTrue(told.late)
            self.assertEqual(getattr(told, "fault", None) is not None, number == 1)

    def test_memory_of_calls_that_were_given_up_is_bounded(self) -> None:
        for number in range(40):
            self.reset(f"r{number}", now=0.0)
            self.connection.timeout(30.0)
        self.assert_ignored(self.connection.receive(f'[3,"r0",{ACCEPTED}]'), Why.UNKNOWN_ANSWER)
        self.assertTrue(only(self.connection.receive(f'[3,"r39",{ACCEPTED}]'), ResultReceived).late)

    def test_a_repeated_answer_and_an_unknown_one_are_counted(self) -> None:
        self.assert_ignored(self.connection.receive(f'[3,"r1",{ACCEPTED}]'), Why.UNKNOWN_ANSWER)
        self.reset()
        self.assert_ignored(self.connection.receive('[4,"-1","RpcFrameworkError","",{}]'), Why.UNKNOWN_ANSWER)
        self.connection.receive(f'[3,"r1",{ACCEPTED}]')
        self.assert_ignored(self.connection.receive(f'[3,"r1",{ACCEPTED}]'), Why.REPEATED_ANSWER)

    def test_memory_of_finished_calls_is_bounded(self) -> None:
        for number in range(40):
            self.reset(f"r{number}")
            self.connection.receive(f'[3,"r{number}",{ACCEPTED}]')
        self.assert_ignored(self.connection.receive(f'[3,"r39",{ACCEPTED}]'), Why.REPEATED_ANSWER)
        self.assert_ignored(self.connection.receive(f'[3,"r0",{ACCEPTED}]'), Why.UNKNOWN_ANSWER)

    def test_a_result_that_breaks_its_schema_is_told(self) -> None:
        self.reset()
        result = only(self.connection.receive('[3,"r1",{"status":"Perhaps"}]'), ResultReceived)
        assert result.fault is not None
        self.assertIs(result.fault.code, ErrorCode.PROPERTY_VIOLATION)
        self.assertEqual(result.payload, {"status": "Perhaps"})

    def test_a_result_without_a_payload_ends_the_call_with_a_fault(self) -> None:
        for text in ('[3,"r1"]', '[3,"r1",null]', '[3,"r1",[]]', '[3,"r1",{"a":' + "[" * 40 + "]" * 40 + "}]"):
            self.reset()
            result = only(self.connection.receive(text), ResultReceived)
            assert result.fault is not None
            self.assertIs(result.fault.code, ErrorCode.FORMAT_VIOLATION)
            self.assertIsNone(self.connection.outstanding)

    def test_a_broken_answer_without_an_id_is_counted_and_never_answered(self) -> None:
        for version in Version:
            connection = Connection(version)
            for text in ("[3]", "[4]", "[3,5,{}]", '[4,"","GenericError","",{}]'):
                self.assert_ignored(connection.receive(text), Why.BROKEN_ANSWER)

    def test_21_tells_the_charger_that_its_result_is_of_no_use(self) -> None:
        for version in (Version.V201, Version.V21):
            connection = Connection(version)
            connection.call("r1", "Reset", {"type": "Immediate"}, 0.0, 30.0)
            events = connection.receive('[3,"r1",{"status":5}]')
            self.assertIsInstance(events[0], ResultReceived)
            frames = [frame[:3] for frame in sent(events)]
            self.assertEqual(frames, [[5, "r1", "TypeConstraintViolation"]] if version is Version.V21 else [])

    def test_21_hears_that_an_answer_of_ours_was_of_no_use(self) -> None:
        connection = Connection(Version.V21)
        events = connection.receive('[5,"1","FormatViolation","what?",{"a":1}]')
        self.assertEqual(events, [AnswerRefused("1", "FormatViolation", "what?", {"a": 1})])

    def test_the_outcome_of_a_call_is_unknown_when_the_connection_ends(self) -> None:
        self.reset()
        self.assertEqual(self.connection.lost(), [CallLost("r1", "Reset")])
        self.assertEqual(self.connection.lost(), [])
        self.assertEqual(self.connection.timeout(1e9), [])
        with self.assertRaises(LocalError):
            self.reset()

    def test_a_charger_call_does_not_delay_ours(self) -> None:
        self.connection.receive(call("1", "Heartbeat"))
        self.reset()
        self.connection.receive(call("2", "Heartbeat"))
        only(self.connection.receive(f'[3,"r1",{ACCEPTED}]'), ResultReceived)
