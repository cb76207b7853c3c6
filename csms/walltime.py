"""Two clocks: timers and durations go by one that never jumps, timestamps by the wall's, which people and NTP set.

Twisted's reactor measures its timers by the wall clock. One that is set back by an hour would stop every timer for an
hour, deadlines and heartbeats included; one that is set forward would end every patience at once.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Protocol


class Seconds(Protocol):
    """A clock: the reactor, or a test's."""

    def seconds(self) -> float: ...


def run_steadily(reactor: Any) -> None:
    """Let the reactor's seconds go on from now as the machine's uptime does, whatever becomes of the wall clock."""
    ahead_s = time.time() - time.monotonic()
    reactor.seconds = lambda: time.monotonic() + ahead_s
    reactor.wall_seconds = time.time


def wall_s(clock: Seconds) -> float:
    """Unix time now. A clock that was not told to run steadily, such as a test's, is a wall clock itself."""
    seconds: float = getattr(clock, "wall_seconds", clock.seconds)()
    return seconds


def utc(clock: Seconds) -> datetime:
    """The time of day now."""
    return datetime.fromtimestamp(wall_s(clock), UTC)
