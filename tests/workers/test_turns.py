from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.workers.turns import MANY, PATIENCE_S, Turn, Turns


class TurnsTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.begun: list[list[str]] = []
        self.turns: dict[str, Turn] = {}

    def made(self, *, at_once: int, most: int) -> Turns:
        turns = Turns(self.clock, at_once=at_once, most=most)
        self.admitted: list[str] = []

        def begin() -> None:
            self.begun.append(self.admitted)
            self.admitted = []

        turns.on_admitted(begin)
        return turns

    def wait(self, turns: Turns, name: str, count: int = 1) -> None:
        def admitted(turn: Turn) -> None:
            self.assertTrue(turns.admitting)
            self.turns[name] = turn
            self.admitted.append(name)

        turns.acquire(lambda: count).addCallback(admitted)

    def test_those_that_wait_go_together(self) -> None:
        turns = self.made(at_once=1, most=10)
        for name in "abc":
            self.wait(turns, name)
        self.clock.advance(0)
        self.assertEqual(self.begun, [["a", "b", "c"]])
        self.assertFalse(turns.admitting)

    def test_a_turn_is_over_when_all_that_share_it_are_done(self) -> None:
        turns = self.made(at_once=1, most=10)
        self.wait(turns, "a")
        self.wait(turns, "b")
        self.clock.advance(0)
        self.wait(turns, "c")
        self.turns["a"].leave()
        self.clock.advance(0)
        self.assertEqual(self.begun, [["a", "b"]])
        self.turns["b"].leave()
        self.wait(turns, "b")
        self.clock.advance(0)
        self.assertEqual(self.begun, [["a", "b"], ["c", "b"]])

    def test_no_more_messages_than_that_go_together(self) -> None:
        turns = self.made(at_once=2, most=10)
        for name, count in (("a", 6), ("b", 4), ("c", 1), ("d", 30), ("e", 1)):
            self.wait(turns, name, count)
        self.clock.advance(0)
        self.assertEqual(self.begun, [["a", "b"], ["c"]])
        for name in "abc":
            self.turns[name].leave()
        self.clock.advance(0)
        self.assertEqual(self.begun[2:], [["d"]])
        self.turns["d"].leave()
        self.clock.advance(0)
        self.assertEqual(self.begun[3:], [["e"]])

    def test_without_company_each_has_a_turn_of_its_own(self) -> None:
        turns = self.made(at_once=2, most=0)
        for name, count in (("a", 1), ("b", 0), ("c", 0)):
            self.wait(turns, name, count)
        self.clock.advance(0)
        self.assertEqual(self.begun, [["a"], ["b"]])

    def test_few_wait_for_the_turn_that_is_out(self) -> None:
        turns = self.made(at_once=2, most=500)
        self.wait(turns, "a")
        self.clock.advance(0)
        self.wait(turns, "b", MANY - 1)
        self.clock.advance(PATIENCE_S / 2)
        self.assertEqual(self.begun, [["a"]])
        self.turns["a"].leave()
        self.clock.advance(0)
        self.assertEqual(self.begun, [["a"], ["b"]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_do_not_wait_nor_those_who_have_become_many(self) -> None:
        turns = self.made(at_once=3, most=500)
        self.wait(turns, "a")
        self.clock.advance(0)
        self.wait(turns, "b", MANY)
        self.clock.advance(0)
        self.assertEqual(self.begun, [["a"], ["b"]])
        messages = [1]
        turns.acquire(lambda: len(messages)).addCallback(lambda _: self.admitted.append("c"))
        self.clock.advance(0)
        messages *= MANY
        turns.more()
        self.clock.advance(0)
        self.assertEqual(self.begun, [["a"], ["b"], ["c"]])

    def test_a_turn_that_is_out_for_long_holds_nobody_up(self) -> None:
        turns = self.made(at_once=2, most=500)
        self.wait(turns, "a")
        self.clock.advance(0)
        self.wait(turns, "b")
        self.clock.pump([0, PATIENCE_S, 0])
        self.assertEqual(self.begun, [["a"], ["b"]])
        self.assertEqual(self.clock.getDelayedCalls(), [])
