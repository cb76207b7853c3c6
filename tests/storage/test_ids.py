"""Ids that are fetched ahead by several threads at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from csms.storage.bulk import PostgresqlBulk
from csms.storage.ids import Ids
from csms.storage.tables import outbox


class _Numbers(PostgresqlBulk):
    """A sequence, with something that happens while the second half of its numbers is still to come."""

    def __init__(self) -> None:
        self.last = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def ids(self, connection: Any, table: Any, count: int, taken: int) -> list[int]:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        first = self.numbers(count // 2)
        meanwhile()
        return first + self.numbers(count - count // 2)

    def numbers(self, count: int) -> list[int]:
        self.last += count
        return list(range(self.last - count + 1, self.last + 1))


class FetchingSideBySideTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.numbers = _Numbers()
        self.ids = Ids(self.numbers)

    def take(self, count: int) -> list[int]:
        return self.ids.take(None, outbox, count, 0)  # type: ignore[arg-type]

    def test_what_is_on_its_way_when_all_is_forgotten_is_not_kept(self) -> None:
        self.take(1)
        self.numbers.meanwhile = self.ids.forget
        taken = self.take(1)
        others = self.numbers.last = self.numbers.last + 100
        self.assertLess(taken[-1], others)
        self.assertGreater(self.take(1)[0], others)

    def test_after_what_was_on_its_way_then_come_greater_ones(self) -> None:
        between: list[int] = []

        def meanwhile() -> None:
            self.ids.forget()
            between.extend(self.take(1) + self.take(2))

        self.numbers.meanwhile = meanwhile
        taken = self.take(1)
        self.assertGreater(max(taken), max(between))
        self.assertGreater(self.take(2)[0], max(taken))

    def test_numbers_of_both_that_are_mixed_come_in_order_for_each(self) -> None:
        during: list[int] = []
        self.numbers.meanwhile = lambda: during.extend(self.take(1) + self.take(2))
        before = self.take(30)
        after = self.take(2)
        self.assertEqual(len({*before, *during, *after}), 35)
        self.assertGreater(max(before), max(during))
        self.assertGreater(min(after), max(before))
