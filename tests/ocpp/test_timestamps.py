"""Times as chargers write them."""

from __future__ import annotations

import unittest
from datetime import UTC, datetime

from csms.ocpp.timestamps import is_timestamp, parse_timestamp


class ParseTimestampTests(unittest.TestCase):
    def test_what_real_chargers_write_is_read_as_utc(self) -> None:
        expected = datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC)
        for text in (
            "2024-02-29T12:30:15Z",
            "2024-02-29T12:30:15",
            "2024-02-29 12:30:15Z",
            "2024-02-29T12:30:15+00:00",
            "2024-02-29T14:30:15+02:00",
            "2024-02-29T14:30:15+0200",
            "2024-02-29t12:30:15z",
            "2024-02-29T12:30:15.0000000Z",
        ):
            self.assertEqual(parse_timestamp(text), expected, text)

    def test_a_leap_second_is_read_as_the_second_before(self) -> None:
        self.assertEqual(parse_timestamp("2016-12-31T23:59:60Z"), datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC))

    def test_what_is_no_time_is_none(self) -> None:
        for text in (
            "",
            "yesterday",
            "222222017-10-27T19:10:11Z",
            "+99999-01-01T00:00:00Z",
            "1000000",
            "2023-02-29T00:00:00Z",
            "2024-01-01T25:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "\ud800",
            "9" * 100_000,
        ):
            self.assertIsNone(parse_timestamp(text), text[:40])
            self.assertFalse(is_timestamp(text))
