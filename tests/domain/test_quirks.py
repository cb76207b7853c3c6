"""Behaviour of real chargers, replayed from files."""

from __future__ import annotations

import unittest

from tests.domain.memory_unit import MemoryUnit
from tests.domain.quirk_files import QUIRKS, replay


class Quirks(unittest.TestCase):
    def test_there_is_a_file_for_each_quirk_of_transactions(self) -> None:
        self.assertEqual({quirk["quirk"] for quirk in QUIRKS.values()}, {f"Q{number}" for number in range(1, 12)})

    def test_each_quirk_has_its_defined_outcome(self) -> None:
        for name, quirk in QUIRKS.items():
            with self.subTest(quirk=name):
                replay(self, quirk, MemoryUnit())
