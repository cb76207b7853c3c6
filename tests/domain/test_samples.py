"""Meter values of every version become samples in base units, and readings of what matters."""

from __future__ import annotations

import unittest
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from csms.domain.messages import ChargerMessage
from csms.domain.model import Flag, Sample
from csms.domain.samples import INTERVAL, MAX_SAMPLES, POWER, REGISTER, SOC, Place, Taken, readings, take_samples
from tests.domain.station import NOON, iso

MESSAGE = ChargerMessage(
    device_id="CP1",
    charger_id=1,
    message_type="MeterValues",
    payload={},
    timestamp=NOON,
    raw_data="",
    message_id="m",
    connection_id="c",
    ocpp_version="1.6",
    gateway="gw1",
)


def take(*sampled: Mapping[str, Any], at: object = iso(NOON)) -> Taken:
    return take_samples([{"timestamp": at, "sampledValue": list(sampled)}], MESSAGE, Place(charger_id=1, evse_id=2))


def one(sampled: Mapping[str, Any]) -> Sample:
    (sample,) = take(sampled).samples
    return sample


class Normalisation(unittest.TestCase):
    def test_units_become_base_units(self) -> None:
        for value, unit, expected, base in (
            ("1500", "Wh", 1500, "Wh"),
            ("1.5", "kWh", 1500, "Wh"),
            ("1.5", "KWH", 1500, "Wh"),
            ("0.0015", "MWh", 1500, "Wh"),
            ("7.36", "kW", 7360, "W"),
            ("2", "kvarh", 2000, "varh"),
            ("3", "kVA", 3000, "VA"),
            ("300.15", "K", 27, "Celsius"),
            ("98.6", "Fahrenheit", 37, "Celsius"),
            ("21", "Celcius", 21, "Celsius"),
            ("80", "Percent", 80, "Percent"),
            ("230.1", "V", 230.1, "V"),
            ("5", "furlongs", 5, "furlongs"),
        ):
            sample = one({"value": value, "unit": unit})
            with self.subTest(unit=unit):
                self.assertAlmostEqual(sample.value or 0, expected)
                self.assertEqual((sample.unit, sample.raw_value), (base, ""))

    def test_a_power_of_ten_counts_beside_the_unit(self) -> None:
        for unit, multiplier, expected in (("Wh", 3, 1500), ("kWh", 0, 1500), ("kWh", -3, 1.5), ("kWh", 3, 1_500_000)):
            sample = one({"value": 1.5, "unitOfMeasure": {"unit": unit, "multiplier": multiplier}})
            self.assertEqual((sample.value, sample.unit), (expected, "Wh"))

    def test_defaults_of_the_specification_are_filled_in(self) -> None:
        sample = one({"value": "1"})
        self.assertEqual((sample.measurand, sample.unit), (REGISTER, "Wh"))
        self.assertEqual((sample.context, sample.location, sample.phase), ("Sample.Periodic", "Outlet", ""))
        self.assertEqual((sample.evse_id, sample.sampled_at, sample.received_at), (2, NOON, NOON))

    def test_the_unit_follows_the_measurand_when_it_is_left_out(self) -> None:
        for measurand, unit in ((POWER, "W"), (SOC, "Percent"), ("Current.Import", "A"), ("Voltage", "V"), ("RPM", "")):
            self.assertEqual(one({"value": "1", "measurand": measurand}).unit, unit)

    def test_what_is_no_number_is_kept_as_text(self) -> None:
        for value in ("", "NaN", "inf", "1e999", "1_000", "12,5", "abc", "0x10", "\u0661", "9" * 100):
            sample = one({"value": value})
            with self.subTest(value=value):
                self.assertIsNone(sample.value)
                self.assertEqual(sample.raw_value, value)

    def test_numbers_in_any_usual_spelling_are_read(self) -> None:
        for value, expected in (
            (" 12.5 ", 12.5),
            ("+7", 7),
            ("-0.5", -0.5),
            (".5", 0.5),
            ("1.", 1),
            ("1e3", 1000),
            (4, 4),
        ):
            self.assertEqual(one({"value": value}).value, expected)

    def test_absurd_sizes_are_no_measurements(self) -> None:
        for sampled in (
            {"value": "1e16"},
            {"value": "1e14", "unit": "kWh"},
            {"value": 1, "unitOfMeasure": {"multiplier": 400}},
            {"value": 1, "unitOfMeasure": {"multiplier": "much"}},
        ):
            self.assertIsNone(one(sampled).value)

    def test_signed_data_is_kept_and_not_taken_for_a_number(self) -> None:
        self.assertEqual(one({"value": "123456", "format": "SignedData"}).raw_value, "123456")
        self.assertIsNone(one({"value": "123456", "format": "SignedData"}).value)
        signed = one({"value": 5, "signedMeterValue": {"signedMeterData": "OCMF|{}", "encodingMethod": "OCMF"}})
        self.assertEqual((signed.value, signed.raw_value), (5, "OCMF|{}"))

    def test_samples_without_a_usable_time_take_that_of_receipt(self) -> None:
        taken = take({"value": "1"}, at="1970-01-01T00:00:00Z")
        self.assertEqual((taken.samples[0].sampled_at, taken.flags), (NOON, {Flag.CLOCK_SKEW}))

    def test_one_message_brings_no_more_than_a_bounded_number(self) -> None:
        self.assertEqual(len(take(*[{"value": "1"}] * (MAX_SAMPLES + 5)).samples), MAX_SAMPLES)

    def test_what_is_no_sample_is_left_out(self) -> None:
        junk: list[Any] = [None, 5, "x", [], {"value": "1"}]
        self.assertEqual(len(take(*junk).samples), 1)
        self.assertEqual(take_samples([{"sampledValue": "none"}, {}], MESSAGE, Place(charger_id=1)).samples, [])


