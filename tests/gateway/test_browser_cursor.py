from __future__ import annotations

import json
import random
import re
import unittest

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.messages import NotificationType
from csms.gateway.browser_cursor import BrowserCursor, RingMovedOn
from csms.gateway.events import OVERLAP_S, PIECES, EventRing, Filter, event_texts
from tests.gateway.notes import NOON, note, tell

NOON_S = NOON.timestamp()


def ring_of(count: int, kept: int = 100) -> EventRing:
    """With an event in each second from noon on, and all that was told before that."""
    ring = EventRing(kept, b"".join)
    ring.reaches_back_to(NOON_S - 600)
    for number in range(count):
        tell(ring, note(number), NOON_S + number)
    return ring


def taken(cursor: BrowserCursor, most_bytes: int = 10_000) -> list[str]:
    """The ids of all that the cursor has for the browser now; "reset" where the ring had moved on."""
    ids: list[str] = []
    while True:
        try:
            wire = cursor.take(most_bytes)
        except RingMovedOn:
            ids.append("reset")
        else:
            ids += [found.decode() for found in re.findall(rb'"id":"([^"]+)"', wire)]
        if not cursor.has_more:
            return ids


def ids(*numbers: int) -> list[str]:
    return [f"event-{number}" for number in numbers]


class EventTextTest(unittest.TestCase):
    def test_every_notification_has_the_generic_frame(self) -> None:
        (text,) = event_texts(note(1, NotificationType.CHARGER_BOOTED, vendor="Acme"))
        self.assertEqual(
            json.loads(text),
            {
                "event": "notification",
                "type": "charger.booted",
                "chargerId": 7,
                "deviceId": "CP-1",
                "data": {"vendor": "Acme"},
                "timestamp": "2026-03-01T12:00:00Z",
                "id": "event-1",
            },
        )

    def test_three_types_have_a_specific_frame_with_the_same_fields(self) -> None:
        for kind, name in (
            (NotificationType.CHARGING_STARTED, "charging:started"),
            (NotificationType.CHARGING_STOPPED, "charging:stopped"),
            (NotificationType.CHARGER_STATUS_CHANGED, "charger:status:changed"),
        ):
            with self.subTest(kind):
                generic, specific = map(json.loads, event_texts(note(1, kind, sessionId=3)))
                self.assertEqual(specific.pop("event"), name)
                generic.pop("event")
                self.assertEqual(specific, generic)

    def test_hostile_text_stays_inside_a_json_string(self) -> None:
        hostile = '"},{"event":"reset"}\u2028</script><img onerror=alert(1)>\x00'
        (text,) = event_texts(note(1, device_id=hostile, vendor=hostile))
        self.assertEqual(json.loads(text)["deviceId"], hostile)
        self.assertEqual(json.loads(text)["data"], {"vendor": hostile})


