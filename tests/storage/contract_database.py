"""What the database port promises, for each kind: transactions, retries, and the identity of records."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from csms.domain.model import Charger
from csms.ports import DatabaseUnavailable
from csms.storage import open_database
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase, kept


class Refused(Exception):  # noqa: N818
    """What a handler raised."""


class DatabaseContract(DatabaseCase):
    async def test_a_transaction_is_seen_by_reads_after_it(self) -> None:
        charger_id = await self.a_charger()
        found = await self.look(lambda uow: uow.chargers.get(charger_id))
        assert found is not None
        self.assertEqual(found.device_id, "CP-1")

    async def test_what_work_raises_comes_out_and_nothing_is_written(self) -> None:
        def work(uow: SqlUnitOfWork) -> None:
            uow.chargers.add(Charger(device_id="CP-1"))
            raise Refused

        await self.refused(self.write(work), Refused)
        self.assertIsNone(await self.look(lambda uow: uow.chargers.by_device_id("CP-1")))

    async def test_what_was_flushed_before_a_failure_is_rolled_back(self) -> None:
        def work(uow: SqlUnitOfWork) -> None:
            uow.chargers.add(Charger(device_id="CP-1"))
            self.assertEqual(len(uow.chargers.page()), 1)
            raise Refused

        await self.refused(self.write(work), Refused)
        self.assertEqual(await self.look(lambda uow: uow.chargers.page()), [])

    async def test_a_changed_field_is_written_without_being_told(self) -> None:
        charger_id = await self.a_charger()

        def change(uow: SqlUnitOfWork) -> None:
            charger = uow.chargers.get(charger_id)
            assert charger is not None
            charger.vendor = "Ölwerk ⚡"
            charger.connected = True
            charger.last_seen_at = NOW

        await self.write(change)
        found = await self.look(lambda uow: uow.chargers.get(charger_id))
        assert found is not None
        self.assertEqual((found.vendor, found.connected, found.last_seen_at), ("Ölwerk ⚡", True, NOW))

    async def test_only_changed_fields_are_written(self) -> None:
        charger_id = await self.a_charger()
        statements = self.statements()

        def change(uow: SqlUnitOfWork) -> None:
            charger = uow.chargers.get(charger_id)
            assert charger is not None
            charger.vendor = "A"
            # Another program writes another field of the same row meanwhile.
            uow._sql._connection.exec_driver_sql("UPDATE chargers SET model = 'B'")

        await self.write(change)
        found = await self.look(lambda uow: uow.chargers.get(charger_id))
        assert found is not None
        self.assertEqual((found.vendor, found.model), ("A", "B"))
        self.assertEqual(len([one for one in statements if one.startswith("UPDATE")]), 2)

    async def test_work_that_changes_nothing_writes_nothing(self) -> None:
        charger_id = await self.a_charger()
        statements = self.statements()
        await self.write(lambda uow: uow.chargers.get(charger_id))
        self.assertFalse([one for one in statements if one.startswith(("UPDATE", "INSERT", "DELETE"))])

    async def test_asking_twice_gives_the_same_object(self) -> None:
        charger_id = await self.a_charger()

        def work(uow: SqlUnitOfWork) -> bool:
            charger = uow.chargers.by_device_id("CP-1")
            return (
                charger is not None
                and uow.chargers.get(charger_id) is charger
                and uow.chargers.page()[0] is charger
                and uow.chargers.connector(charger_id, 1, 1) is uow.chargers.connectors([charger_id])[0]
            )

        self.assertTrue(await self.write(work))

    async def test_a_read_that_changes_something_fails(self) -> None:
        charger_id = await self.a_charger()

        def change(uow: SqlUnitOfWork) -> None:
            charger = uow.chargers.get(charger_id)
            assert charger is not None
            charger.vendor = "X"

        for work in (change, lambda uow: uow.chargers.add(Charger(device_id="CP-2")), lambda uow: uow.shards.take(0)):
            await self.refused(self.look(work), RuntimeError)
        found = await self.look(lambda uow: uow.chargers.page())
        self.assertEqual([(one.device_id, one.vendor) for one in found], [("CP-1", "")])

    async def test_times_come_back_aware_and_exact_whatever_their_zone_was(self) -> None:
        moments = [
            NOW.astimezone(timezone(timedelta(hours=-9, minutes=-30))),
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(2024, 2, 29, 0, 0, 0, 1, tzinfo=UTC),
        ]
        for number, moment in enumerate(moments):
            await self.write(
                lambda uow, m, n: uow.chargers.add(Charger(device_id=str(n), created_at=m)), moment, number
            )
        found = await self.look(lambda uow: uow.chargers.page())
        self.assertEqual([one.created_at for one in found], moments)
        self.assertEqual({one.created_at.tzinfo for one in found if one.created_at}, {UTC})

    async def test_a_time_without_zone_is_refused(self) -> None:
        naive = Charger(device_id="CP-1", created_at=NOW.replace(tzinfo=None))
        await self.refused(self.write(lambda uow: uow.chargers.add(naive)), ValueError)

    async def test_hostile_text_is_stored_whole(self) -> None:
        texts = [
            "'; DROP TABLE chargers; --",
            '%s %(x)s :y ? \\ \\u0041 "',
            "\x01\x1b[31m\r\n",
            "🔌" * 5000,
            "x" * 200_000,
        ]
        for number, text in enumerate(texts):
            await self.write(lambda uow, t, n: uow.chargers.add(Charger(device_id=str(n), vendor=t)), text, number)
        self.assertEqual([one.vendor for one in await self.look(lambda uow: uow.chargers.page())], texts)

    async def test_racing_transactions_lose_no_update(self) -> None:
        charger_id = await self.a_charger()

        def count(uow: SqlUnitOfWork, _: int) -> None:
            charger = uow.chargers.get(charger_id)
            assert charger is not None
            charger.vendor = str(int(charger.vendor or 0) + 1)

        await self.race(count, range(20))
        found = await self.look(lambda uow: uow.chargers.get(charger_id))
        assert found is not None
        self.assertEqual(found.vendor, "20")

    async def test_reads_do_not_wait_for_writers(self) -> None:
        charger_id = await self.a_charger()
        inside, done = threading.Event(), threading.Event()
        self.addCleanup(done.set)

        def slow(uow: SqlUnitOfWork) -> bool:
            charger = uow.chargers.get(charger_id)
            assert charger is not None
            charger.vendor = "new"
            uow.flush()
            inside.set()
            return done.wait(30)

        writing = Deferred.fromCoroutine(self.write(slow))
        await self.look(lambda _: inside.wait(30))
        found = await self.look(lambda uow: uow.chargers.get(charger_id))
        done.set()
        self.assertTrue(await writing)
        assert found is not None
        self.assertEqual(found.vendor, "")

    async def test_more_waiting_work_than_the_limit_is_refused_at_once(self) -> None:
        done = threading.Event()
        self.addCleanup(done.set)
        self.database._writers._limit = 3
        accepted = [Deferred.fromCoroutine(self.write(lambda _: done.wait(30))) for _ in range(3)]
        await self.refused(self.write(lambda _: None), DatabaseUnavailable)
        done.set()
        self.assertEqual(await gatherResults(accepted), [True] * 3)

    async def test_a_stop_lets_accepted_work_finish(self) -> None:
        inside = threading.Event()
        resume = threading.Event()
        self.addCleanup(resume.set)

        def slow(uow: SqlUnitOfWork) -> int:
            inside.set()
            resume.wait(30)
            return uow.chargers.add(Charger(device_id="CP-1")).id

        writing = Deferred.fromCoroutine(self.write(slow))
        await self.look(lambda _: inside.wait(30))
        queued = [Deferred.fromCoroutine(self.a_charger(f"CP-{number}")) for number in range(2, 12)]
        stopping = Deferred.fromCoroutine(self.database.stop())
        await self.refused(self.write(lambda _: None), DatabaseUnavailable)
        resume.set()
        charger_id = await writing
        await gatherResults(queued)
        await stopping
        again = await self.opened()
        found = await again.read(lambda uow: uow.chargers.get(charger_id), name="test")
        self.assertIsNotNone(found)

    async def test_a_stop_cancels_what_outlasts_its_grace(self) -> None:
        database = await self.opened()
        database._stop_grace_s = 0.05
        inside = threading.Event()

        def endless(uow: SqlUnitOfWork) -> None:
            inside.set()
            uow._sql._connection.exec_driver_sql(self.endless)

        running = Deferred.fromCoroutine(database.transact(endless, name="test"))
        await self.look(lambda _: inside.wait(30))
        waiting = Deferred.fromCoroutine(database.stop())
        await self.assertFailure(running, DatabaseUnavailable)
        await waiting

    async def test_a_stop_is_final_whatever_is_under_way(self) -> None:
        starting = Deferred.fromCoroutine(self.database.start())
        maintaining = Deferred.fromCoroutine(self.database.maintain(NOW, kept(400)))
        await self.database.stop()
        await starting
        await self.assertFailure(maintaining, DatabaseUnavailable)
        for again in (self.database.start(), self.database.maintain(NOW, kept(400)), self.look(lambda _: None)):
            await self.refused(again, DatabaseUnavailable)

    async def test_stopping_twice_and_before_the_start_is_harmless(self) -> None:
        never_started = open_database(self.url, reactor=reactor)
        await never_started.stop()
        await self.refused(never_started.start(), DatabaseUnavailable)
        await self.database.stop()
        await self.database.stop()
        await self.refused(self.look(lambda _: None), DatabaseUnavailable)

    endless = ""


class SqliteDatabase(DatabaseContract, SqliteCase):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


class PostgresqlDatabase(DatabaseContract, PostgresqlCase):
    endless = "SELECT pg_sleep(600)"


del DatabaseContract, DatabaseCase, SqliteCase, PostgresqlCase
