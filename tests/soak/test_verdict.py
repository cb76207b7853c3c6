"""What counts as flat."""

from __future__ import annotations

import unittest
from random import Random

from tests.soak.verdict import FEWEST, Verdict, judge


class VerdictTests(unittest.TestCase):
    def judged(self, rise_mb: float, *, noise_mb: float = 0.0, warm_up_mb: float = 0.0, count: int = 180) -> Verdict:
        """A process of 100 MB that grows by ``rise_mb`` in the time, and by ``warm_up_mb`` in its first third."""
        random = Random(1)
        samples = []
        for number in range(count):
            part = number / count
            value = 100 + rise_mb * part + warm_up_mb * min(1.0, 3 * part) + random.uniform(-noise_mb, noise_mb)
            samples.append((5.0 * number, value))
        return judge("worker", "rss_mb", samples)

    def test_what_warms_up_and_then_stays_is_flat(self) -> None:
        self.assertTrue(self.judged(0.0, noise_mb=3.0, warm_up_mb=80.0).flat)

    def test_a_leak_is_found_in_noise(self) -> None:
        found = self.judged(20.0, noise_mb=3.0)
        self.assertFalse(found.flat)
        self.assertLess(abs(found.per_hour - 80.0), 20.0)

    def test_what_shrinks_is_flat(self) -> None:
        self.assertTrue(self.judged(-30.0).flat)

    def test_too_few_samples_say_nothing(self) -> None:
        self.assertIsNone(self.judged(50.0, count=FEWEST).flat)
