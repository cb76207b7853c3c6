"""Frames from text and to text."""

from __future__ import annotations

import unittest

from csms.ocpp.errors import ErrorCode
from csms.ocpp.frames import (
    Call,
    CallError,
    CallResult,
    CallResultError,
    Frame,
    FrameError,
    Send,
    encode,
    parse,
)
from csms.ocpp.json import encode as encode_json
from csms.ocpp.versions import Version

OLDER = (Version.V16, Version.V201)


class ParseTests(unittest.TestCase):
    def broken(self, text: str | bytes, version: Version = Version.V201) -> FrameError:
        with self.assertRaises(FrameError) as caught:
            parse(text, version)
        return caught.exception

    def test_each_message_type_is_read(self) -> None:
        cases: dict[str, Frame] = {
            '[2,"1","Heartbeat",{}]': Call("1", "Heartbeat", {}),
            '[3,"1",{"a":1}]': CallResult("1", {"a": 1}),
            '[4,"1","GenericError","text",{"b":2}]': CallError("1", "GenericError", "text", {"b": 2}),
            '[5,"1","GenericError","text",{}]': CallResultError("1", "GenericError", "text", {}),
            '[6,"1","NotifyPeriodicEventStream",{}]': Send("1", "NotifyPeriodicEventStream", {}),
        }
        for text, frame in cases.items():
            self.assertEqual(parse(text, Version.V21), frame)
            self.assertEqual(encode(frame), text)

    def test_message_types_5_and_6_are_unknown_before_21(self) -> None:
        for version in OLDER:
            for text in ('[5,"1","GenericError","",{}]', '[6,"1","X",{}]'):
                self.assertIs(self.broken(text, version).code, ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED)

    def test_unknown_message_types_are_told_apart_from_broken_ones(self) -> None:
        for kind in (-1, 0, 1, 7, 10**15):
            error = self.broken(f'[{kind},"1",{{}}]', Version.V21)
            self.assertIs(error.code, ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED)
            self.assertEqual(error.message_type, kind)
        for kind_text in ("true", '"2"', "2.0", "null", "[]"):
            error = self.broken(f'[{kind_text},"1","Heartbeat",{{}}]')
            self.assertIs(error.code, ErrorCode.RPC_FRAMEWORK_ERROR)
            self.assertIsNone(error.message_type)

    def test_what_is_no_array_has_no_id(self) -> None:
        for text in ("[]", "{}", "1", '"x"', "null", "", "[", b"\xff"):
            error = self.broken(text)
            self.assertIsNone(error.unique_id)
            self.assertIs(error.code, ErrorCode.RPC_FRAMEWORK_ERROR)

    def test_an_id_of_36_characters_is_read_and_one_of_37_is_echoed_in_the_error(self) -> None:
        parse(f'[2,"{"x" * 36}","Heartbeat",{{}}]', Version.V16)
        error = self.broken(f'[2,"{"x" * 37}","Heartbeat",{{}}]')
        self.assertEqual(error.unique_id, "x" * 37)
        self.assertEqual(error.message_type, 2)

    def test_an_id_that_is_absurd_is_never_echoed(self) -> None:
        for unique_id in (f'"{"x" * 60_000}"', '""', "5", "null", "{}", "[]", "true"):
            error = self.broken(f'[2,{unique_id},"Heartbeat",{{}}]')
            self.assertIsNone(error.unique_id)
            self.assertLess(len(error.description), 256)
        self.assertIsNone(self.broken("[2]").unique_id)

    def test_a_broken_call_keeps_its_id_for_the_answer(self) -> None:
        for rest in ("", ',"Heartbeat"', ',"Heartbeat",null', ',"Heartbeat",[]', ",5,{}", ',"",{}', ',"A","{}"'):
            error = self.broken(f'[2,"id"{rest}]')
            self.assertEqual(error.unique_id, "id")
            self.assertEqual(error.message_type, 2)

    def test_a_call_that_is_nested_too_deeply_keeps_its_id(self) -> None:
        error = self.broken('[2,"id","DataTransfer",{"data":' + "[" * 40 + "]" * 40 + "}]")
        self.assertEqual(error.unique_id, "id")
        self.assertIs(error.code, ErrorCode.FORMAT_VIOLATION)
        self.assertIsNone(self.broken('[2,"id","DataTransfer",' + "[" * 100_000).unique_id)

    def test_elements_after_the_last_are_passed_over(self) -> None:
        self.assertEqual(parse('[2,"1","Heartbeat",{},null,5]', Version.V16), Call("1", "Heartbeat", {}))

    def test_a_sloppy_callerror_is_still_one(self) -> None:
        for text, expected in (
            ('[4,"1"]', CallError("1", "GenericError", "", {})),
            ('[4,"1","NotSupported"]', CallError("1", "NotSupported", "", {})),
            ('[4,"1","NotSupported",null,null]', CallError("1", "NotSupported", "", {})),
            ('[4,"1",7,8,"x"]', CallError("1", "GenericError", "", {})),
        ):
            self.assertEqual(parse(text, Version.V16), expected)

    def test_texts_of_a_callerror_are_cut(self) -> None:
        frame = parse(encode_json([4, "1", "c" * 60_000, "d" * 60_000, {}]), Version.V201)
        assert isinstance(frame, CallError)
        self.assertEqual((len(frame.code), len(frame.description)), (50, 255))


class EncodeTests(unittest.TestCase):
    def test_long_descriptions_are_cut(self) -> None:
        text = encode(CallError("1", "GenericError", "x" * 1_000, {}))
        self.assertEqual(text, f'[4,"1","GenericError","{"x" * 255}",{{}}]')

    def test_members_keep_their_order(self) -> None:
        self.assertEqual(encode(CallResult("1", {"z": 1, "a": 2})), '[3,"1",{"z":1,"a":2}]')
