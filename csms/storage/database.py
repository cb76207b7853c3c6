"""The database port over SQLAlchemy: work in threads, one transaction each, tried again where that helps."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from csms import metrics
from csms.domain.retention import Retention
from csms.ports import DatabaseUnavailable, LastingConflict
from csms.storage import maintenance, schema
from csms.storage.backup import skip_ids
from csms.storage.bulk import bulk_for
from csms.storage.engines import Engines, database_url, open_engines
from csms.storage.errors import Conflict, Trouble, trouble_of
from csms.storage.ids import Ids
from csms.storage.running import Running
from csms.storage.schema import SchemaState
from csms.storage.sql import Sql
from csms.storage.threads import WorkThreads
from csms.storage.unit_of_work import SqlUnitOfWork

T = TypeVar("T")
_log = Logger(namespace="csms.storage")

MAX_CONFLICTS = 6
"""Tries of work that meets other transactions; each waits a little longer than the one before."""
MAX_WAITING = 2000
STOP_GRACE_S = 15.0
REST = 3.0
"""How much longer than it worked maintenance rests before it goes on."""
REST_MAX_S = 1.0
WATCH_S = 1.0
SILENCE_GRACE_S = 5.0
"""Beyond the statement timeout, for the server's own answer that it is over."""
_SLOW_S = 2.0


