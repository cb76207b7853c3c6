"""Energy, power and state of charge of a session."""

from __future__ import annotations

import unittest
from datetime import timedelta

from csms.domain.energy import apply_readings, end_meter
from csms.domain.model import Flag, Session
from csms.domain.samples import BEGIN, Reading
from tests.domain.station import NOON


def session(meter_start_wh: float | None = 1000) -> Session:
    return Session(
        charger_id=1,
        transaction_id="1",
        start_key="1",
        started_at=NOON,
        start_received_at=NOON,
        meter_start_wh=meter_start_wh,
    )


def at(minute: int, register_wh: float | None = None, **fields: float | str) -> Reading:
    return Reading(at=NOON + timedelta(minutes=minute), register_wh=register_wh, **fields)  # type: ignore[arg-type]


class Energy(unittest.TestCase):
    def test_it_is_the_register_less_its_start(self) -> None:
        one = session()
        self.assertTrue(apply_readings(one, [at(5, 1500), at(10, 2100)]))
        self.assertEqual((one.energy_wh, one.meter_last_wh, one.meter_last_at), (1100, 2100, at(10).at))

    def test_older_samples_take_nothing_back(self) -> None:
        one = session()
        apply_readings(one, [at(10, 2100, power_w=7000, soc_percent=50)])
        self.assertFalse(apply_readings(one, [at(5, 1500, power_w=11000, soc_percent=40)]))
        self.assertEqual((one.energy_wh, one.power_w, one.soc_percent), (1100, 7000, 50))
        self.assertEqual((one.meter_last_wh, one.meter_last_at), (2100, at(10).at))
        self.assertEqual(one.flags, set())

    def test_a_moment_that_says_nothing_makes_no_other_late(self) -> None:
        one = session()
        apply_readings(one, [at(10)])
        apply_readings(one, [at(9, 1500)])
        self.assertEqual((one.energy_wh, one.meter_last_at), (500, at(9).at))

    def test_a_reading_below_the_start_is_flagged_and_not_believed(self) -> None:
        one = session()
        apply_readings(one, [at(5, 2000), at(10, 2.1)])
        self.assertEqual((one.energy_wh, one.meter_last_wh), (1000, 2000))
        self.assertEqual(one.flags, {Flag.METER_DECREASED})

    def test_a_meter_that_goes_back_is_followed_and_flagged(self) -> None:
        one = session()
        apply_readings(one, [at(5, 2000), at(10, 1800)])
        self.assertEqual((one.energy_wh, one.flags), (800, {Flag.METER_DECREASED}))

    def test_intervals_add_up_where_there_is_no_register(self) -> None:
        one = session(0)
        apply_readings(one, [at(5, interval_wh=100), at(10, interval_wh=150)])
        self.assertFalse(apply_readings(one, [at(10, interval_wh=150)]), "the same once more")
        self.assertEqual(one.energy_wh, 250)
        end_meter(one, 0)
        self.assertEqual((one.energy_wh, one.meter_stop_wh), (250, 0))

    def test_late_intervals_count_when_they_are_surely_new(self) -> None:
        one = session(None)
        apply_readings(one, [at(10, interval_wh=150)], once=True)
        apply_readings(one, [at(5, interval_wh=100)], once=True)
        self.assertEqual(one.energy_wh, 250)

    def test_a_register_counts_before_intervals(self) -> None:
        one = session()
        apply_readings(one, [at(5, 1500, interval_wh=400), at(10, interval_wh=9)])
        self.assertEqual(one.energy_wh, 500)

    def test_negative_intervals_give_nothing_back(self) -> None:
        one = session(None)
        apply_readings(one, [at(5, interval_wh=100), at(10, interval_wh=-500)])
        self.assertEqual(one.energy_wh, 100)

    def test_the_stop_settles_it(self) -> None:
        one = session()
        apply_readings(one, [at(5, 1500, power_w=7000)])
        end_meter(one, 1700)
        self.assertEqual((one.energy_wh, one.meter_stop_wh, one.power_w), (700, 1700, 0))
        self.assertFalse(apply_readings(one, [at(10, 9000)]), "nothing is added after the stop")

    def test_a_stop_without_a_meter_leaves_the_last_reading(self) -> None:
        one = session()
        apply_readings(one, [at(5, 1500)])
        end_meter(one, None)
        self.assertEqual((one.energy_wh, one.meter_stop_wh, one.power_w), (500, None, None))

    def test_a_stop_below_the_start_is_no_negative_energy(self) -> None:
        one = session()
        apply_readings(one, [at(5, 1500)])
        end_meter(one, 10)
        self.assertEqual((one.energy_wh, one.meter_stop_wh, one.flags), (0, 10, {Flag.METER_DECREASED}))


class UnknownStarts(unittest.TestCase):
    def test_the_first_reading_stands_in_until_the_start_is_told(self) -> None:
        one = session(None)
        apply_readings(one, [at(10, 3000), at(20, 4000)])
        self.assertEqual((one.energy_wh, one.flags), (1000, {Flag.METER_START_ESTIMATED}))
        apply_readings(one, [at(5, 2500)])
        self.assertEqual(one.energy_wh, 1500, "an older reading is nearer to the start")
        apply_readings(one, [at(0, 1000, context=BEGIN)])
        self.assertEqual((one.meter_start_wh, one.energy_wh, one.flags), (1000, 3000, set()))

    def test_a_known_start_is_not_changed(self) -> None:
        one = session(1000)
        apply_readings(one, [at(0, 900, context=BEGIN), at(5, 2000)])
        self.assertEqual((one.meter_start_wh, one.energy_wh), (1000, 1000))

    def test_nothing_known_is_no_energy(self) -> None:
        one = session(None)
        self.assertFalse(apply_readings(one, [at(5)]))
        end_meter(one, 5000)
        self.assertEqual((one.energy_wh, one.meter_stop_wh), (0, 5000))
