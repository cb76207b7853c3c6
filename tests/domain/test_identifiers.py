"""Ids grow, and tell when they were made."""

from __future__ import annotations

from unittest import TestCase

from csms.domain.identifiers import made_at_ms, new_id

NOW_MS = 1_800_000_000_123


class IdentifierTests(TestCase):
    def test_later_ones_are_larger_even_when_the_clock_is_set_back(self) -> None:
        ids = [new_id(NOW_MS - n) for n in range(1000)]
        self.assertEqual(ids, sorted(set(ids)))

    def test_an_id_and_what_derives_from_it_tell_when_it_was_made(self) -> None:
        made = new_id(NOW_MS + 1000)
        self.assertEqual(made_at_ms(made), NOW_MS + 1000)
        self.assertEqual(made_at_ms(f"{made}.0"), NOW_MS + 1000)

    def test_others_tell_nothing(self) -> None:
        for text in ("", "a", "19223201", "01a2-f9963b5ed32f", f"x{new_id(NOW_MS)}"):
            self.assertIsNone(made_at_ms(text))