class EventRingTest(unittest.TestCase):
    def test_an_event_that_comes_twice_is_there_once(self) -> None:
        ring = ring_of(3)
        self.assertFalse(tell(ring, note(1)))
        self.assertEqual(len(ring), 3)

    def test_an_event_that_comes_again_after_it_left_the_ring_stays_out(self) -> None:
        ring = ring_of(6, kept=3)
        self.assertFalse(tell(ring, note(0)))
        self.assertIsNone(ring.position("event-0"))

    def test_it_keeps_no_more_than_it_may(self) -> None:
        ring = ring_of(5000, kept=10)
        self.assertEqual((len(ring), ring.begin, ring.end), (10, 4990, 5000))

    def test_it_keeps_no_more_bytes_than_it_may(self) -> None:
        ring = EventRing(1000, b"".join, max_bytes=10_000)
        for number in range(100):
            tell(ring, note(number, text="x" * 1000))
        self.assertLessEqual(sum(len(ring[position].wire) for position in range(ring.begin, ring.end)), 10_000)

    def test_what_cannot_be_read_stops_nobody(self) -> None:
        ring = ring_of(1)
        ring.append("broken", NotificationType.CHARGER_BOOTED, b'{"type":', NOON_S)
        tell(ring, note(1))
        cursor = BrowserCursor(ring, 1000)
        cursor.resume("event-0", ring.feed)
        self.assertEqual(ring[1].wire, b"")
        self.assertEqual(cursor.take(1000), ring[2].wire)
        self.assertEqual(ring[2].id, "event-1")
        cursor = BrowserCursor(ring, 1000)
        cursor.filter = Filter(chargers=frozenset({"CP-1"}))
        self.assertEqual(cursor.resume("event-0", ring.feed), 1)

    def test_an_event_that_nobody_looks_at_is_not_read(self) -> None:
        ring = EventRing(10, self.fail)
        ring.append("event-1", NotificationType.CHARGER_BOOTED, b"nothing that could be read", NOON_S)
        tell(ring, note(2))
        cursor = BrowserCursor(ring, 1000)
        cursor.filter = Filter(types=frozenset({NotificationType.CHARGING_STOPPED}))
        cursor.release()
        tell(ring, note(3))
        self.assertEqual(taken(cursor), [])

    def test_whoever_watches_for_one_type_gets_it_and_hears_of_gaps(self) -> None:
        ring = ring_of(1)
        seen: list[object] = []
        ring.watch(NotificationType.COMMAND_CHANGED, seen.append)
        changed = note(1, NotificationType.COMMAND_CHANGED, commandId="c")
        tell(ring, changed)
        tell(ring, note(2))
        ring.append("broken", NotificationType.COMMAND_CHANGED, b"{", NOON_S)
        ring.break_off(NOON_S)
        self.assertEqual(seen, [changed, None, None])

    def test_an_event_is_encoded_once_however_many_listen(self) -> None:
        encoded: list[list[bytes]] = []

        def to_wire(texts: list[bytes]) -> bytes:
            encoded.append(texts)
            return b"".join(texts)

        ring = EventRing(10, to_wire)
        cursors = [BrowserCursor(ring, 1000) for _ in range(50)]
        tell(ring, note(1))
        for cursor in cursors:
            cursor.release()
            self.assertIn(b"event-1", cursor.take(1000))
        self.assertEqual(len(encoded), 1)

    def test_a_piece_is_made_once_for_all_who_stand_at_the_same_place_and_want_the_same(self) -> None:
        ring = ring_of(3)
        here, there = [ring.piece(0, 3, Filter(types=frozenset({"meter.values.updated"})), 1000) for _ in range(2)]
        self.assertIs(here, there)
        self.assertEqual(here[1], 3)
        self.assertEqual(ring.piece(0, 3, Filter(types=frozenset({"charging.started"})), 1000), (b"", 3))
        self.assertEqual(ring.piece(0, 3, Filter(), 1)[1], 1)
        self.assertEqual(ring.piece(2, 3, Filter(), 1)[1], 3)
        for number in range(3, 3 + 2 * PIECES):
            tell(ring, note(number))
            self.assertIn(f'"event-{number}"'.encode(), ring.piece(number, ring.end, Filter(), 1000)[0])
        self.assertLessEqual(len(ring._pieces), PIECES)


