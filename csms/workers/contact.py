"""Whether the database answers this process: one that alone has lost it must not keep what others could do.

Every transaction tells. While one is under way or has failed and nothing else was answered, a small reading asks, too:
what waits for a lock is not what waits for a network. Time is counted in ticks of our own, so that a process which was
stopped does not take its own silence for the database's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from csms.coroutines import spawn
from csms.domain.repositories import UnitOfWork
from csms.domain.retention import Retention
from csms.ports import Database, DatabaseUnavailable, LastingConflict

T = TypeVar("T")
_log = Logger(namespace="csms.workers")

TICK_S = 1.0
ASK_TICKS = 3
LOST_TICKS = 10
"""Longer than a database takes to be restarted; a decision that has waited for so long is too late for its charger."""


class Contact:
    """A database (it implements :class:`csms.ports.Database`), and whether it answers."""

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self.lost = False
        self._under_way = 0
        self._in_vain = False
        """Whether something has failed since the last answer."""
        self._ticks = 0
        self._asking = False
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = clock
        self._on_loss: list[Callable[[], None]] = []
        self._returned: list[Deferred[None]] = []

    # --- the database

    async def start(self) -> None:
        """Begin to watch; the database itself is started by whoever made it."""
        self._ticking.start(TICK_S, now=False)

    async def stop(self) -> None:
        """Watch no more."""
        if self._ticking.running:
            self._ticking.stop()

    async def transact(self, work: Callable[[UnitOfWork], T], *, name: str) -> T:
        """See :meth:`csms.ports.Database.transact`."""
        return await self._noted(self._database.transact(work, name=name))

    async def read(self, work: Callable[[UnitOfWork], T], *, name: str) -> T:
        """See :meth:`csms.ports.Database.read`."""
        return await self._noted(self._database.read(work, name=name))

    async def maintain(self, now: datetime, kept: Retention, *, enough: Callable[[], bool] = lambda: False) -> None:
        """See :meth:`csms.ports.Database.maintain`."""
        await self._database.maintain(now, kept, enough=enough)

    # --- the contact

    def on_loss(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever it is lost."""
        self._on_loss.append(listener)

    async def when_back(self) -> None:
        """Wait until it is not lost."""
        if self.lost:
            back: Deferred[None] = Deferred(self._returned.remove)
            self._returned.append(back)
            await back

    # --- inside

    async def _noted(self, answering: Awaitable[T]) -> T:
        self._under_way += 1
        try:
            result = await answering
        except LastingConflict:
            self._answered()
            raise
        except (DatabaseUnavailable, CancelledError):
            self._in_vain = True
            raise
        except Exception:
            self._answered()
            raise
        else:
            self._answered()
            return result
        finally:
            self._under_way -= 1

    def _answered(self) -> None:
        self._in_vain = False
        self._ticks = 0
        if self.lost:
            self.lost = False
            _log.info("the database answers again")
            returned, self._returned = self._returned, []
            for waiting in returned:
                waiting.callback(None)

    def _tick(self) -> None:
        if not (self._under_way or self._in_vain or self.lost):
            self._ticks = 0
            return
        self._ticks += 1
        if self._ticks >= ASK_TICKS and not self._asking:
            self._asking = True
            spawn(self._ask(), "question to the database")
        if self._ticks >= LOST_TICKS and not self.lost:
            self.lost = True
            _log.warn("the database does not answer: what this process consumes is left to others")
            for listener in tuple(self._on_loss):
                listener()

    async def _ask(self) -> None:
        try:
            with suppress(DatabaseUnavailable):
                await self.read(lambda uow: uow.chargers.get(0), name="question whether it answers")
        finally:
            self._asking = False
