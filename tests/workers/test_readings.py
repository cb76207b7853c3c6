from __future__ import annotations

import unittest
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from csms.domain.condensing import TOLD_ONCE
from csms.domain.messages import Notification, NotificationType, encode_notification
from csms.domain.repositories import OutboxRow
from csms.domain.topology import COMMANDS_EXCHANGE, EVENTS_EXCHANGE, notification_key
from csms.workers.readings import HELD_S, HeldReadings, covered

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
READING = NotificationType.METER_VALUES_UPDATED
STARTED = NotificationType.CHARGING_STARTED
STOPPED = NotificationType.CHARGING_STOPPED
STATUS = NotificationType.CHARGER_STATUS_CHANGED


class HeldReadingsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[int] = []
        self.dropped: list[int] = []
        self.shards: list[int] = []
        self.rows: dict[int, Notification] = {}
        self.held = HeldReadings(self.clock, publish=self.publish, drop=self.dropped.extend)

    def publish(self, rows: Sequence[OutboxRow], shard: int) -> None:
        self.told += [row.id for row in rows]
        self.shards += [shard] * len(rows)

    def row(self, kind: str, charger_id: int = 7, **data: Any) -> OutboxRow:
        number = len(self.rows) + 1
        if kind == READING:
            data = {"sessionId": 3, "energyWh": 1.0, "registerWh": 1.0, **data}
            data.setdefault("sampledAt", NOON + timedelta(seconds=self.clock.seconds()))
        if kind == STOPPED:
            data = {"sessionId": 3, "energyWh": 1.0, "meterStopWh": 1.0, **data}
            data.setdefault("stoppedAt", NOON + timedelta(seconds=self.clock.seconds()))
        notification = self.rows[number] = Notification(
            type=kind, charger_id=charger_id, device_id="CP-1", timestamp=NOON, event_id=f"event-{number}", data=data
        )
        return OutboxRow(
            id=number,
            exchange=EVENTS_EXCHANGE,
            event_id=notification.event_id,
            routing_key=notification_key(kind),
            body=encode_notification(notification),
            notification=notification,
        )

    def pass_on(self, kind: str, charger_id: int = 7, *, shard: int = 0, **data: Any) -> None:
        self.publish(self.held.pass_on([self.row(kind, charger_id, **data)], shard), shard)

    def test_the_first_is_told_at_once_and_of_those_within_a_second_the_last(self) -> None:
        for _ in range(4):
            self.pass_on(READING)
            self.clock.advance(0.1)
        self.assertEqual((self.told, self.dropped), ([1], [2, 3]))
        self.clock.advance(HELD_S)
        self.assertEqual((self.told, self.dropped), ([1, 4], [2, 3]))

    def test_readings_without_end_are_told_once_a_second(self) -> None:
        for _ in range(105):
            self.pass_on(READING)
            self.clock.advance(0.1)
        self.assertLessEqual(len(self.told), 11)
        self.assertGreaterEqual(len(self.told), 10)
        self.clock.advance(HELD_S)
        self.assertEqual(self.told[-1], 105)

    def test_readings_a_second_apart_are_all_told_at_once(self) -> None:
        for number in range(3):
            self.pass_on(READING)
            self.assertEqual(self.told, list(range(1, number + 2)))
            self.clock.advance(HELD_S)

    def test_a_lone_reading_is_told_at_once_whatever_was_told_before_and_comes_behind(self) -> None:
        for kind in (STARTED, READING, STOPPED):
            self.pass_on(kind)
        self.assertEqual(self.told, [1, 2, 3])

    def test_the_end_of_the_session_stands_for_a_held_reading(self) -> None:
        self.pass_on(READING)
        self.pass_on(READING)
        self.pass_on(STOPPED)
        self.clock.advance(HELD_S)
        self.assertEqual((self.told, self.dropped), ([1, 3], [2]))

    def test_the_end_of_another_session_does_not(self) -> None:
        self.pass_on(READING, sessionId=2)
        self.pass_on(READING, sessionId=2)
        self.pass_on(STOPPED)
        self.assertEqual((self.told, self.dropped), ([1, 2, 3], []))

    def test_an_end_that_says_less_does_not(self) -> None:
        self.pass_on(READING)
        self.pass_on(READING, socPercent=80.0)
        self.pass_on(STOPPED)
        self.assertEqual((self.told, self.dropped), ([1, 2, 3], []))

    def test_what_else_the_charger_tells_comes_behind_its_held_readings(self) -> None:
        self.pass_on(READING)
        self.pass_on(READING)
        self.pass_on(READING, sessionId=4)
        self.pass_on(STATUS, charger_id=8)
        self.assertEqual(self.told, [1, 4])
        self.pass_on(STATUS)
        self.assertEqual(self.told, [1, 4, 2, 3, 5])

    def test_a_reading_that_the_next_one_does_not_cover_is_told(self) -> None:
        self.pass_on(READING)
        self.pass_on(READING, powerW=7000.0)
        self.pass_on(READING)
        self.clock.advance(HELD_S)
        self.assertEqual((self.told, self.dropped), ([1, 2, 3], []))

    def test_commands_do_not_wait(self) -> None:
        self.pass_on(READING)
        self.pass_on(READING)
        command = OutboxRow(id=9, exchange=COMMANDS_EXCHANGE, event_id="c", routing_key="CP-1", body=b"{}")
        self.assertEqual(self.held.pass_on([command], 0), [command])
        self.assertEqual(self.told, [1])

    def test_each_goes_with_its_shard(self) -> None:
        for _ in range(2):
            for shard in (0, 1):
                self.pass_on(READING, charger_id=shard, shard=shard)
        self.clock.advance(HELD_S)
        self.assertEqual((self.told, self.shards), ([1, 2, 3, 4], [0, 1, 0, 1]))

    def test_what_is_forgotten_is_left_to_the_outbox(self) -> None:
        for _ in range(2):
            for shard in (0, 1):
                self.pass_on(READING, charger_id=shard, shard=shard)
        self.held.forget(0)
        self.clock.advance(HELD_S)
        self.assertEqual((self.told, self.dropped), ([1, 2, 4], []))

    def test_the_close_publishes_what_is_held_and_holds_no_more(self) -> None:
        self.pass_on(READING)
        self.pass_on(READING)
        self.held.close()
        self.assertEqual(self.told, [1, 2])
        self.pass_on(READING)
        self.assertEqual(self.told, [1, 2, 3])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_left_of_a_charger_that_is_quiet(self) -> None:
        self.pass_on(READING)
        self.pass_on(READING)
        self.clock.pump([HELD_S] * 4)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_of_the_rows_in_the_outbox_those_are_covered_for_which_others_stand(self) -> None:
        rows = [
            self.row(READING),
            self.row(READING),
            self.row(READING, sessionId=4),
            self.row(STATUS),
            self.row(READING, powerW=1.0),
            self.row(READING),
            self.row(STOPPED),
            self.row(READING, sessionId=4),
        ]
        command = OutboxRow(id=9, exchange=COMMANDS_EXCHANGE, event_id="c", routing_key="CP-1", body=b"{}")
        self.assertEqual(covered([*rows, command]), {1, 2, 3, 6})

    @given(
        st.lists(
            st.tuples(
                st.sampled_from((READING, READING, READING, STARTED, STOPPED, STATUS)),
                st.integers(1, 2),
                st.integers(1, 2),
                st.sampled_from(({}, {"powerW": 1.0})),
                st.integers(-1, 400),
                st.sampled_from((0.0, 0.01, 0.3, 0.7, 2.0)),
            )
        )
    )
    def test_nobody_misses_anything(self, drawn: list[tuple[str, int, int, dict[str, float], int, float]]) -> None:
        """Each is told, in its charger's order, or one that is told behind it says the same with newer values."""
        self.setUp()
        for kind, charger_id, session_id, data, sampled_s, pause_s in drawn:
            fields: dict[str, Any] = {"sessionId": session_id, **data}
            if kind == READING:
                fields["sampledAt"] = NOON + timedelta(seconds=sampled_s)
            self.pass_on(kind, charger_id, **fields)
            self.clock.advance(pause_s)
        self.clock.pump([HELD_S] * 3)
        self.assertEqual(sorted(self.told + self.dropped), list(self.rows))
        for charger_id in (1, 2):
            mine = [number for number in self.told if self.rows[number].charger_id == charger_id]
            self.assertEqual(mine, sorted(mine))
        for number in self.dropped:
            self.assertTrue(any(self.says_the_same(number, later) for later in self.told if later > number))

    def says_the_same(self, number: int, later: int) -> bool:
        one, other = self.rows[number], self.rows[later]
        at = other.data.get("sampledAt") or other.data.get("stoppedAt")
        return (
            other.type in (READING, STOPPED)
            and (one.charger_id, one.data["sessionId"]) == (other.charger_id, other.data["sessionId"])
            and (other.type == STOPPED or one.data.keys() <= other.data.keys())
            and at is not None
            and one.data["sampledAt"] <= at <= one.data["sampledAt"] + TOLD_ONCE
        )
