"""Whatever a charger sends: nothing raises, and every CALL gets exactly one answer, in order."""

from __future__ import annotations

import json
import math
import unittest
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csms.ocpp import schemas
from csms.ocpp.connection import Connection
from csms.ocpp.directions import DIRECTIONS
from csms.ocpp.errors import ErrorCode, spelling
from csms.ocpp.events import CallReceived, Event, Ignored, SendText, Why
from csms.ocpp.frames import Call, CallError, CallResult, CallResultError, Frame, FrameError, Send, encode, parse
from csms.ocpp.json import MAX_DEPTH, MAX_INTEGER, MIN_INTEGER, JsonError, decode
from csms.ocpp.json import encode as encode_json
from csms.ocpp.registration import Registration
from csms.ocpp.versions import Version
from tests.examples import examples

quick = settings(max_examples=examples(150), deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
"""One to four seconds a property; no judgement on speed, which is the machine's."""

versions = st.sampled_from(Version)
any_text = st.text(st.characters(exclude_categories=[]), max_size=20)
hostile_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(any_text, inner, max_size=5),
    max_leaves=20,
)
plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(MIN_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(plain_text, inner, max_size=5),
    max_leaves=20,
)
ids = st.sampled_from(["1", "2", "3", "x" * 37, "", 5, None])
actions = st.sampled_from(sorted({action for table in DIRECTIONS.values() for action in table} | {"Nonsense", ""}))
hostile_frames = st.one_of(
    st.tuples(st.just(2), ids, actions, hostile_json),
    st.tuples(st.sampled_from([3, 6]), ids, hostile_json, hostile_json),
    st.tuples(st.sampled_from([4, 5]), ids, hostile_json, hostile_json, hostile_json),
    st.lists(hostile_json, max_size=6),
    hostile_json,
)
hostile_texts: st.SearchStrategy[str | bytes] = st.one_of(
    hostile_frames.map(json.dumps),
    hostile_frames.map(lambda frame: json.dumps(frame, ensure_ascii=False)),
    any_text,
    st.binary(max_size=60),
    st.integers(1, 2_000).map(lambda depth: "[2," * depth),
)


class JsonProperties(unittest.TestCase):
    @quick
    @given(hostile_texts)
    def test_what_is_decoded_is_safe_for_every_database(self, data: str | bytes) -> None:
        try:
            decoded = decode(data)
        except JsonError:
            return
        self.assert_safe(decoded.value, 0)
        self.assert_safe(decoded.text, 0)
        again = decode(encode_json(decoded.value))
        self.assertEqual(again.value, decoded.value)
        self.assertFalse(again.cleaned)

    def assert_safe(self, value: Any, depth: int) -> None:
        if isinstance(value, str):
            self.assertNotIn("\x00", value)
            value.encode()
        elif isinstance(value, int):
            self.assertTrue(MIN_INTEGER <= value <= MAX_INTEGER)
        elif isinstance(value, float):
            self.assertTrue(math.isfinite(value))
        elif isinstance(value, list | dict):
            self.assertLess(depth, MAX_DEPTH)
            members = [*value, *value.values()] if isinstance(value, dict) else value
            for member in members:
                self.assert_safe(member, depth + 1)

    @quick
    @given(plain_json)
    def test_plain_json_survives_the_round_trip_unchanged(self, value: Any) -> None:
        for text in (encode_json(value), json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
            decoded = decode(text)
            self.assertEqual(decoded.value, value)
            self.assertFalse(decoded.cleaned)


unique_ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=36)
payloads = st.dictionaries(plain_text, plain_json, max_size=4)
codes = plain_text.filter(bool)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Call, unique_ids, codes, payloads),
    st.builds(CallResult, unique_ids, payloads),
    st.builds(CallError, unique_ids, codes, plain_text, payloads),
    st.builds(CallResultError, unique_ids, codes, plain_text, payloads),
    st.builds(Send, unique_ids, codes, payloads),
)


class FrameProperties(unittest.TestCase):
    @quick
    @given(frames)
    def test_a_frame_survives_the_round_trip(self, frame: Frame) -> None:
        self.assertEqual(parse(encode(frame), Version.V21), frame)

    @quick
    @given(hostile_texts, versions)
    def test_a_text_is_a_frame_or_a_frame_error(self, data: str | bytes, version: Version) -> None:
        try:
            frame = parse(data, version)
        except FrameError as error:
            encode_json([error.unique_id, error.description, error.action])
        else:
            self.assertEqual(parse(encode(frame), version), frame)


class SchemaProperties(unittest.TestCase):
    @quick
    @given(versions, st.data(), payloads)
    def test_a_check_never_raises_and_its_texts_are_short(
        self, version: Version, data: st.DataObject, payload: dict[str, Any]
    ) -> None:
        action = data.draw(st.sampled_from(sorted(DIRECTIONS[version])))
        checks: list[Callable[[Version, str, object], schemas.Fault | None]] = [schemas.check_request]
        if action != "NotifyPeriodicEventStream":
            checks.append(schemas.check_response)
        for check in checks:
            fault = check(version, action, payload)
            if fault is not None:
                self.assertLessEqual(len(str(fault)), 402)


