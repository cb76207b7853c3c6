"""Transaction messages of a charger: kept in order until answered, whatever happens to the connection.

OCPP 1.6 section 3.7 and 2.0.1 E12: a charger that is offline queues them and delivers them when it is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from csms.coroutines import spawn
from csms.simulator.link import Link, NoAnswer, Refused

Payload = dict[str, Any]
Letter = Callable[[], tuple[str, Payload]]
"""Makes the message when its turn has come, because it may need what an earlier answer said."""

_PAUSE_AFTER_REFUSAL_S = 1.0
_REFUSALS = 3
"""After that many CALLERRORs a charger gives a transaction message up (TransactionMessageAttempts)."""


@dataclass(slots=True)
class _Entry:
    letter: Letter
    answered: Deferred[Payload | None] = field(default_factory=Deferred)
    refusals: int = 0
    _message: tuple[str, Payload] | None = None

    @property
    def message(self) -> tuple[str, Payload]:
        """Made once: a repeat is the same message, with its time and its seqNo."""
        if self._message is None:
            self._message = self.letter()
        return self._message


class Mailbox:
    """The queue of one charger. ``given_up`` counts the messages that the CSMS refused for good."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._entries: deque[_Entry] = deque()
        self._link: Link | None = None
        self._busy = False
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._entries)

    def post(self, letter: Letter) -> Awaitable[Payload | None]:
        """Queue a message; the result is its answer, sooner or later, or None when it was given up."""
        entry = _Entry(letter)
        self._entries.append(entry)
        self._work()
        return entry.answered

    def online(self, link: Link) -> None:
        """There is a connection: deliver."""
        self._link = link
        self._work()

    def offline(self) -> None:
        """The connection is gone: keep."""
        self._link = None

    def _work(self) -> None:
        if not self._busy and self._link is not None and self._entries:
            self._busy = True
            spawn(self._deliver(), "simulated charger's mailbox").addBoth(self._rested)

    def _rested(self, _: object) -> None:
        self._busy = False
        self._work()

    async def _deliver(self) -> None:
        while self._entries and (link := self._link) is not None:
            entry = self._entries[0]
            try:
                answer: Payload | None = await link.call(*entry.message)
            except NoAnswer:
                if link is self._link:
                    # The gateway closes what it cannot answer; until then there is nothing to do but ask again.
                    await self._pause()
                continue
            except Refused:
                entry.refusals += 1
                if entry.refusals < _REFUSALS:
                    await self._pause()
                    continue
                self.given_up += 1
                answer = None
            self._entries.popleft()
            entry.answered.callback(answer)

    async def _pause(self) -> None:
        pause: Deferred[None] = Deferred()
        self._clock.callLater(_PAUSE_AFTER_REFUSAL_S, pause.callback, None)
        await pause
