"""Waiting: pauses that grow and differ, and a stop that ends every pause at once."""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class Backoff:
    """Pauses that double from ``first_s`` to ``longest_s``, each shortened by up to a half at random.

    The randomness keeps workers that lost the same database from coming back to it in step.
    """

    def __init__(self, *, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The next pause, in seconds."""
        pause_s = min(self._next_s, self._longest_s)
        self._next_s = min(self._next_s * 2, self._longest_s)
        return pause_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin again with the first pause."""
        self._next_s = self._first_s


class Stop:
    """Set once, at the end. Every pause taken through it ends then."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: set[Deferred[bool]] = set()
        self.is_set = False

    def set(self) -> None:
        """End all pauses, now and from now on."""
        self.is_set = True
        waiting, self._waiting = self._waiting, set()
        for pause in waiting:
            pause.callback(False)

    async def pause(self, seconds: float) -> bool:
        """Wait; False when the stop came before the end."""
        if self.is_set:
            return False
        over: Deferred[bool] = Deferred()
        self._waiting.add(over)

        def elapsed() -> None:
            self._waiting.discard(over)
            over.callback(True)

        timer = self._clock.callLater(seconds, elapsed)
        try:
            return await over
        finally:
            self._waiting.discard(over)
            if timer.active():
                timer.cancel()