class BrowserCursorTest(unittest.TestCase):
    def test_a_new_browser_gets_only_what_is_new(self) -> None:
        ring = ring_of(5)
        cursor = BrowserCursor(ring, 1000)
        cursor.release()
        self.assertEqual(taken(cursor), [])
        tell(ring, note(5))
        self.assertEqual(taken(cursor), ids(5))

    def test_nothing_is_given_before_the_release(self) -> None:
        ring = ring_of(0)
        cursor = BrowserCursor(ring, 1000)
        tell(ring, note(0))
        self.assertEqual(taken(cursor), [])
        cursor.release()
        self.assertEqual(taken(cursor), ids(0))

    def test_resume_gives_what_was_missed_once_and_in_order_and_then_what_is_new(self) -> None:
        ring = ring_of(10)
        cursor = BrowserCursor(ring, 1000)
        tell(ring, note(10))
        self.assertEqual(cursor.resume("event-6", ring.feed), 4)
        self.assertEqual(taken(cursor), ids(7, 8, 9, 10))
        tell(ring, note(11))
        self.assertEqual(taken(cursor), ids(11))

    def test_a_late_resume_repeats_nothing_that_was_given_since(self) -> None:
        ring = ring_of(5)
        cursor = BrowserCursor(ring, 1000)
        cursor.release()
        tell(ring, note(5))
        self.assertEqual(taken(cursor), ids(5))
        self.assertEqual(cursor.resume("event-2", ring.feed), 2)
        self.assertEqual(taken(cursor), ids(3, 4))
        tell(ring, note(6))
        self.assertEqual(taken(cursor), ids(6))

    def test_resume_from_the_newest_misses_nothing(self) -> None:
        ring = ring_of(5)
        cursor = BrowserCursor(ring, 1000)
        self.assertEqual(cursor.resume("event-4", ring.feed), 0)
        self.assertEqual(taken(cursor), [])

    def test_resume_counts_what_the_filter_lets_through(self) -> None:
        ring = ring_of(5)
        tell(ring, note(5, device_id="CP-2"))
        cursor = BrowserCursor(ring, 1000)
        cursor.filter = Filter(chargers=frozenset({"CP-2"}))
        self.assertEqual(cursor.resume("event-1", ring.feed), 1)
        self.assertEqual(taken(cursor), ids(5))

    def test_an_unknown_id_resumes_nothing_but_new_events_follow(self) -> None:
        ring = ring_of(5)
        cursor = BrowserCursor(ring, 1000)
        self.assertIsNone(cursor.resume("event-99", ring.feed))
        tell(ring, note(5))
        self.assertEqual(taken(cursor), ids(5))

    def test_an_id_that_left_the_ring_is_unknown(self) -> None:
        ring = ring_of(20, kept=5)
        self.assertIsNone(BrowserCursor(ring, 1000).resume("event-3", ring.feed))

    def test_a_second_older_resume_in_the_middle_of_the_first_is_refused(self) -> None:
        ring = ring_of(10)
        cursor = BrowserCursor(ring, 1000)
        cursor.release()
        tell(ring, note(10))
        self.assertEqual(taken(cursor), ids(10))
        self.assertEqual(cursor.resume("event-7", ring.feed), 2)
        self.assertIsNone(cursor.resume("event-2", ring.feed))
        self.assertEqual(taken(cursor), ids(8, 9))

    def test_a_browser_that_the_ring_has_left_behind_is_reset_once(self) -> None:
        ring = ring_of(0, kept=5)
        cursor = BrowserCursor(ring, 1000)
        cursor.release()
        for number in range(20):
            tell(ring, note(number))
        self.assertEqual(taken(cursor), ["reset"])
        tell(ring, note(20))
        self.assertEqual(taken(cursor), ids(20))

    def test_a_gap_in_the_events_resets_everybody(self) -> None:
        ring = ring_of(5)
        behind, ahead = BrowserCursor(ring, 1000), BrowserCursor(ring, 1000)
        behind.resume("event-1", ring.feed)
        ahead.release()
        ring.break_off(NOON_S)
        tell(ring, note(5))
        self.assertEqual(taken(behind), ["reset"])
        self.assertEqual(taken(ahead), ["reset"])
        tell(ring, note(6))
        self.assertEqual(taken(behind), ids(6))

    def test_it_lags_once_when_too_many_bytes_wait_and_again_only_after_it_caught_up(self) -> None:
        ring = ring_of(0)
        cursor = BrowserCursor(ring, lag_bytes=1000)
        cursor.release()
        told = []
        for number in range(20):
            tell(ring, note(number))
            told.append(cursor.falls_behind())
        self.assertEqual(told.count(True), 1)
        self.assertGreater(told.index(True), 1)
        self.assertEqual(taken(cursor), ids(*range(20)))
        tell(ring, note(20))
        self.assertFalse(cursor.falls_behind())
        for number in range(21, 40):
            tell(ring, note(number))
        self.assertTrue(cursor.falls_behind())

    def test_a_browser_that_was_reset_may_lag_again(self) -> None:
        ring = ring_of(0, kept=5)
        cursor = BrowserCursor(ring, lag_bytes=400)
        cursor.release()

        def lags(*numbers: int) -> list[bool]:
            told = []
            for number in numbers:
                tell(ring, note(number))
                told.append(cursor.falls_behind())
            return told

        self.assertIn(True, lags(*range(20)))
        self.assertRaises(RingMovedOn, cursor.take, 1)
        tell(ring, note(20))
        tell(ring, note(21))
        cursor.take(1)
        self.assertTrue(cursor.has_more)
        self.assertIn(True, lags(*range(22, 26)))

    def test_what_was_taken_does_not_count_as_waiting(self) -> None:
        ring = ring_of(0)
        cursor = BrowserCursor(ring, lag_bytes=400)
        cursor.release()
        for number in range(20):
            tell(ring, note(number))
            self.assertFalse(cursor.falls_behind())
            self.assertEqual(taken(cursor), ids(number))

    def test_what_the_filter_hides_makes_nobody_lag(self) -> None:
        ring = ring_of(0)
        cursor = BrowserCursor(ring, lag_bytes=1000)
        cursor.filter = Filter(types=frozenset({"charging.started"}))
        cursor.release()
        for number in range(50):
            tell(ring, note(number))
        self.assertFalse(cursor.falls_behind())

    @given(
        missed=st.integers(0, 30),
        held=st.integers(0, 30),
        given_before=st.integers(0, 30),
        later=st.integers(0, 30),
        most_bytes=st.integers(1, 3000),
    )
    def test_whenever_a_browser_resumes_it_has_every_event_once(
        self, missed: int, held: int, given_before: int, later: int, most_bytes: int
    ) -> None:
        ring = ring_of(1)
        numbers = iter(range(1, 1000))
        expected = missed + held + given_before + later

        def grow(count: int) -> None:
            for _ in range(count):
                tell(ring, note(next(numbers)))

        grow(missed)
        cursor = BrowserCursor(ring, 1000)
        grow(held)
        seen: list[str] = []
        if given_before:
            cursor.release()
            grow(given_before)
            seen += taken(cursor, most_bytes)
        cursor.resume("event-0", ring.feed)
        seen += taken(cursor, most_bytes)
        grow(later)
        seen += taken(cursor, most_bytes)
        self.assertEqual(sorted(seen), sorted(ids(*range(1, expected + 1))))
        if not given_before:
            self.assertEqual(seen, ids(*range(1, expected + 1)))


