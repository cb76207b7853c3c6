"""Reading payloads that cannot be trusted."""

from __future__ import annotations

import unittest

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.payloads import MAX_INT, MAX_MAGNITUDE, bounded, evse_of, integer, mapping, mappings, number, text

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "evse", "id"]), inner),
)


class Reading(unittest.TestCase):
    @given(ANYTHING)
    def test_anything_can_be_asked_for_anything(self, value: object) -> None:
        source = {"a": value, "evse": value}
        self.assertLessEqual(len(text(source, "a", 10)), 10)
        whole = integer(source, "a")
        self.assertTrue(whole is None or abs(whole) <= MAX_INT)
        real = number(value)
        self.assertTrue(real is None or abs(real) <= MAX_MAGNITUDE)
        self.assertIsInstance(mapping(source, "a"), dict)
        self.assertTrue(all(isinstance(one, dict) for one in mappings(source, "a")))
        evse_id, connector_id = evse_of(source)
        self.assertTrue(0 <= evse_id <= 999)
        self.assertTrue(0 <= connector_id <= 99)

    def test_whole_numbers_are_read_however_they_are_written(self) -> None:
        for value, expected in (
            (7, 7),
            (7.0, 7),
            ("7", 7),
            ("-1", -1),
            (7.5, None),
            (True, None),
            (2**31, None),
            ("", None),
        ):
            self.assertEqual(integer({"a": value}, "a"), expected)

    def test_text_is_cut_and_numbers_are_written_out(self) -> None:
        for value, expected in (
            ("abcdef", "abc"),
            (12, "12"),
            (1.5, "1.5"),
            (None, ""),
            (True, ""),
            ([], ""),
            (10**5000, ""),
        ):
            self.assertEqual(text({"a": value}, "a", 3), expected)

    def test_a_lone_object_is_a_list_of_one(self) -> None:
        self.assertEqual(mappings({"a": {"b": 1}}, "a"), [{"b": 1}])
        self.assertEqual(mappings({"a": [1, {"b": 1}, None]}, "a"), [{"b": 1}])

    def test_identifiers_out_of_bounds_are_none(self) -> None:
        self.assertEqual([bounded(value, 9) for value in (None, -1, 0, 9, 10)], [0, 0, 0, 9, 0])
