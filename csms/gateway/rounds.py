"""Rounds through many, a part of them in each turn of the reactor, so that everybody else gets his turn in between.

A round is followed by a rest, and what happens meanwhile is one visit for all of it. So visits take two thirds of the
time at most.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

PART = 25
"""Members that are visited in one turn: it takes half a millisecond to write to as many browsers."""

REST = 0.5
"""How long a rest is, by the time that the visits of its round took."""

T = TypeVar("T")


class Rounds(Generic[T]):
    """Visits all ``members`` after it was asked to; once, however often it was asked in one turn of the reactor."""

    def __init__(self, clock: IReactorTime, members: Collection[T], visit: Callable[[T], None]) -> None:
        self._clock = clock
        self._members = members
        self._visit = visit
        self._asked = False
        self._left: deque[T] = deque()
        """Of the round that is under way."""
        self._next_part: IDelayedCall | None = None
        self._took_s = 0.0
        """Of the round that is under way: the time of its visits."""
        self._rests_until_s = -math.inf

    def ask(self) -> None:
        """Begin a round soon: behind the one that is under way, since some have had their visit in that."""
        self._asked = True
        self._plan()

    def stop(self) -> None:
        """Visit nobody until it is asked for again."""
        self._asked = False
        self._left.clear()
        if self._next_part is not None:
            self._next_part.cancel()
            self._next_part = None

    def _plan(self) -> None:
        if self._next_part is None and self._members:
            rest_s = 0.0 if self._left else max(0.0, self._rests_until_s - self._clock.seconds())
            self._next_part = self._clock.callLater(rest_s, self._go_on)

    def _go_on(self) -> None:
        self._next_part = None
        began_s = self._clock.seconds()
        if not self._left:
            self._asked = False
            self._left.extend(self._members)
            self._took_s = 0.0
        try:
            for _ in range(PART):
                if self._left and (member := self._left.popleft()) in self._members:
                    self._visit(member)
        finally:
            ended_s = self._clock.seconds()
            self._took_s += ended_s - began_s
            self._rests_until_s = ended_s + REST * self._took_s
            if self._left or self._asked:
                self._plan()
