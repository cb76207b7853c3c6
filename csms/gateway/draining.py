"""Sending a gateway's chargers away little by little, so that those who take them are not overrun.

A charger is let go when nothing of it is under way: its CALL is answered, and it has answered the command that was
written to it. Those without a command go first. A drain has an end: who is still there then is closed with the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from csms.gateway.clock import Clock, pause

SLOWEST_PER_S = 20.0
"""A few chargers are no flood: the drain of a small gateway is over soon, however long it might take."""
TICK_S = 0.05
SPREAD = 0.8
"""The part of the time in which chargers are asked; the rest is for what is under way then."""


class Leaver(Protocol):
    """A charger's connection."""

    @property
    def leaving(self) -> bool:
        """Whether it was asked to."""
        ...

    @property
    def commanded(self) -> bool:
        """Whether a command is on its way to the charger or waits for the charger's answer."""
        ...

    def leave(self, code: int, reason: str) -> None:
        """Begin nothing more, and close as soon as nothing is under way."""
        ...


async def drain(
    connections: Callable[[], Iterable[Leaver]], *, within_s: float, clock: Clock, code: int, reason: str
) -> None:
    """Ask all ``connections`` to leave, spread over ``within_s`` (or less), and wait until they have, no longer.

    ``connections`` are those that are not over, now: some may still open when it begins.
    """
    began = clock.seconds()
    total = len(list(connections()))
    per_s = max(total / (SPREAD * within_s), SLOWEST_PER_S)
    asked = 0
    while (now := clock.seconds()) - began < within_s:
        present = list(connections())
        if not present:
            return
        due = math.floor((now - began) * per_s) + 1 - asked
        for one in _next([one for one in present if not one.leaving], due):
            one.leave(code, reason)
            asked += 1
        await pause(clock, TICK_S)


def _next(staying: Sequence[Leaver], count: int) -> Sequence[Leaver]:
    """The ``count`` that can leave with the least waiting."""
    return sorted(staying, key=lambda one: one.commanded)[: max(count, 0)]
