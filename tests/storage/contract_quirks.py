"""Behaviour of real chargers, with each message in a transaction of its own, for each kind of database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from csms.domain.model import Sample, Session
from csms.domain.repositories import UnitOfWork
from csms.storage.database import SqlDatabase
from tests.domain.quirk_files import QUIRKS, replay
from tests.storage.databases import DatabaseCase, PostgresqlCase, SqliteCase

T = TypeVar("T")


class StoredUnit:
    """A database, for a charger that lives in another thread."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    def run(self, work: Callable[[UnitOfWork], T]) -> T:
        def begun() -> Deferred[Any]:
            return Deferred.fromCoroutine(self._database.transact(work, name="quirk"))

        return cast(T, blockingCallFromThread(cast(Any, reactor), begun))

    def sessions_of(self, charger_id: int) -> list[Session]:
        return self.run(lambda uow: list(reversed(uow.sessions.page(charger_id=charger_id))))

    def samples_of(self, charger_id: int) -> list[Sample]:
        """Those of sessions, by session and time."""
        sessions = self.sessions_of(charger_id)
        return self.run(lambda uow: [sample for one in sessions for sample in uow.sessions.samples(one.id)])


class QuirksContract(DatabaseCase):
    async def test_each_quirk_leaves_the_same_in_the_database_as_in_memory(self) -> None:
        unit = StoredUnit(self.database)
        for name, quirk in QUIRKS.items():
            expected = dict(quirk)
            if "samples" in quirk:
                expected["samples"] = sorted(row for row in quirk["samples"] if row[0])
            await deferToThread(replay, self, expected, unit, name)


class SqliteQuirks(QuirksContract, SqliteCase):
    pass


class PostgresqlQuirks(QuirksContract, PostgresqlCase):
    pass


del QuirksContract, DatabaseCase, SqliteCase, PostgresqlCase
