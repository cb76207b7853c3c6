"""Times of chargers: read leniently, never a reason to fail."""

from __future__ import annotations

import unittest
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.model import Flag
from csms.domain.times import NEWEST, OLDEST, DeviceTime, device_time, format_time
from tests.domain.station import NOON


class DeviceTimes(unittest.TestCase):
    def test_a_good_time_is_kept_without_flags(self) -> None:
        self.assertEqual(device_time("2026-06-01T11:59:00Z", NOON), DeviceTime(NOON - timedelta(minutes=1), True))
        self.assertEqual(device_time("2026-06-01T14:00:00+02:00", NOON), DeviceTime(NOON, True))

    def test_a_time_without_zone_is_utc_and_flagged(self) -> None:
        for text in ("2026-06-01T12:00:00", "2026-06-01T12:00:00.000", "2026-06-01 12:00:00"):
            self.assertEqual(device_time(text, NOON), DeviceTime(NOON, True, frozenset({Flag.ZONE_MISSING})))

    def test_a_queued_message_keeps_its_time_and_is_flagged_offline(self) -> None:
        moment = device_time("2026-05-29T12:00:00Z", NOON)
        self.assertEqual(moment.at, NOON - timedelta(days=3))
        self.assertEqual(moment.flags, {Flag.OFFLINE})

    def test_local_time_declared_as_utc_is_kept_and_flagged(self) -> None:
        moment = device_time("2026-06-01T14:00:00Z", NOON)
        self.assertEqual((moment.at, moment.plausible), (NOON + timedelta(hours=2), True))
        self.assertEqual(moment.flags, {Flag.CLOCK_SKEW})

    def test_the_time_of_receipt_stands_in_for_nonsense(self) -> None:
        nonsense = (
            "1970-01-01T00:00:05Z",
            "222222017-10-27T00:00:00Z",
            "+99999-01-01T00:00:00Z",
            "1000000",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "",
            "now",
            "2026-06-01T12:00:00Z" + " " * 100_000,
            1780315200,
            None,
            ["2026-06-01T12:00:00Z"],
        )
        for value in nonsense:
            self.assertEqual(device_time(value, NOON), DeviceTime(NOON, False, frozenset({Flag.CLOCK_SKEW})))

    @given(st.one_of(st.text(), st.datetimes().map(datetime.isoformat), st.none(), st.integers(), st.lists(st.text())))
    def test_no_input_raises_or_leaves_the_window(self, value: object) -> None:
        moment = device_time(value, NOON)
        self.assertTrue(NOON - OLDEST <= moment.at <= NOON + NEWEST)
        self.assertIsNotNone(moment.at.tzinfo)


class Formatting(unittest.TestCase):
    def test_times_are_written_in_utc_with_milliseconds_and_z(self) -> None:
        moment = datetime(2026, 6, 1, 12, 0, 5, 98_765, tzinfo=UTC)
        self.assertEqual(format_time(moment), "2026-06-01T12:00:05.098Z")
        self.assertEqual(format_time(moment.astimezone(None)), "2026-06-01T12:00:05.098Z")
