"""A PostgreSQL that falls silent with its connections open: frozen, or behind a network that swallows everything."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred

from csms.domain.model import Charger
from csms.ports import DatabaseUnavailable
from csms.storage import database as database_module
from csms.storage import engines as engines_module
from csms.storage.database import SqlDatabase
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.servers.proxy import Link, Network
from tests.storage.databases import PostgresqlCase

STATEMENT_TIMEOUT_S = 30.0


class SilenceTests(PostgresqlCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        network = Network()
        self.addCleanup(network.close)
        parts = urlsplit(self.url)
        self.link: Link = network.link(parts.port or 0)
        self.far_url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{self.link.port}").geturl()
        self.patch(engines_module, "CONNECT_TIMEOUT_S", 2)

    async def far(self, *, silence_s: float) -> SqlDatabase:
        """The database, behind the link; given up after so much silence, once it is open."""
        url, self.url = self.url, self.far_url
        try:
            database = await self.opened(statement_timeout_s=STATEMENT_TIMEOUT_S)
        finally:
            self.url = url
        self.patch(database_module, "SILENCE_GRACE_S", silence_s - STATEMENT_TIMEOUT_S)
        return database

    def stalled(self, uow: SqlUnitOfWork) -> None:
        """Work whose second statement has no answer."""
        uow.chargers.add(Charger(device_id="CP-1"))
        uow.flush()
        self.link.stall()
        uow.chargers.page()

    async def test_work_that_waits_for_it_is_given_up_and_later_work_succeeds(self) -> None:
        database = await self.far(silence_s=3.0)
        await self.refused(database.transact(self.stalled, name="stalled"), DatabaseUnavailable)
        self.patch(database_module, "SILENCE_GRACE_S", STATEMENT_TIMEOUT_S)
        self.link.resume()
        await database.transact(lambda uow: uow.chargers.add(Charger(device_id="CP-2")), name="later")
        self.assertEqual([one.device_id for one in await self.look(lambda uow: uow.chargers.page())], ["CP-2"])

    async def test_a_commit_that_waits_for_it_is_given_up(self) -> None:
        database = await self.far(silence_s=3.0)

        def work(uow: SqlUnitOfWork) -> None:
            uow.chargers.add(Charger(device_id="CP-1"))
            uow.flush()
            self.link.stall()

        await self.refused(database.transact(work, name="stalled"), DatabaseUnavailable)
        self.link.resume()

    async def test_a_stop_does_not_wait_for_it(self) -> None:
        database = await self.far(silence_s=600.0)
        database._stop_grace_s = 0.05
        asking = threading.Event()

        def work(uow: SqlUnitOfWork) -> None:
            asking.set()
            self.stalled(uow)

        refused = self.refused(database.transact(work, name="stalled"), DatabaseUnavailable)
        waiting = Deferred.fromCoroutine(refused)
        await database.stop()
        await waiting
        self.assertTrue(asking.is_set())
        self.link.resume()

    async def test_work_that_takes_its_time_between_statements_is_not_given_up(self) -> None:
        database = await self.far(silence_s=3.0)

        def work(uow: SqlUnitOfWork) -> None:
            for _ in range(5):
                uow._sql._connection.exec_driver_sql("SELECT pg_sleep(0.8)")

        await database.transact(work, name="many statements")


del PostgresqlCase
