"""Rounds: all are visited, a part in each turn, and again when something happens meanwhile."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet.task import Clock

from csms.gateway.rounds import PART, REST, Rounds


class RoundsTests(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.members = dict.fromkeys(range(2 * PART + 1))
        self.visited: list[int] = []
        self.rounds = Rounds(self.clock, self.members, self.visited.append)

    def turn(self) -> list[int]:
        """Who is visited in the next turn of the reactor."""
        before = len(self.visited)
        due: list[Any] = list(self.clock.getDelayedCalls())
        for call in due:  # advance() would go on with what these plan
            go_on = call.func
            call.cancel()
            go_on()
        return self.visited[before:]

    def test_all_are_visited_a_part_in_each_turn(self) -> None:
        self.rounds.ask()
        self.assertEqual(self.visited, [])
        parts = [self.turn() for _ in range(4)]
        self.assertEqual([len(part) for part in parts], [PART, PART, 1, 0])
        self.assertEqual(self.visited, list(self.members))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_asks_twice_in_a_turn_gets_one_round(self) -> None:
        self.rounds.ask()
        self.rounds.ask()
        self.assertEqual([len(self.turn()) for _ in range(4)], [PART, PART, 1, 0])

    def test_who_asks_during_a_round_gets_a_whole_one_behind_it(self) -> None:
        self.rounds.ask()
        self.turn()
        self.rounds.ask()
        self.assertEqual([len(self.turn()) for _ in range(6)], [PART, 1, PART, PART, 1, 0])

    def test_who_comes_during_a_round_is_in_the_next(self) -> None:
        self.rounds.ask()
        self.turn()
        self.members[-1] = None
        self.rounds.ask()
        while self.turn():
            pass
        self.assertEqual(self.visited, [*range(2 * PART + 1), *range(2 * PART + 1), -1])

    def test_after_a_stop_nobody_is_visited(self) -> None:
        self.rounds.ask()
        self.turn()
        self.rounds.stop()
        self.assertEqual((self.turn(), self.clock.getDelayedCalls()), ([], []))

    def test_without_members_nothing_is_planned_and_the_next_who_asks_is_served(self) -> None:
        members = dict(self.members)
        self.members.clear()
        self.rounds.ask()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.members.update(members)
        self.rounds.ask()
        self.assertEqual(len(self.turn()), PART)

    def test_who_goes_during_a_round_is_not_visited_any_more(self) -> None:
        self.rounds.ask()
        self.turn()
        del self.members[PART]
        self.turn()
        self.assertNotIn(PART, self.visited)

    def test_a_visit_may_stop_the_rounds(self) -> None:
        rounds = Rounds(self.clock, self.members, lambda _: rounds.stop())
        rounds.ask()
        self.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_a_round_comes_a_rest_by_how_long_its_visits_took(self) -> None:
        members = dict.fromkeys(range(PART + 1))

        def visit(number: int) -> None:
            self.visited.append(number)
            if number in (0, PART):
                self.clock.rightNow += 0.01

        rounds = Rounds(self.clock, members, visit)
        rounds.ask()
        self.turn()
        rounds.ask()
        self.assertEqual(self.clock.getDelayedCalls()[0].getTime(), self.clock.seconds())
        self.turn()
        self.assertAlmostEqual(self.clock.getDelayedCalls()[0].getTime(), self.clock.seconds() + REST * 0.02)
        self.turn()
        self.assertEqual(self.visited, [*members, *range(PART)])

    def test_who_asks_when_the_rest_is_over_waits_for_nothing(self) -> None:
        def visit(_: int) -> None:
            self.clock.rightNow += 0.01

        rounds = Rounds(self.clock, dict.fromkeys(range(2)), visit)
        rounds.ask()
        self.turn()
        self.clock.advance(0.03)
        rounds.ask()
        self.assertEqual(self.clock.getDelayedCalls()[0].getTime(), self.clock.seconds())

    def test_a_visit_that_fails_costs_nobody_else_his_own(self) -> None:
        def visit(number: int) -> None:
            self.visited.append(number)
            if number == 3:
                raise ZeroDivisionError

        rounds = Rounds(self.clock, self.members, visit)
        rounds.ask()
        with self.assertRaises(ZeroDivisionError):
            self.turn()
        while self.turn():
            pass
        self.assertEqual(self.visited, list(self.members))
