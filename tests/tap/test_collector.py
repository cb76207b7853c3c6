"""The garbage collector, spared: what is there is left alone, what comes later is still freed."""

from __future__ import annotations

import gc
import weakref

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from csms.tap.collector import spare_collector


class Knot:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


class SpareCollectorTests(SynchronousTestCase):
    def test_knots_of_later_are_freed(self) -> None:
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        self.successResultOf(Deferred.fromCoroutine(spare_collector()))
        self.assertGreater(gc.get_freeze_count(), 10_000)
        freed = [weakref.ref(Knot()) for _ in range(2 * gc.get_threshold()[0])]
        self.assertIsNone(freed[0]())
