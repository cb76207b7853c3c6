"""Threads for database work, with a bound on what may wait for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from csms.ports import DatabaseUnavailable

T = TypeVar("T")


class WorkThreads:
    """``count`` threads; at most ``limit`` pieces of work run or wait."""

    def __init__(self, reactor: Any, *, name: str, count: int, limit: int) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=count, name=f"csms-database-{name}")
        self._limit = limit
        self._outstanding: set[Deferred[Any]] = set()
        self._stopped = False

    def start(self) -> None:
        """Accept work."""
        self._pool.start()

    def run(self, work: Callable[[], T]) -> Deferred[T]:
        """Run ``work`` in a thread; raises :class:`DatabaseUnavailable` after a stop or when too much waits."""
        if self._stopped:
            # A stopped pool would drop the work without a word.
            raise DatabaseUnavailable("the database is stopped")
        if len(self._outstanding) >= self._limit:
            raise DatabaseUnavailable(f"{self._limit} pieces of work wait for the database already")
        done = deferToThreadPool(IReactorFromThreads(self._reactor), self._pool, work)
        self._outstanding.add(done)

        def gone(result: Any) -> Any:
            self._outstanding.discard(done)
            return result

        return done.addBoth(gone)

    def stop(self) -> Deferred[None]:
        """Accept no more work; fires when what was accepted is done. The reactor is not blocked meanwhile."""
        self._stopped = True
        # ThreadPool.stop joins its threads, so it waits in a thread of the reactor's.
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._pool.stop)
