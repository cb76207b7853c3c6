"""What several charging profiles together allow."""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.composite import MAX_PROFILE, TX, TX_DEFAULT, Charging, Window, compare, composite, limit_at
from csms.domain.device_records import ChargingProfile, Comparison, Period
from tests.domain.station import NOON

DAY_S = 86_400
CHARGING = Charging(transaction_id="42", started_at=NOON)


def profile(purpose: str = TX_DEFAULT, *periods: tuple[float, float], **fields: Any) -> ChargingProfile:
    """An absolute profile in A from noon on; 16 A unless told otherwise."""
    default: dict[str, Any] = {
        "evse_id": 0 if purpose == MAX_PROFILE else 1,
        "profile_id": 1,
        "stack_level": 0,
        "kind": "Absolute",
        "unit": "A",
        "start_schedule": NOON,
        "set_at": NOON,
        "periods": tuple(Period(start, limit) for start, limit in periods or [(0.0, 16.0)]),
    }
    return ChargingProfile(charger_id=1, purpose=purpose, **(default | fields))


def limits(
    *profiles: ChargingProfile,
    hours: float = 2,
    start: datetime = NOON,
    charging: Charging | None = CHARGING,
    evse_id: int = 1,
    unit: str = "A",
) -> list[tuple[float, float | None]]:
    """Pairs of seconds and limit."""
    window = Window(evse_id=evse_id, start=start, duration_s=hours * 3600, unit=unit, charging=charging)
    return [(one.start_s, one.limit) for one in composite(profiles, window)]


class Rules(unittest.TestCase):
    def test_without_profiles_nothing_limits(self) -> None:
        self.assertEqual(limits(), [(0, None)])

    def test_a_schedule_is_cut_to_the_window(self) -> None:
        schedule = profile(TX_DEFAULT, (0, 6), (1800, 10), (3600, 16), (9000, 32))
        late = NOON + timedelta(minutes=45)
        self.assertEqual(limits(schedule, start=late), [(0, 10), (900, 16), (6300, 32)])

    def test_the_highest_stack_level_wins_while_it_is_valid(self) -> None:
        low = profile(TX_DEFAULT, (0, 32), stack_level=1)
        high = profile(
            TX_DEFAULT,
            (0, 8),
            stack_level=3,
            valid_from=NOON + timedelta(minutes=10),
            valid_to=NOON + timedelta(minutes=20),
        )
        self.assertEqual(limits(low, high), [(0, 32), (600, 8), (1200, 32)])

    def test_a_schedule_that_is_over_leaves_the_rest_to_lower_levels(self) -> None:
        high = profile(TX_DEFAULT, (0, 8), stack_level=3, duration_s=600)
        self.assertEqual(limits(profile(), high), [(0, 8), (600, 16)])

    def test_before_the_schedule_begins_lower_levels_count(self) -> None:
        high = profile(TX_DEFAULT, (0, 8), stack_level=3, start_schedule=NOON + timedelta(minutes=5))
        self.assertEqual(limits(profile(), high), [(0, 16), (300, 8)])

    def test_a_tx_profile_overrides_the_default_even_with_more(self) -> None:
        of_transaction = profile(TX, (0, 32), (600, 20), transaction_id="42", duration_s=1200)
        self.assertEqual(limits(profile(stack_level=9), of_transaction), [(0, 32), (600, 20), (1200, 16)])

    def test_a_tx_profile_of_another_transaction_or_without_one_does_not_count(self) -> None:
        other = profile(TX, (0, 32), transaction_id="41")
        self.assertEqual(limits(profile(), other), [(0, 16)])
        self.assertEqual(limits(profile(), profile(TX, (0, 32), transaction_id="42"), charging=None), [(0, 16)])

    def test_the_maximum_caps_whatever_the_others_allow(self) -> None:
        cap = profile(MAX_PROFILE, (0, 40), (600, 10))
        self.assertEqual(limits(profile(), cap), [(0, 16), (600, 10)])
        self.assertEqual(limits(cap), [(0, 40), (600, 10)])

    def test_at_the_same_level_the_evses_own_default_wins(self) -> None:
        for_all = profile(TX_DEFAULT, (0, 32), evse_id=0)
        self.assertEqual(limits(for_all, profile()), [(0, 16)])
        self.assertEqual(limits(for_all, profile(), evse_id=2), [(0, 32)])

    def test_for_the_whole_charger_only_the_maximum_counts(self) -> None:
        self.assertEqual(limits(profile(evse_id=0), profile(MAX_PROFILE, (0, 63)), evse_id=0), [(0, 63)])

    def test_a_relative_schedule_begins_with_the_transaction(self) -> None:
        relative = profile(TX_DEFAULT, (0, 32), (3600, 6), kind="Relative", start_schedule=None)
        half_an_hour_in = NOON + timedelta(minutes=30)
        self.assertEqual(limits(relative, start=half_an_hour_in), [(0, 32), (1800, 6)])
        self.assertEqual(limits(relative, start=half_an_hour_in, charging=None), [(0, 32), (3600, 6)])

    def test_a_daily_schedule_recurs(self) -> None:
        daily = profile(
            TX_DEFAULT,
            (0, 10),
            (3600, 20),
            kind="Recurring",
            recurrency="Daily",
            duration_s=7200,
            start_schedule=NOON - timedelta(days=30),
        )
        expected = [(0, 10), (3600, 20), (7200, None), (DAY_S, 10), (DAY_S + 3600, 20), (DAY_S + 7200, None)]
        self.assertEqual(limits(daily, hours=36), expected)

    def test_a_weekly_schedule_recurs_a_week_later(self) -> None:
        weekly = profile(
            TX_DEFAULT, kind="Recurring", recurrency="Weekly", duration_s=60, start_schedule=NOON - timedelta(days=7)
        )
        self.assertEqual(limits(weekly, hours=8 * 24), [(0, 16), (60, None), (7 * DAY_S, 16), (7 * DAY_S + 60, None)])

    def test_units_meet_at_the_nominal_voltage(self) -> None:
        in_watts = profile(TX_DEFAULT, unit="W", periods=(Period(0, 6900.0),))
        self.assertEqual(limits(in_watts), [(0, 10)])
        single = profile(TX_DEFAULT, periods=(Period(0, 10.0, 1),))
        self.assertEqual(limits(single, unit="W"), [(0, 2300)])

    def test_an_absurd_window_costs_no_more_than_two_weeks(self) -> None:
        daily = profile(kind="Recurring", recurrency="Daily", duration_s=3600)
        self.assertEqual(len(limits(daily, hours=1e6)), 2 * 14)


