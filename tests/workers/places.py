"""Databases for the workers' tests, real ones, and the ways in which they can fail."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from csms.domain.model import Charger
from csms.domain.repositories import UnitOfWork
from csms.domain.retention import Retention
from csms.ports import Database, DatabaseUnavailable
from csms.storage.database import open_database
from tests.servers import drop_database, postgresql_url

T = TypeVar("T")


class Flaky:
    """A database that fails as often as told, before the work or after the commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.fail_before = 0
        self.fail_after = 0
        self.names: list[str] = []

    async def start(self) -> None:
        await self._database.start()

    async def stop(self) -> None:
        await self._database.stop()

    async def transact(self, work: Callable[[UnitOfWork], T], *, name: str) -> T:
        self.names.append(name)
        if self.fail_before:
            self.fail_before -= 1
            raise DatabaseUnavailable("no connection")
        result = await self._database.transact(work, name=name)
        if self.fail_after:
            self.fail_after -= 1
            raise DatabaseUnavailable("the connection was lost during COMMIT")
        return result

    async def read(self, work: Callable[[UnitOfWork], T], *, name: str) -> T:
        return await self._database.read(work, name=name)

    async def maintain(self, now: datetime, kept: Retention, *, enough: Callable[[], bool] = lambda: False) -> None:
        await self._database.maintain(now, kept, enough=enough)


async def sqlite(case: Any) -> Flaky:
    """A fresh SQLite database, stopped and removed after ``case``."""
    directory = tempfile.TemporaryDirectory()
    return await _started(case, f"sqlite:///{Path(directory.name, 'csms.db')}", directory.cleanup)


async def postgresql(case: Any) -> Flaky:
    """A fresh PostgreSQL database, stopped and dropped after ``case``."""
    url = postgresql_url()
    return await _started(case, url, lambda: drop_database(url))


async def _started(case: Any, url: str, remove: Callable[[], object]) -> Flaky:
    database = Flaky(open_database(url, reactor=reactor))
    case.addCleanup(remove)
    case.addCleanup(lambda: Deferred.fromCoroutine(database.stop()))
    await database.start()
    return database


async def add_charger(database: Database, device_id: str) -> Charger:
    """A charger that is known."""
    return await database.transact(lambda uow: uow.chargers.add(Charger(device_id=device_id)), name="test")
