"""Strict, bounded decoding; compact encoding."""

from __future__ import annotations

import time
import unittest

from csms.ocpp.json import MAX_DEPTH, MAX_INTEGER, MIN_INTEGER, JsonError, decode, encode, safe_text

STALL_S = 0.5
"""Far above what any of these inputs needs (milliseconds), far below what a quadratic reader would take."""


class DecodeTests(unittest.TestCase):
    def assert_refused(self, data: str | bytes) -> JsonError:
        begin = time.perf_counter()
        with self.assertRaises(JsonError) as caught:
            decode(data)
        self.assertLess(time.perf_counter() - begin, STALL_S)
        return caught.exception

    def test_plain_json_is_read_as_it_is(self) -> None:
        text = '[2,"a",{"b":[1,-2.5,true,null,"é😀"]}]'
        for data in (text, text.encode()):
            decoded = decode(data)
            self.assertEqual(decoded.value, [2, "a", {"b": [1, -2.5, True, None, "é😀"]}])
            self.assertEqual(decoded.text, text)
            self.assertFalse(decoded.cleaned)

    def test_what_is_no_json_is_refused(self) -> None:
        for data in ("", " ", "x", "[1,]", '{"a":,"b":1}', "[1]x", "[01]", "'a'", '["a', "[,{", b"\xff\xfe", "\x00"):
            self.assert_refused(data)

    def test_deep_nesting_is_refused_without_recursion_trouble(self) -> None:
        for depth in (MAX_DEPTH + 1, 100, 1_000, 100_000, 1_000_000):
            self.assert_refused("[" * depth + "]" * depth)
            self.assert_refused('{"a":' * depth + "1" + "}" * depth)
            self.assert_refused("[" * depth)
            self.assert_refused('["\\ud800",' + "[" * depth + "]" * depth + "]")

    def test_nesting_up_to_the_limit_is_read(self) -> None:
        for inner in ("", "1", '"\\u0000"'):
            decode("[" * MAX_DEPTH + inner + "]" * MAX_DEPTH)
        decode('{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH)

    def test_the_value_of_a_text_that_is_only_too_deep_is_told(self) -> None:
        error = self.assert_refused('[2,"id",' + "[" * 40 + "]" * 40 + "]")
        assert isinstance(error.value, list)
        self.assertEqual(error.value[:2], [2, "id"])

    def test_numbers_that_no_database_takes_become_text(self) -> None:
        for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1E9999999999", "9" * 30, "-" + "9" * 5_000):
            decoded = decode(f'{{"n":{text}}}')
            self.assertIsInstance(decoded.value["n"], str)
            self.assertLessEqual(len(decoded.value["n"]), 64)
            self.assertTrue(decoded.cleaned, text)
        for number in (MAX_INTEGER + 1, MIN_INTEGER - 1, 2**64, -(2**64)):
            self.assertEqual(decode(f"[{number}]").value, [str(number)])

    def test_numbers_within_bounds_stay_numbers(self) -> None:
        for number in (0, MAX_INTEGER, MIN_INTEGER, 16.1, -1.5e300):
            decoded = decode(f"[{number!r}]")
            self.assertEqual(decoded.value, [number])
            self.assertFalse(decoded.cleaned)

    def test_a_number_of_a_million_digits_does_not_stall(self) -> None:
        begin = time.perf_counter()
        decode("[" + "9" * 1_000_000 + "]")
        decode("[0." + "9" * 1_000_000 + "]")
        self.assertLess(time.perf_counter() - begin, STALL_S)

    def test_nul_and_lone_surrogates_are_replaced_in_values_and_keys(self) -> None:
        for text, value in (
            ('["a\\u0000b"]', ["a\ufffdb"]),
            ('["a\x00b"]', ["a\ufffdb"]),
            ('["\\ud800"]', ["\ufffd"]),
            ('["\\udc00x"]', ["\ufffdx"]),
            ('["\\uD800\\u0041"]', ["\ufffdA"]),
            ('{"\\u0000":{"\\udfff":1}}', {"\ufffd": {"\ufffd": 1}}),
        ):
            decoded = decode(text)
            self.assertEqual(decoded.value, value)
            self.assertTrue(decoded.cleaned)
            self.assertNotIn("\x00", decoded.text)
            decoded.text.encode()
        self.assertEqual(decode('["\ud800"]').value, ["\ufffd\ufffd\ufffd"])

    def test_surrogate_pairs_and_other_escapes_are_left_alone(self) -> None:
        decoded = decode('["\\ud83d\\ude00\\u00e9\\\\u0000"]')
        self.assertEqual(decoded.value, ["😀é\\u0000"])
        self.assertFalse(decoded.cleaned)

    def test_invalid_utf8_is_replaced(self) -> None:
        decoded = decode(b'["caf\xe9"]')
        self.assertEqual(decoded.value, ["caf\ufffd"])
        self.assertEqual(decoded.text, '["caf\ufffd"]')
        self.assertTrue(decoded.cleaned)

    def test_control_characters_and_a_byte_order_mark_do_not_cost_a_message(self) -> None:
        self.assertEqual(decode('["a\tb\nc"]').value, ["a\tb\nc"])
        self.assertEqual(decode(b"\xef\xbb\xbf[1]").value, [1])

    def test_of_a_duplicate_key_the_last_value_wins(self) -> None:
        self.assertEqual(decode('{"a":1,"a":2}').value, {"a": 2})
        self.assertEqual(decode('{"a":"\\u0000","a":2}').value, {"a": 2})

    def test_safe_text_takes_anything(self) -> None:
        for data in (b"\xff\x00", "\ud800\x00", "plain", b""):
            text = safe_text(data)
            self.assertNotIn("\x00", text)
            text.encode()


class EncodeTests(unittest.TestCase):
    def test_output_is_compact_and_keeps_the_order_of_members(self) -> None:
        self.assertEqual(
            encode([3, "x", {"z": 1, "a": {"y": 16.1, "b": "é"}}]), '[3,"x",{"z":1,"a":{"y":16.1,"b":"é"}}]'
        )

    def test_what_is_no_json_value_raises_value_error(self) -> None:
        endless: list[object] = []
        endless.append(endless)
        for value in (object(), "\ud800", {"a": {1, 2, object()}}, endless):
            with self.assertRaises(ValueError):
                encode(value)
