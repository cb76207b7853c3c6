from __future__ import annotations

import unittest
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.condensing import TOLD_ONCE, Latest, condensed
from csms.domain.messages import Notification, NotificationType

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
READING = NotificationType.METER_VALUES_UPDATED


def note(number: int, kind: str = READING, *, charger_id: int = 7, after_s: float = 0.0, **data: Any) -> Notification:
    if kind == READING:
        data["sampledAt"] = NOON + timedelta(seconds=after_s)
    return Notification(
        type=kind, charger_id=charger_id, device_id="CP-1", timestamp=NOON, event_id=f"event-{number}", data=data
    )


def ids(*notifications: Notification) -> list[str]:
    return [one.event_id.removeprefix("event-") for one in condensed(notifications)]


class CondensedTest(unittest.TestCase):
    def test_the_newest_reading_stands_for_those_before(self) -> None:
        self.assertEqual(
            ids(*(note(number, after_s=number, sessionId=3, energyWh=number) for number in range(5))), ["4"]
        )

    def test_other_sessions_connectors_and_chargers_are_told_apart(self) -> None:
        told = ids(
            note(0, sessionId=3),
            note(1, sessionId=4),
            note(2, evseId=1, connectorId=1),
            note(3, evseId=1, connectorId=2),
            note(4, sessionId=3, charger_id=8),
        )
        self.assertEqual(told, ["0", "1", "2", "3", "4"])

    def test_what_happens_in_between_keeps_its_place(self) -> None:
        told = ids(
            note(0, NotificationType.CHARGING_STARTED, sessionId=3),
            note(1, sessionId=3),
            note(2, NotificationType.CHARGER_STATUS_CHANGED),
            note(3, sessionId=3),
            note(4, NotificationType.CHARGING_STOPPED, sessionId=3),
        )
        self.assertEqual(told, ["0", "2", "3", "4"])

    def test_a_session_that_ends_says_what_its_last_reading_said(self) -> None:
        reading = note(0, sessionId=3, energyWh=12.0, powerW=7000.0, registerWh=50.0)
        end: dict[str, Any] = {"sessionId": 3, "energyWh": 12.0, "powerW": 0.0, "meterStopWh": 50.0}
        for name, changed, gives_way in (
            ("soon after", {}, True),
            ("without a register", {"meterStopWh": None}, False),
            ("long after", {"stoppedAt": NOON + timedelta(minutes=6)}, False),
            ("before", {"stoppedAt": NOON - timedelta(seconds=1)}, False),
            ("at an unknown time", {"stoppedAt": None}, False),
        ):
            fields = {"stoppedAt": NOON + timedelta(seconds=2), **end, **changed}
            data = {field: value for field, value in fields.items() if value is not None}
            for kind in (NotificationType.CHARGING_STOPPED, NotificationType.CHARGING_UPDATED):
                with self.subTest(name, kind=kind):
                    told = Latest.following(None, reading).gives_way_to(note(1, kind, **data))
                    self.assertEqual(told, gives_way and kind == NotificationType.CHARGING_STOPPED)

    def test_a_value_that_only_an_earlier_reading_has_is_told(self) -> None:
        self.assertEqual(ids(note(0, powerW=7000.0), note(1, registerWh=12.0), note(2, registerWh=13.0)), ["0", "2"])

    def test_a_time_that_goes_back_is_told(self) -> None:
        self.assertEqual(ids(note(0, after_s=10), note(1, after_s=5), note(2, after_s=6)), ["0", "2"])

    def test_the_newest_moment_is_told_whatever_comes_behind_it(self) -> None:
        self.assertEqual(ids(note(0, after_s=0), note(1, after_s=240), note(2, after_s=120)), ["1", "2"])

    def test_a_long_backlog_is_told_in_steps(self) -> None:
        minutes = [note(minute, after_s=60 * minute, sessionId=3) for minute in range(60)]
        self.assertEqual(ids(*minutes), ["5", "11", "17", "23", "29", "35", "41", "47", "53", "59"])

    @given(
        st.lists(
            st.tuples(
                st.sampled_from((READING, NotificationType.CHARGING_UPDATED)),
                st.integers(1, 2),
                st.integers(-100, 1000),
                st.booleans(),
            )
        )
    )
    def test_whoever_adds_up_gets_the_same_end(self, drawn: list[tuple[str, int, int, bool]]) -> None:
        """What every consumer holds of a place after the last one, and the order of the rest, are the same."""
        given_ = [
            note(number, kind, after_s=after_s, sessionId=session, powerW=1.0)
            if power
            else note(number, kind, after_s=after_s, sessionId=session)
            for number, (kind, session, after_s, power) in enumerate(drawn)
        ]
        told = condensed(given_)
        self.assertEqual([one for one in given_ if one in told], told)
        self.assertEqual(*([one for one in some if one.type != READING] for some in (given_, told)))
        for session in (1, 2):
            readings = [
                [one for one in some if one.type == READING and one.data["sessionId"] == session]
                for some in (given_, told)
            ]
            self.assertEqual(*(some[-1:] for some in readings))
            self.assertEqual(*({name for one in some for name in one.data} for some in readings))
            for earlier, later in zip(readings[1], readings[1][1:], strict=False):
                left_out = readings[0][readings[0].index(earlier) + 1 : readings[0].index(later)]
                for one in left_out:
                    self.assertLessEqual(later.data["sampledAt"] - one.data["sampledAt"], TOLD_ONCE)
