"""Loops of one process take turns, and those that wait for one go together.

While all turns are taken, messages pile up to larger batches, which cost less for each of them than several small
ones at the same time would. So a second turn beside a first is given only for many messages, or when they have waited
for a while: the first may be waiting for a lock. And a transaction costs much the same whether it is for one queue's
batch or for those of several: so loops that wait get their turn at the same moment, as many as have ``most`` messages
together, and what they do then can be one transaction (:class:`csms.workers.ocpp.Batches`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

MANY = 100
"""For so many messages, or ``most``, a turn is given beside others: fewer are worth no transaction of their own yet."""
PATIENCE_S = 0.05
"""So long after the last turn one is given for fewer, too."""

_Waiting = tuple[Callable[[], int], Deferred["Turn"]]


class Turns:
    """``at_once`` turns. ``most``: of messages whose loops share one; 0: each loop has one of its own."""

    def __init__(self, clock: IReactorTime, *, at_once: int = 1, most: int = 0) -> None:
        self._clock = clock
        self._at_once = at_once
        self.free = at_once
        self._most = most
        self._many = min(MANY, most)
        self._waiting: deque[_Waiting] = deque()
        self._planned = False
        self._patience: IDelayedCall | None = None
        self._on_admitted: list[Callable[[], None]] = []
        self.admitting = False
        """Loops are getting their turn right now, one after the other."""
        self.admitted_at_s = -math.inf
        """When a turn was given last, by the clock."""

    def on_admitted(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever all that share a turn have got it."""
        self._on_admitted.append(listener)

    def acquire(self, count: Callable[[], int]) -> Deferred[Turn]:
        """Fires with the turn; ``count`` tells how many messages it is wanted for."""
        admitted: Deferred[Turn] = Deferred()
        self._waiting.append((count, admitted))
        self._plan()
        return admitted

    def given_back(self) -> None:
        """For turns only."""
        self.free += 1
        self._plan()

    def more(self) -> None:
        """There are more messages than when a turn was asked for."""
        if self._may_admit():
            self._plan()

    def _plan(self) -> None:
        # Not now: whoever has just finished may want to be in the next turn, too.
        if self.free and self._waiting and not self._planned:
            self._planned = True
            self._clock.callLater(0, self._admit)

    def _admit(self) -> None:
        self._planned = False
        while self._may_admit():
            self.free -= 1
            self.admitted_at_s = self._clock.seconds()
            company = self._company()
            turn = Turn(self, len(company))
            self.admitting = True
            for admitted in company:
                admitted.callback(turn)
            self.admitting = False
            for listener in self._on_admitted:
                listener()
        self._be_patient()

    def _may_admit(self) -> bool:
        if not (self.free and self._waiting):
            return False
        if self.free == self._at_once or self._clock.seconds() >= self.admitted_at_s + PATIENCE_S:
            return True
        return sum(count() for count, _ in self._waiting) >= self._many

    def _be_patient(self) -> None:
        """Look again when those that wait have waited long enough, if some do."""
        patience, self._patience = self._patience, None
        if patience is not None and patience.active():
            patience.cancel()
        if self.free and self._waiting:
            left_s = self.admitted_at_s + PATIENCE_S - self._clock.seconds()
            self._patience = self._clock.callLater(left_s, self._plan)

    def _company(self) -> list[Deferred[Turn]]:
        """Who has waited longest, and all behind as long as they are not too many messages."""
        count, first = self._waiting.popleft()
        company, room = [first], self._most - count()
        while self._most and self._waiting and (wanted := self._waiting[0][0]()) <= room:
            company.append(self._waiting.popleft()[1])
            room -= wanted
        return company


class Turn:
    """One turn, of one loop or several."""

    __slots__ = ("_members", "_turns")

    def __init__(self, turns: Turns, members: int) -> None:
        self._turns = turns
        self._members = members

    def leave(self) -> None:
        """One of them is done; the last one gives the turn back."""
        self._members -= 1
        if not self._members:
            self._turns.given_back()
