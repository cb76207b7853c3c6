"""The arithmetic of summaries and hourly figures."""

from __future__ import annotations

import unittest
from datetime import UTC, datetime, timedelta, timezone

from csms.domain.model import Measured, Session, SessionState
from csms.workers.rollup import highest_average_w, highest_power_w, hour_of, spread, summarise

BEGIN = datetime(2026, 11, 23, 10, 45, tzinfo=UTC)


def measured(minutes: float, value: float, phase: str = "") -> Measured:
    return Measured(BEGIN + timedelta(minutes=minutes), phase, value)


class PeakTests(unittest.TestCase):
    def test_the_highest_power_is_the_peak(self) -> None:
        self.assertEqual(highest_power_w([measured(0, 3000), measured(1, 11000), measured(2, 7000)]), 11000)
        self.assertIsNone(highest_power_w([]))

    def test_phases_add_up_where_there_is_no_total(self) -> None:
        phases = [measured(0, 3600, phase) for phase in ("L1", "L2", "L3")]
        self.assertEqual(highest_power_w(phases), 10800)
        self.assertEqual(highest_power_w([*phases, measured(0, 10500)]), 10500)

    def test_without_power_the_register_tells(self) -> None:
        register = [measured(minutes, wh) for minutes, wh in ((0, 1000), (60, 8000), (30, 2000))]
        self.assertEqual(highest_average_w(register), 12000)
        self.assertEqual(highest_average_w([*register, measured(31, 9000, "L1")]), 12000)

    def test_a_register_that_runs_back_makes_no_peak(self) -> None:
        self.assertIsNone(highest_average_w([measured(0, 9000), measured(60, 10)]))
        self.assertIsNone(highest_average_w([]))


class SummaryTests(unittest.TestCase):
    def session(self, minutes: float | None, energy_wh: float) -> Session:
        return Session(
            id=5,
            charger_id=1,
            transaction_id="77",
            start_key="key",
            state=SessionState.ENDED,
            started_at=BEGIN,
            start_received_at=BEGIN,
            stopped_at=None if minutes is None else BEGIN + timedelta(minutes=minutes),
            energy_wh=energy_wh,
        )

    def test_average_power_is_energy_by_time(self) -> None:
        summary = summarise(self.session(90, 16500), "CP-1", None)
        self.assertEqual((summary.duration_s, summary.average_power_w), (5400, 11000))

    def test_a_session_without_a_moment_has_no_power(self) -> None:
        for minutes in (0, -5, None):
            summary = summarise(self.session(minutes, 10), "CP-1", None)
            self.assertEqual((summary.duration_s, summary.average_power_w, summary.energy_wh), (0, 0, 10))


class SpreadTests(unittest.TestCase):
    def test_every_second_falls_into_its_hour(self) -> None:
        hours = list(spread(BEGIN, BEGIN + timedelta(minutes=90)))
        first = datetime(2026, 11, 23, 10, tzinfo=UTC)
        self.assertEqual(hours, [(first, 900), (first + timedelta(hours=1), 3600), (first + timedelta(hours=2), 900)])

    def test_a_span_that_ends_with_the_hour_does_not_touch_the_next(self) -> None:
        end = datetime(2026, 11, 23, 11, tzinfo=UTC)
        self.assertEqual(list(spread(BEGIN, end)), [(hour_of(BEGIN), 900)])

    def test_nothing_is_spread_over_nothing(self) -> None:
        whole = datetime(2026, 11, 23, 11, tzinfo=UTC)
        self.assertEqual(list(spread(whole, whole)), [])
        self.assertEqual(list(spread(BEGIN, BEGIN - timedelta(hours=2))), [])

    def test_hours_are_those_of_utc(self) -> None:
        india = timezone(timedelta(hours=5, minutes=30))
        self.assertEqual(hour_of(datetime(2026, 11, 23, 16, 15, tzinfo=india)), datetime(2026, 11, 23, 10, tzinfo=UTC))