class OtherRingTest(unittest.TestCase):
    """A browser that comes from another gateway, or from a process that is no more."""

    def test_it_gets_what_it_may_not_have_had_since_the_order_there_was_another(self) -> None:
        ring = ring_of(30)
        for feed in ("", "of-another"):
            with self.subTest(feed):
                cursor = BrowserCursor(ring, 1000)
                first = 25 - int(OVERLAP_S)
                self.assertEqual(cursor.resume("event-25", feed), 30 - first)
                self.assertEqual(taken(cursor), ids(*range(first, 30)))

    def test_an_event_that_came_here_late_hides_none_that_came_in_time(self) -> None:
        ring = ring_of(40)
        tell(ring, note(99), NOON_S + 20)
        cursor = BrowserCursor(ring, 1000)
        cursor.resume("event-99", "of-another")
        self.assertEqual(taken(cursor), ids(*range(5, 40), 99))

    def test_what_may_be_missing_here_is_a_reset(self) -> None:
        for name, ring in (("left", ring_of(40, kept=20)), ("never filled", EventRing(100, b"".join))):
            with self.subTest(name):
                tell(ring, note(40), NOON_S + 30)
                self.assertIsNone(BrowserCursor(ring, 1000).resume("event-40", "of-another"))
                self.assertIsNotNone(BrowserCursor(ring, 1000).resume("event-40", ring.feed))
                tell(ring, note(41), NOON_S + 60)
        ring = ring_of(40)
        ring.break_off(NOON_S + 40)
        for number, known in ((50, False), (55, False), (60, True)):
            tell(ring, note(number), NOON_S + number)
            resumed = BrowserCursor(ring, 1000).resume(f"event-{number}", "of-another")
            self.assertEqual(resumed is not None, known)

    def test_a_ring_that_began_with_its_process_knows_nothing_of_what_was_before(self) -> None:
        ring = EventRing(100, b"".join, shared=False)
        ring.reaches_back_to(NOON_S - 600)
        tell(ring, note(1), NOON_S)
        self.assertIsNone(BrowserCursor(ring, 1000).resume("event-1", "of-another"))
        self.assertEqual(BrowserCursor(ring, 1000).resume("event-1", ring.feed), 0)

    @given(st.integers(0, 59), st.floats(0.0, OVERLAP_S / 2), st.randoms(use_true_random=False))
    def test_whatever_the_order_there_was_nothing_is_lost(
        self, seen: int, late_s: float, chance: random.Random
    ) -> None:
        def order() -> list[int]:
            return sorted(range(60), key=lambda number: number + chance.uniform(0, late_s))

        ring = ring_of(0)
        here, there = order(), order()
        for number in here:
            tell(ring, note(number), NOON_S + number)
        cursor = BrowserCursor(ring, 1000)
        cursor.resume(f"event-{there[seen]}", "of-another")
        self.assertEqual(set(taken(cursor)) | set(ids(*there[: seen + 1])), set(ids(*range(60))))