LIMITS = st.floats(0, 100).map(lambda limit: round(limit, 1))
PERIODS = st.dictionaries(st.integers(0, 7200), LIMITS, max_size=4).map(
    lambda found: tuple(Period(float(start), limit) for start, limit in sorted(found.items()))
)
MOMENTS = st.none() | st.integers(-3600, 7200).map(lambda offset: NOON + timedelta(seconds=offset))


@st.composite
def profiles(draw: st.DrawFn) -> ChargingProfile:
    purpose = draw(st.sampled_from((MAX_PROFILE, TX_DEFAULT, TX)))
    return profile(
        purpose,
        evse_id=0 if purpose == MAX_PROFILE else draw(st.sampled_from((0, 1, 2) if purpose == TX_DEFAULT else (1, 2))),
        stack_level=draw(st.integers(0, 3)),
        kind=draw(st.sampled_from(("Absolute", "Recurring", "Relative"))),
        recurrency=draw(st.sampled_from(("Daily", "Weekly"))),
        valid_from=draw(MOMENTS),
        valid_to=draw(MOMENTS),
        start_schedule=draw(MOMENTS),
        duration_s=draw(st.none() | st.integers(0, 7200)),
        transaction_id=draw(st.sampled_from(("42", "41"))) if purpose == TX else "",
        periods=draw(PERIODS),
    )


MANY = st.lists(profiles(), max_size=6)
WINDOW = Window(evse_id=1, start=NOON, duration_s=7200, unit="A", charging=CHARGING)


def at(found: Sequence[Period], offset: float) -> float | None:
    period = limit_at(found, offset)
    assert period is not None
    return period.limit


