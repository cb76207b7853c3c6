"""What only SQLite can meet: a file that is locked, full, read-only, or no database."""

from __future__ import annotations

import sqlite3
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

from sqlalchemy import URL
from twisted.internet import reactor

from csms.domain.model import Charger
from csms.ports import DatabaseUnavailable
from csms.storage import engines, open_database
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import SqliteCase


def pragma(uow: SqlUnitOfWork, name: str) -> Any:
    """The value of a pragma on the transaction's connection."""
    return uow._sql._connection.exec_driver_sql(f"PRAGMA {name}").scalar()


class NewFileTests(unittest.TestCase):
    def test_all_who_open_a_new_file_at_once_can(self) -> None:
        crowd = 8
        barrier = Barrier(crowd)

        def begin(url: URL) -> None:
            opened = engines.open_engines(url, pool_size=1, statement_timeout_s=30.0)
            try:
                barrier.wait(30.0)
                with opened.write.begin() as connection:
                    connection.exec_driver_sql("SELECT 1")
            finally:
                opened.dispose()

        with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(crowd) as threads:
            for number in range(20):
                url = engines.database_url(f"sqlite:///{directory}/{number}.db")
                list(threads.map(begin, [url] * crowd))


class SqliteTests(SqliteCase):
    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    async def test_a_commit_is_on_disk_and_readers_see_a_snapshot(self) -> None:
        for run in (self.write, self.look):
            found = await run(
                lambda uow: [pragma(uow, name) for name in ("journal_mode", "synchronous", "foreign_keys")]
            )
            self.assertEqual(found, ["wal", 2, 1])

    async def test_a_database_that_another_program_holds_is_unavailable_for_writers_only(self) -> None:
        self.patch(engines, "BUSY_TIMEOUT_S", 0.05)
        database = await self.opened()
        holder = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(holder.close)
        holder.execute("BEGIN IMMEDIATE")
        adding = database.transact(lambda uow: uow.chargers.add(Charger(device_id="CP-1")), name="test")
        error = await self.refused(adding, DatabaseUnavailable)
        self.assertIn("locked", str(error))
        self.assertEqual(await database.read(lambda uow: uow.chargers.page(), name="test"), [])
        holder.execute("ROLLBACK")
        charger = await database.transact(lambda uow: uow.chargers.add(Charger(device_id="CP-1")), name="test")
        self.assertEqual(charger.id, 1)

    async def test_a_full_disk_is_unavailable_until_there_is_room(self) -> None:
        def fill(uow: SqlUnitOfWork, pages: int) -> None:
            pragma(uow, f"max_page_count = {pages}")
            uow.chargers.add(Charger(device_id="CP-1", vendor="x" * 1_000_000))

        pages = await self.look(pragma, "page_count")
        error = await self.refused(self.write(fill, pages + 10), DatabaseUnavailable)
        self.assertIn("full", str(error))
        await self.write(fill, 1_000_000)
        self.assertEqual(len(await self.look(lambda uow: uow.chargers.page())), 1)

    async def test_a_file_that_is_no_database_is_unavailable(self) -> None:
        path = self.path.with_name("other.db")
        path.write_bytes(b"this is no database, " * 1000)
        database = open_database(f"sqlite:///{path}", reactor=reactor)
        error = await self.refused(database.start(), DatabaseUnavailable)
        self.assertIn("not a database", str(error))
        await database.stop()

    async def test_a_value_that_sqlite_refuses_fails_alone(self) -> None:
        adding = self.write(lambda uow: uow.chargers.add(Charger(device_id="CP-1", vendor="\ud800")))
        await self.refused(adding, UnicodeEncodeError)
        self.assertEqual(await self.a_charger(), 1)


del SqliteCase