class Ledger:
    """Drives one connection and keeps the books: which ids are owed an answer, which were answered."""

    def __init__(self, version: Version) -> None:
        self.connection = Connection(version, max_queued_calls=4, remembered_answers=2)
        self.owed: list[str] = []
        self.answered: list[str] = []
        self.now = 0.0

    def take(self, events: list[Event]) -> list[Event]:
        """Book the answers among ``events``."""
        handed_out = [event for event in events if isinstance(event, CallReceived)]
        assert len(handed_out) <= 1
        if handed_out:
            assert events[-1] is handed_out[0]
            assert self.connection.waiting_for == handed_out[0].unique_id
        for event in events:
            if isinstance(event, SendText):
                kind, unique_id, *_ = json.loads(event.text)
                if kind in (3, 4) and unique_id != "-1":
                    self.answered.append(unique_id)
        return events

    def receive_call(self, unique_id: str, action: str, payload: object) -> None:
        """The charger sends a CALL whose frame is right."""
        self.owed.append(unique_id)
        events = self.take(self.connection.receive(json.dumps([2, unique_id, action, payload])))
        if any(isinstance(event, Ignored) and event.why is Why.REPEATED_IN_PROGRESS for event in events):
            assert events == [Ignored(Why.REPEATED_IN_PROGRESS, unique_id)]
            self.owed.pop()

    def receive_other(self, text: str | bytes) -> None:
        """The charger sends something that is no CALL."""
        self.take(self.connection.receive(text))

    def respond(self, how: str) -> None:
        """Deal with the CALL that was handed out."""
        unique_id = self.connection.waiting_for
        if unique_id is None:
            return
        if how == "answer":
            self.take(self.connection.answer(unique_id, {"n": len(self.answered)}))
        elif how == "error":
            self.take(self.connection.answer_error(unique_id, ErrorCode.INTERNAL_ERROR))
        else:
            # It is the first that is owed: everything before it has been answered.
            assert self.owed[len(self.answered)] == unique_id
            del self.owed[len(self.answered)]
            self.take(self.connection.abandon(unique_id))

    def call_charger(self, unique_id: str) -> None:
        """Send a CALL of our own, if none is outstanding."""
        if self.connection.outstanding is None and self.connection.registration is not Registration.REJECTED:
            self.connection.call(unique_id, "ClearCache", {}, self.now, 10.0)

    def pass_time(self, seconds: float) -> None:
        """Let the clock run."""
        self.now += seconds
        self.take(self.connection.timeout(self.now))

    def settle(self) -> None:
        """Answer all that waits."""
        while self.connection.waiting_for is not None:
            self.respond("answer")


good_ids = st.sampled_from(["1", "2", "3", "4"])
call_payloads = st.sampled_from(
    [
        {},
        {"idTag": "a"},
        {"idTag": 5},
        {"idTag": "\x00"},
        {"vendorId": "v", "data": "d"},
        {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
        {"transactionId": 1},
    ]
)
call_actions = st.sampled_from(
    [
        "Authorize",
        "Heartbeat",
        "DataTransfer",
        "MeterValues",
        "StopTransaction",
        "TransactionEvent",
        "Reset",
        "Nonsense",
    ]
)
not_calls = st.one_of(
    st.tuples(st.sampled_from([3, 4, 5, 6, 7]), good_ids, hostile_json, hostile_json).map(json.dumps),
    any_text.filter(lambda text: "[" not in text),
    st.binary(max_size=20).filter(lambda data: b"[" not in data),
)
steps = st.one_of(
    st.tuples(st.just("receive_call"), st.tuples(good_ids, call_actions, call_payloads)),
    st.tuples(st.just("receive_call"), st.tuples(good_ids, call_actions, call_payloads)),
    st.tuples(st.just("receive_other"), st.tuples(not_calls)),
    st.tuples(st.just("respond"), st.tuples(st.sampled_from(["answer", "answer", "error", "abandon"]))),
    st.tuples(st.just("call_charger"), st.tuples(good_ids)),
    st.tuples(st.just("pass_time"), st.tuples(st.floats(0, 20))),
    st.tuples(st.just("register"), st.tuples(st.sampled_from(Registration))),
)


class ConnectionProperties(unittest.TestCase):
    @settings(quick, max_examples=examples(300))
    @given(versions, st.lists(steps, max_size=40))
    def test_every_call_gets_exactly_one_answer_in_order(
        self, version: Version, script: list[tuple[str, tuple[Any, ...]]]
    ) -> None:
        ledger = Ledger(version)
        for name, arguments in script:
            if name == "register":
                (ledger.connection.registration,) = arguments
            else:
                getattr(ledger, name)(*arguments)
            self.assertEqual(ledger.answered, ledger.owed[: len(ledger.answered)])
        ledger.settle()
        self.assertEqual(ledger.answered, ledger.owed)
        self.assertFalse(ledger.connection.should_pause)

    def assert_refusal(self, text: str, version: Version) -> None:
        kind, unique_id, code, description, details = json.loads(text)
        self.assertEqual((kind, details), (4, {}))
        self.assertTrue(1 <= len(unique_id) <= 255)
        self.assertIn(code, {spelling(known, version) for known in ErrorCode})
        self.assertTrue(1 <= len(description) <= 255)

    @quick
    @given(versions, st.lists(hostile_texts, max_size=10), st.sampled_from(Registration))
    def test_no_input_raises_and_every_answer_is_a_right_frame(
        self, version: Version, texts: list[str | bytes], registration: Registration
    ) -> None:
        connection = Connection(version, registration=registration)
        for text in texts:
            for event in connection.receive(text):
                if isinstance(event, SendText):
                    self.assert_refusal(event.text, version)
                elif isinstance(event, CallReceived):
                    for following in connection.answer(event.unique_id, {}):
                        assert isinstance(following, SendText)
                        self.assertEqual(parse(following.text, version), CallResult(event.unique_id, {}))
