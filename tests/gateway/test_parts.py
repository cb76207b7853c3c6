"""The small parts by themselves: ids, the throttle, waiting replies, the directory."""

from __future__ import annotations

import unittest

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.config.settings import GatewaySettings
from csms.coroutines import spawn
from csms.domain.identifiers import new_id
from csms.domain.messages import Reply
from csms.domain.model import Charger
from csms.gateway.directory import (
    FRESH_S,
    LAST_PATIENCE_S,
    MAX_IN_CROWD,
    MAX_WAITING,
    PATIENCE_S,
    QUERIES,
    STALE_S,
    UNKNOWN_FRESH_S,
    Directory,
    Known,
)
from csms.gateway.identifiers import gateway_name
from csms.gateway.lookup_lane import MAX_AT_ONCE
from csms.gateway.replies import Replies
from csms.ports import DatabaseUnavailable
from csms.throttle import Throttle
from tests.gateway.doubles import FakeDatabase


class IdentifierTests(unittest.TestCase):
    def test_later_ids_are_larger_even_within_a_millisecond_or_when_the_clock_goes_back(self) -> None:
        times = [1_700_000_000_000] * 1000 + [1_600_000_000_000, 1_700_000_000_001]
        ids = [new_id(ms) for ms in times]
        self.assertEqual(ids, sorted(ids))
        self.assertEqual(len(set(ids)), len(ids))

    def test_form(self) -> None:
        self.assertRegex(new_id(1_700_000_000_000), r"^[0-9a-f]{12}-[0-9a-f]{12}$")

    def test_gateways_have_different_names_on_different_ports(self) -> None:
        self.assertEqual(gateway_name(GatewaySettings(name="x")), "x")
        self.assertNotEqual(gateway_name(GatewaySettings(port=1)), gateway_name(GatewaySettings(port=2)))


class ThrottleTests(unittest.TestCase):
    def test_blocked_after_the_limit_until_the_window_ends(self) -> None:
        throttle = Throttle(limit=3, window_s=60)
        for _ in range(3):
            self.assertEqual(throttle.blocked_for_s("a", 0), 0)
            throttle.failed("a", 0)
        self.assertEqual(throttle.blocked_for_s("a", 10), 50)
        self.assertEqual(throttle.blocked_for_s("b", 10), 0)
        self.assertEqual(throttle.blocked_for_s("a", 60), 0)
        throttle.failed("a", 60)
        self.assertEqual(throttle.blocked_for_s("a", 61), 0)

    def test_success_forgets(self) -> None:
        throttle = Throttle(limit=1, window_s=60)
        throttle.failed("a", 0)
        throttle.forget("a")
        self.assertEqual(throttle.blocked_for_s("a", 1), 0)

    def test_memory_is_bounded(self) -> None:
        throttle = Throttle(limit=1, window_s=60, max_keys=10)
        for number in range(1000):
            throttle.failed(str(number), 0)
        self.assertEqual(len(throttle._seen), 10)
        self.assertGreater(throttle.blocked_for_s("999", 1), 0)


class RepliesTests(unittest.TestCase):
    def setUp(self) -> None:
        self.replies = Replies(8.0)
        self.got: list[Reply | None] = []

    def expect(self, message_id: str, now: float) -> None:
        self.replies.expect(message_id, "c1", now, self.got.append)

    def test_decision_reaches_the_one_who_waits_once(self) -> None:
        self.expect("m", 0)
        reply = Reply(message_id="m", connection_id="c1", payload={})
        self.replies.take(reply)
        self.replies.take(reply)
        self.assertEqual(self.got, [reply])
        self.assertEqual(len(self.replies), 0)

    def test_decision_for_another_connection_is_dropped(self) -> None:
        self.expect("m", 0)
        self.replies.take(Reply(message_id="m", connection_id="c2", payload={}))
        self.assertEqual((self.got, len(self.replies)), ([], 1))

    def test_deadline_is_told_in_order(self) -> None:
        self.expect("a", 0)
        self.expect("b", 1)
        self.replies.expire(7.9)
        self.assertEqual(self.got, [])
        self.replies.expire(8.0)
        self.assertEqual((self.got, len(self.replies)), ([None], 1))

    def test_forgotten_is_told_nothing(self) -> None:
        self.expect("a", 0)
        self.assertTrue(self.replies.forget("a"))
        self.assertFalse(self.replies.forget("a"))
        self.replies.expire(100)
        self.assertEqual(self.got, [])

    def forget(self, message_id: str) -> None:
        self.replies.forget(message_id)

    def test_deadline_of_one_may_end_the_other(self) -> None:
        self.replies.expect("a", "c1", 0, lambda _: self.forget("b"))
        self.expect("b", 0)
        self.replies.expire(8)
        self.assertEqual((self.got, len(self.replies)), ([], 0))


class DirectoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.database = FakeDatabase()
        self.directory = Directory(self.database, self.clock)
        self.database.rows.add(Charger(device_id="CP1"))

    def find(self, device_id: str = "CP1", *, crowd: bool = False) -> Deferred[Known | None]:
        return Deferred.fromCoroutine(self.directory.find(device_id, crowd=crowd))

    def test_fresh_answer_is_not_asked_for_again(self) -> None:
        first = self.successResultOf(self.find())
        self.clock.advance(FRESH_S - 1)
        self.assertIs(self.successResultOf(self.find()), first)
        self.assertEqual(self.database.reads, 1)
        self.clock.advance(1)
        self.successResultOf(self.find())
        self.assertEqual(self.database.reads, 2)

    def test_unknown_is_remembered_shortly(self) -> None:
        for _ in range(100):
            self.assertIsNone(self.successResultOf(self.find("X")))
        self.assertEqual(self.database.reads, 1)
        self.clock.advance(UNKNOWN_FRESH_S)
        self.database.rows.add(Charger(device_id="X"))
        self.assertIsNotNone(self.successResultOf(self.find("X")))

    def test_stale_answer_serves_while_the_database_is_away_for_a_day(self) -> None:
        known = self.successResultOf(self.find())
        self.database.away = True
        self.clock.advance(STALE_S - 1)
        self.assertIs(self.successResultOf(self.find()), known)
        self.clock.advance(1)
        self.failureResultOf(self.find(), DatabaseUnavailable)

    def test_stale_answer_serves_when_the_database_takes_its_time(self) -> None:
        known = self.successResultOf(self.find())
        self.clock.advance(FRESH_S)
        self.database.slow = Deferred()
        waiting = self.find()
        self.assertNoResult(waiting)
        self.clock.advance(PATIENCE_S)
        self.assertIs(self.successResultOf(waiting), known)

    def test_nothing_remembered_and_a_database_that_hangs_is_an_error_in_time(self) -> None:
        self.database.slow = Deferred()
        waiting = self.find()
        self.clock.advance(LAST_PATIENCE_S)
        self.failureResultOf(waiting, DatabaseUnavailable)
        self.database.slow.callback(None)
        self.assertIsNotNone(self.successResultOf(self.find()))

    def test_nothing_remembered_and_no_database_is_an_error(self) -> None:
        self.database.away = True
        self.failureResultOf(self.find(), DatabaseUnavailable)

    def test_many_ask_at_once_and_the_database_is_asked_once(self) -> None:
        self.database.slow = Deferred()
        waiting = [self.find() for _ in range(50)]
        self.database.slow.callback(None)
        self.assertEqual({self.successResultOf(one).charger_id for one in waiting}, {1})  # type: ignore[union-attr]
        self.assertEqual(self.database.reads, 1)

    def test_lookups_that_wait_are_bounded(self) -> None:
        self.database.slow = Deferred()
        waiting = [self.find(str(number)) for number in range(QUERIES + MAX_WAITING)]
        self.failureResultOf(self.find("one more"), DatabaseUnavailable)
        self.database.slow.callback(None)
        for one in waiting:
            self.assertIsNone(self.successResultOf(one))

    def test_many_chargers_that_come_at_once_share_queries(self) -> None:
        self.database.rows.add(Charger(device_id="CP2"))
        self.database.slow = Deferred()
        storm = [self.find(str(number)) for number in range(QUERIES + MAX_AT_ONCE - 1)]
        known = self.find("CP2")
        self.assertEqual(self.database.reads, QUERIES)
        self.database.slow.callback(None)
        self.assertEqual({self.successResultOf(one) for one in storm}, {None})
        found = self.successResultOf(known)
        self.assertEqual(found and found.charger_id, 2)
        self.assertEqual(self.database.reads, QUERIES + 1)

    def test_a_crowd_is_looked_up_by_one_query_at_a_time_and_nobody_in_it_is_left_out(self) -> None:
        self.database.slow = Deferred()
        first = self.find("0", crowd=True)
        crowd = [self.find(str(number), crowd=True) for number in range(1, 2 * MAX_AT_ONCE)]
        good = self.find(crowd=True)
        self.assertEqual(self.database.reads, 1)
        self.assertIsNone(self.successResultOf(self.beside("X")))
        self.database.slow.callback(None)
        for one in (first, *crowd):
            self.assertIsNone(self.successResultOf(one))
        self.assertIsNotNone(self.successResultOf(good))
        self.assertEqual(self.database.reads, 4)

    def beside(self, device_id: str) -> Deferred[Known | None]:
        """A lookup of somebody else, when the database serves one at a time more."""
        slow, self.database.slow = self.database.slow, None
        found = self.find(device_id)
        self.database.slow = slow
        return found

    def test_a_full_lane_means_what_is_remembered(self) -> None:
        known = self.successResultOf(self.find())
        self.clock.advance(FRESH_S)
        self.database.slow = Deferred()
        waiting = [self.find(f"X{number}", crowd=True) for number in range(MAX_IN_CROWD + 1)]
        self.assertIs(self.successResultOf(self.find(crowd=True)), known)
        self.failureResultOf(self.find("CP2", crowd=True), DatabaseUnavailable)
        self.database.slow.callback(None)
        self.assertEqual({self.successResultOf(one) for one in waiting}, {None})
        self.assertIsNone(self.successResultOf(self.find("CP2", crowd=True)))

    def test_a_bug_in_the_lookup_is_no_unknown_charger(self) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        self.database.read = broken  # type: ignore[assignment, method-assign]
        self.failureResultOf(self.find(), DatabaseUnavailable)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class SpawnedTests(SynchronousTestCase):
    def test_lookup_survives_the_one_who_gave_up(self) -> None:
        clock, database = Clock(), FakeDatabase()
        directory = Directory(database, clock)
        database.rows.add(Charger(device_id="CP1"))
        database.slow = Deferred()
        first = spawn(directory.find("CP1"), "first")
        second = spawn(directory.find("CP1"), "second")
        first.cancel()
        database.slow.callback(None)
        self.assertIsNone(self.successResultOf(first))
        self.assertIsNotNone(self.successResultOf(second))