class Laws(unittest.TestCase):
    @given(MANY)
    def test_periods_ascend_from_0_within_the_window_and_each_says_something_new(
        self, some: list[ChargingProfile]
    ) -> None:
        found = composite(some, WINDOW)
        starts = [one.start_s for one in found]
        self.assertEqual(starts[0], 0)
        self.assertEqual(starts, sorted(set(starts)))
        self.assertLess(starts[-1], WINDOW.duration_s)
        for one, following in pairwise(found):
            self.assertNotEqual((one.limit, one.phases), (following.limit, following.phases))

    @given(MANY, st.integers(0, 7199))
    def test_the_schedule_at_any_moment_is_what_that_moment_alone_gives(
        self, some: list[ChargingProfile], offset: int
    ) -> None:
        moment = Window(evse_id=1, start=NOON + timedelta(seconds=offset), duration_s=1, unit="A", charging=CHARGING)
        self.assertEqual(at(composite(some, WINDOW), offset), at(composite(some, moment), 0))

    @given(MANY, st.floats(0, 50))
    def test_a_cap_above_all_others_levels_is_never_exceeded(self, some: list[ChargingProfile], limit: float) -> None:
        cap = profile(MAX_PROFILE, (0, limit), stack_level=9)
        for one in composite([*some, cap], WINDOW):
            assert one.limit is not None
            self.assertLessEqual(one.limit, limit)

    @given(MANY, profiles())
    def test_a_cap_more_never_allows_more_where_there_was_none(
        self, some: list[ChargingProfile], added: ChargingProfile
    ) -> None:
        uncapped = [one for one in some if one.purpose != MAX_PROFILE]
        added.purpose, added.evse_id = MAX_PROFILE, 0
        before, after = composite(uncapped, WINDOW), composite([*uncapped, added], WINDOW)
        for start in {one.start_s for one in (*before, *after)}:
            limit, capped = at(before, start), at(after, start)
            if limit is not None:
                assert capped is not None
                self.assertLessEqual(capped, limit)

    @given(MANY, st.floats(0, 100))
    def test_the_highest_level_of_a_transaction_decides_below_the_cap(
        self, some: list[ChargingProfile], limit: float
    ) -> None:
        ours = profile(TX, (0, limit), stack_level=9, transaction_id="42")
        without_caps = [one for one in some if one.purpose != MAX_PROFILE]
        self.assertEqual(composite([*without_caps, ours], WINDOW), (Period(0, limit),))

    @given(MANY)
    def test_the_order_of_profiles_does_not_matter(self, some: list[ChargingProfile]) -> None:
        for number, one in enumerate(some):
            one.set_at = NOON + timedelta(microseconds=number)
        self.assertEqual(composite(some, WINDOW), composite(some[::-1], WINDOW))

    @given(MANY)
    def test_a_schedule_equals_itself(self, some: list[ChargingProfile]) -> None:
        found = composite(some, WINDOW)
        self.assertIs(compare(found, found, 7200), Comparison.EQUAL)


class Comparisons(unittest.TestCase):
    def test_less_is_lower_and_more_is_higher(self) -> None:
        ours = (Period(0, 16.0), Period(600, 32.0))
        self.assertIs(compare(ours, ours, 7200), Comparison.EQUAL)
        self.assertIs(compare(ours, (Period(0, 16.05), Period(600, 32.1)), 7200), Comparison.EQUAL)
        self.assertIs(compare(ours, (Period(0, 16.0),), 7200), Comparison.LOWER)
        self.assertIs(compare(ours, (Period(0, 16.0),), 600), Comparison.EQUAL)
        self.assertIs(compare(ours, (Period(0, 32.0),), 7200), Comparison.HIGHER)
        self.assertIs(compare(ours, (Period(0, 10.0), Period(600, 40.0)), 7200), Comparison.HIGHER)

    def test_a_charger_that_names_no_limit_where_we_have_one_allows_more(self) -> None:
        self.assertIs(compare((Period(0, 16.0),), (Period(600, 16.0),), 7200), Comparison.HIGHER)

    def test_where_we_know_no_limit_the_charger_may_say_anything(self) -> None:
        self.assertIs(compare((Period(0, None),), (Period(0, 6.0),), 7200), Comparison.EQUAL)
