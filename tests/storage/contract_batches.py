"""A batch costs the same number of statements whatever its size, for each kind of database."""

from __future__ import annotations

import gc
from dataclasses import replace
from itertools import pairwise

from csms.domain.model import Connector, Session
from csms.storage.sql import made_once
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.batches import Fleet, handled, prepare
from tests.storage.databases import DatabaseCase, PostgresqlCase, SqliteCase

READ_INSERTED_AND_UPDATED = ("charging_sessions",)
TABLES = (
    "chargers",
    "connectors",
    "charging_sessions",
    "transaction_events",
    "meter_values",
    "charger_data",
    "id_tokens",
    "outbox",
    "shards",
    "reservations",
    "charging_profiles",
    "wanted_availability",
)


class BatchesContract(DatabaseCase):
    async def test_statements_per_table_do_not_depend_on_the_size_of_the_batch(self) -> None:
        size = 240
        ids, epoch = await self.write(prepare, size)
        fleet = Fleet(ids)
        await self.write(handled, [fleet.start(index) for index in range(size)], epoch)
        running = await self.look(lambda uow: uow.sessions.page(active=True, limit=size))
        batch = fleet.mixed({session.charger_id: session.transaction_id for session in running})
        statements = self.statements()
        self.assertGreaterEqual(await self.write(handled, batch, epoch), size // 2)
        for table in TABLES:
            about = [one for one in statements if _table_of(one) == table]
            self.assertLessEqual(len(about), 3 if table in READ_INSERTED_AND_UPDATED else 2, "\n".join(about))
        self.assertLessEqual(len(statements), 27)

    async def test_what_a_batch_writes_goes_out_together(self) -> None:
        ids, epoch = await self.write(prepare, 60)
        fleet = Fleet(ids)

        def handle_and_remove(uow: SqlUnitOfWork) -> None:
            uow.outbox.published([1, 2])
            handled(uow, [fleet.start(index) for index in range(60)], epoch)

        round_trips = self.round_trips()
        await self.write(handle_and_remove)
        writing = [one for one in round_trips if one.startswith(("INSERT", "UPDATE", "DELETE"))]
        statements = [statement for one in writing for statement in one.split(";\n")]
        self.assertLessEqual({"charging_sessions", "charger_data", "outbox"}, set(map(_table_of, statements)))
        self.assertTrue([one for one in statements if one.startswith("DELETE FROM outbox")])
        # SQLite has no round trips: there each statement is one.
        self.assertEqual(len(writing), 1 if self.database._engines.dialect == "postgresql" else len(statements))

    async def test_a_batch_that_comes_again_changes_nothing(self) -> None:
        ids, epoch = await self.write(prepare, 60)
        fleet = Fleet(ids)
        batch = [fleet.start(index) for index in range(60)]
        self.assertGreater(await self.write(handled, batch, epoch), 0)
        statements = self.statements()
        self.assertEqual(await self.write(handled, batch, epoch), 0)
        self.assertFalse([one for one in statements if one.startswith(("INSERT", "UPDATE", "DELETE"))])

    async def test_no_statement_of_a_batch_is_made_anew_for_the_next(self) -> None:
        ids, epoch = await self.write(prepare, 60)
        fleet = Fleet(ids)
        await self.write(handled, [fleet.start(index) for index in range(60)], epoch)
        running = await self.look(lambda uow: uow.sessions.page(active=True, limit=60))
        transactions = {session.charger_id: session.transaction_id for session in running}
        await self.write(handled, fleet.mixed(transactions), epoch)
        made = made_once.cache_info()
        self.assertGreater(made.hits, 0)
        await self.write(handled, fleet.mixed(transactions), epoch)
        self.assertEqual(made_once.cache_info().misses, made.misses)

    async def test_records_of_a_transaction_do_not_wait_for_the_garbage_collector(self) -> None:
        ids, epoch = await self.write(prepare, 30)
        fleet = Fleet(ids)
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        self.addCleanup(gc.garbage.clear)
        self.addCleanup(gc.set_debug, 0)
        await self.write(handled, [fleet.start(index) for index in range(30)], epoch)
        gc.collect()
        found = {type(one) for one in gc.garbage}
        self.assertEqual({kind for kind in found if kind.__module__.startswith("csms.")}, set())

    async def test_a_batch_without_preloading_has_the_same_effects(self) -> None:
        ids, epoch = await self.write(prepare, 60)
        fleet = Fleet(ids)
        await self.write(handled, [fleet.start(index) for index in range(60)], epoch)
        running = await self.look(lambda uow: uow.sessions.page(active=True, limit=60))
        batch = fleet.mixed({session.charger_id: session.transaction_id for session in running})

        def effects(uow: SqlUnitOfWork, preload: bool) -> tuple[int, list[Session], list[Connector]]:
            if not preload:
                self.patch(uow, "preload", lambda _: None)
            count = handled(uow, batch, epoch)
            sessions = [replace(session, id=0) for session in uow.sessions.page(limit=1000)]
            connectors = [replace(connector, id=0) for connector in uow.chargers.connectors(ids)]
            if not preload:
                raise _Undo((count, sessions, connectors))
            return count, sessions, connectors

        undone = await self.refused(self.write(effects, False), _Undo)
        self.assertEqual(await self.write(effects, True), undone.args[0])


class _Undo(Exception):  # noqa: N818 - it says what the transaction shall do
    pass


def _table_of(statement: str) -> str:
    words = statement.replace("\n", " ").split()
    for word, following in pairwise(words):
        if word in ("INTO", "UPDATE", "FROM") and following.strip("()") in TABLES:
            return following
    return ""


class SqliteBatches(BatchesContract, SqliteCase):
    pass


class PostgresqlBatches(BatchesContract, PostgresqlCase):
    pass


del BatchesContract, DatabaseCase, PostgresqlCase, SqliteCase
