"""Timers go by a clock that never jumps, timestamps by the wall's."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.walltime import run_steadily, utc, wall_s


class WallTimeTests(SynchronousTestCase):
    def test_timers_and_durations_heed_no_wall_clock_that_is_set(self) -> None:
        reactor = EPollReactor()
        run_steadily(reactor)
        before, now = reactor.seconds(), time.time()
        rung: list[str] = []
        reactor.callLater(0.0, rung.append, "now")
        reactor.callLater(1000.0, rung.append, "much later")
        for step_s in (-3600.0, 7200.0):
            self.patch(time, "time", lambda step_s=step_s: now + step_s)
            self.patch(reactor, "wall_seconds", time.time)
            reactor.runUntilCurrent()
            self.assertEqual(rung, ["now"])
            self.assertLess(abs(reactor.seconds() - before), 600.0)
            self.assertEqual(wall_s(reactor), now + step_s)
            self.assertEqual(utc(reactor), datetime.fromtimestamp(now, UTC) + timedelta(seconds=step_s))
        for call in reactor.getDelayedCalls():
            call.cancel()

    def test_another_clock_is_its_own_wall(self) -> None:
        clock = Clock()
        clock.advance(1000.0)
        self.assertEqual(utc(clock), datetime.fromtimestamp(1000.0, UTC))