class WhatTheySay(unittest.TestCase):
    def test_several_measurands_of_one_moment_are_one_reading(self) -> None:
        (reading,) = readings(
            take(
                {"value": "2.5", "unit": "kWh"},
                {"value": "7.2", "unit": "kW", "measurand": POWER},
                {"value": "64", "measurand": SOC, "location": "EV"},
                {"value": "230", "measurand": "Voltage", "phase": "L1-N"},
                {"value": "12", "measurand": INTERVAL},
            ).samples
        )
        self.assertEqual((reading.register_wh, reading.power_w, reading.soc_percent), (2500, 7200, 64))
        self.assertEqual((reading.interval_wh, reading.at), (12, NOON))

    def test_phases_are_added_up_only_when_there_is_no_total(self) -> None:
        phases = [{"value": "1000", "measurand": POWER, "phase": f"L{number}"} for number in (1, 2, 3)]
        self.assertEqual(readings(take(*phases).samples)[0].power_w, 3000)
        total = {"value": "2990", "measurand": POWER}
        self.assertEqual(readings(take(*phases, total).samples)[0].power_w, 2990)
        neutral = [{"value": "500", "phase": f"L{number}-N"} for number in (1, 2)]
        self.assertEqual(readings(take(*neutral).samples)[0].register_wh, 1000)

    def test_the_outlet_counts_before_the_inlet(self) -> None:
        values = ({"value": "9000", "location": "Inlet"}, {"value": "8000", "location": "Outlet"})
        self.assertEqual(readings(take(*values).samples)[0].register_wh, 8000)
        self.assertEqual(readings(take(values[0]).samples)[0].register_wh, 9000)

    def test_readings_are_in_the_order_of_time(self) -> None:
        values = [
            {"timestamp": iso(NOON - timedelta(minutes=minute)), "sampledValue": [{"value": str(minute)}]}
            for minute in (1, 3, 2)
        ]
        found = readings(take_samples(values, MESSAGE, Place(charger_id=1)).samples)
        self.assertEqual([reading.register_wh for reading in found], [3, 2, 1])

    def test_nothing_readable_says_nothing(self) -> None:
        (reading,) = readings(take({"value": "abc"}, {"value": "3", "measurand": "Temperature"}).samples)
        self.assertEqual((reading.register_wh, reading.power_w, reading.soc_percent), (None, None, None))