class SqlDatabase:
    """Implements :class:`csms.ports.Database` for SQLite and PostgreSQL."""

    def __init__(self, engines: Engines, *, reactor: Any, stop_grace_s: float = STOP_GRACE_S) -> None:
        self._engines = engines
        self._reactor = reactor
        self._stop_grace_s = stop_grace_s
        self._bulk = bulk_for(engines.dialect)
        self._ids = Ids(self._bulk)
        self._running = Running()
        self._running.watch(engines.write)
        self._watch = LoopingCall(self._give_up_silent)
        self._watch.clock = reactor
        self._writers = WorkThreads(reactor, name="write", count=engines.writers, limit=MAX_WAITING)
        self._readers = WorkThreads(reactor, name="read", count=engines.readers, limit=MAX_WAITING)
        self._state = "not started"

    async def start(self, *, tell: Callable[[str], object] = lambda step: None) -> None:
        """Bring the schema up to date, then accept work. After :class:`DatabaseUnavailable` it may be called again.

        A stop meanwhile is final. ``tell`` is told, in another thread, of each step of the schema.
        """
        self._begin()
        await self._writers.run(partial(self._prepare, tell))
        if self._state == "starting":
            self._state = "started"

    async def look_at_schema(self) -> SchemaState:
        """Where the schema stands; nothing is changed. It may be asked before the start."""
        self._begin()
        return await self._readers.run(partial(self._tried, "look at the schema", self._look_at_schema))

    def _begin(self) -> None:
        if self._state == "not started":
            self._writers.start()
            self._readers.start()
            self._watch.start(WATCH_S)
            self._state = "starting"

    async def stop(self) -> None:
        """Accept no more work, and finish what was accepted. After a grace period it is cancelled."""
        before, self._state = self._state, "stopped"
        if before == "stopped":
            return
        done: Deferred[Any] = DeferredList([self._writers.stop(), self._readers.stop()])
        grace = self._reactor.callLater(self._stop_grace_s, self._reactor.callInThread, self._running.cancel)
        await done
        if self._watch.running:
            self._watch.stop()
        if grace.active():
            grace.cancel()
        self._engines.dispose()

    async def transact(self, work: Callable[[SqlUnitOfWork], T], *, name: str) -> T:
        """Run ``work`` in a transaction and commit: see :meth:`csms.ports.Database.transact`."""
        return await self._accept(self._writers, work, name, writable=True)

    async def read(self, work: Callable[[SqlUnitOfWork], T], *, name: str) -> T:
        """Run ``work``, which changes nothing: see :meth:`csms.ports.Database.read`."""
        return await self._accept(self._readers, work, name, writable=False)

    async def maintain(self, now: datetime, kept: Retention, *, enough: Callable[[], bool] = lambda: False) -> None:
        """Make room for what comes and drop what is too old: see :mod:`csms.storage.maintenance`.

        What cannot be done now, because somebody holds a lock, does not keep the rest from being done.
        """
        failure: DatabaseUnavailable | None = None
        for step in maintenance.steps(self._engines.dialect, now, kept):
            self._must_be_started()
            try:
                await self._repeat(step, enough)
            except DatabaseUnavailable as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def skip_ids(self, by: int) -> None:
        """After a restore: see :func:`csms.storage.backup.skip_ids`."""
        self._must_be_started()
        step = partial(self._in_transaction, partial(skip_ids, by=by))
        await self._writers.run(partial(self._tried, "skip ids", step))

    async def _repeat(self, step: maintenance.Step, enough: Callable[[], bool]) -> None:
        """Run ``step`` as long as it finds something. Others write in between, and most of the time is theirs."""
        more = True
        while more and not enough():
            began = time.monotonic()
            more = await self._writers.run(partial(self._tried, "maintenance", partial(self._in_transaction, step)))
            if more:
                await deferLater(self._reactor, min(REST_MAX_S, REST * (time.monotonic() - began)))

    # --- in threads

    def _look_at_schema(self, _: int) -> SchemaState:
        file = self._engines.read.url.database
        if self._engines.dialect == "sqlite" and not Path(file or "").exists():
            return schema.state(None)
        with self._transaction(self._engines.read) as connection:
            return schema.state(connection)

    def _prepare(self, tell: Callable[[str], object]) -> None:
        self._tried("schema upgrade", partial(self._in_transaction, partial(schema.upgrade, tell=tell)))
        make_room = partial(maintenance.make_room, now=datetime.now(UTC))
        try:
            while self._tried("partitions", partial(self._in_transaction, make_room)):
                pass
        except DatabaseUnavailable as error:
            # Somebody holds a lock; rows go to the default partition until the next maintenance.
            _log.warn("no new partitions for now: {error}", error=error)

    def _once(self, work: Callable[[SqlUnitOfWork], T], failures: int, *, writable: bool) -> T:
        engine = self._engines.write if writable else self._engines.read
        with self._transaction(engine) as connection:
            sql = Sql(connection, self._bulk, self._ids, writable=writable, careful=failures > 0)
            unit_of_work = SqlUnitOfWork(sql)
            try:
                result = work(unit_of_work)
                unit_of_work.flush()
            except Exception as error:
                if sql.has_assumed and trouble_of(error) is Trouble.FAULT:
                    # Perhaps it would not have, had it looked.
                    raise Conflict(str(error)) from error
                raise
        return result

    def _in_transaction(self, step: Callable[[Connection], T], _: int) -> T:
        with self._transaction(self._engines.write) as connection:
            return step(connection)

    @contextmanager
    def _transaction(self, engine: Engine) -> Generator[Connection, None, None]:
        with engine.connect() as connection, self._running.noted(connection), connection.begin():
            yield connection

    def _tried(self, name: str, once: Callable[[int], T]) -> T:
        """Call ``once`` (with the number of failures so far) until it succeeds or there is no use in trying again."""
        conflicts = losses = 0
        while True:
            if self._running.cancelled:
                raise DatabaseUnavailable("the database is being stopped")
            try:
                return once(conflicts + losses)
            except Exception as error:
                trouble = trouble_of(error)
                if trouble is Trouble.CONFLICT:
                    conflicts += 1
                    again = conflicts < MAX_CONFLICTS
                else:
                    losses += 1
                    again = trouble is Trouble.LOST and losses == 1
                if trouble is Trouble.FAULT:
                    raise
                if not again:
                    kind = LastingConflict if trouble is Trouble.CONFLICT else DatabaseUnavailable
                    raise kind(f"{name}: {_first_line(error)}") from error
                metrics.TRANSACTION_RETRIES.labels(name).inc()
                _log.info("{name} is tried again: {error}", name=name, error=_first_line(error))
                if trouble is Trouble.CONFLICT:
                    time.sleep(random.uniform(0.0, 0.005 * 2**conflicts))

    # --- in the reactor's thread

    def _give_up_silent(self) -> None:
        count = self._running.give_up(self._engines.silence_s + SILENCE_GRACE_S)
        if count:
            _log.warn("{count} connections to the database were cut: it does not answer", count=count)

    async def _accept(
        self, threads: WorkThreads, work: Callable[[SqlUnitOfWork], T], name: str, *, writable: bool
    ) -> T:
        self._must_be_started()
        began = time.monotonic()
        try:
            return await threads.run(lambda: self._tried(name, partial(self._once, work, writable=writable)))
        finally:
            seconds = time.monotonic() - began
            metrics.TRANSACTION_SECONDS.labels(name).observe(seconds)
            if seconds > _SLOW_S:
                _log.warn("{name} took {seconds:.1f} s in the database", name=name, seconds=seconds)

    def _must_be_started(self) -> None:
        if self._state != "started":
            raise DatabaseUnavailable(f"the database is {self._state}")


def open_database(
    url: str,
    *,
    password: str = "",
    pool_size: int = 6,
    statement_timeout_s: float = 30.0,
    reactor: Any,
) -> SqlDatabase:
    """The database at ``url`` (``sqlite:///path`` or ``postgresql://user@host/name``), not yet started.

    ``pool_size``: PostgreSQL connections (at least 2), or readers of SQLite. Raises :class:`csms.ports.DatabaseError`
    for a URL that cannot be right.
    """
    engines = open_engines(database_url(url, password), pool_size=pool_size, statement_timeout_s=statement_timeout_s)
    return SqlDatabase(engines, reactor=reactor)


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().split("\n", 1)[0] or type(cause).__name__
