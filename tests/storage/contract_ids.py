"""Ids of new rows are unique, and in the order in which they are taken, for each kind of database."""

from __future__ import annotations

from twisted.internet.defer import Deferred, gatherResults

from csms.storage import ids as ids_module
from csms.storage.ids import AHEAD
from csms.storage.tables import outbox
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.contract_log_and_outbox import a_notification
from tests.storage.databases import DatabaseCase, PostgresqlCase, SqliteCase


def told(uow: SqlUnitOfWork, count: int = 1, ahead: bool = True) -> list[int]:
    """The ids of ``count`` notifications that are written, by the holder of a shard or (not ``ahead``) by anybody."""
    uow._sql.want_ids(outbox, count, ahead=ahead)
    return [row.id for row in uow.outbox.add(map(a_notification, range(count)))]


class IdsContract(DatabaseCase):
    async def test_transactions_one_after_the_other_have_ascending_ids(self) -> None:
        ids = [one for count in (1, 3, 40, 2, 1, 100, 5) * 3 for one in await self.write(told, count)]
        self.assertEqual(ids, sorted(set(ids)))

    async def test_transactions_side_by_side_share_no_id(self) -> None:
        other = await self.opened()
        writing = [
            Deferred.fromCoroutine(database.transact(lambda uow: told(uow, 3), name="tell"))
            for database in (self.database, other) * 20
        ]
        ids = [one for found in await gatherResults(writing) for one in found]
        self.assertEqual(len(set(ids)), 120)

    async def test_what_processes_write_by_turns_is_in_order_where_no_shard_is_held(self) -> None:
        other = await self.opened()
        for _ in range(3):
            await self.write(told)
            await other.transact(told, name="fetch ahead")
        ids = []
        for _ in range(5):
            ids += await self.write(told, 1, False)
            ids += await other.transact(lambda uow: told(uow, 1, False), name="tell")
        self.assertEqual(ids, sorted(ids))

    async def test_who_takes_a_shard_writes_behind_all_that_was_written_for_it(self) -> None:
        taker = await self.opened()
        for _ in range(3):
            await taker.transact(told, name="fetch ahead")
        before = [one for _ in range(3) for one in await self.write(told, AHEAD)]
        await taker.transact(lambda uow: uow.shards.take(0), name="take")
        after = [one for _ in range(3) for one in await taker.transact(told, name="tell")]
        self.assertGreater(min(after), max(before))
        self.assertEqual(after, sorted(after))


class SqliteIds(IdsContract, SqliteCase):
    pass


class PostgresqlIds(IdsContract, PostgresqlCase):
    async def test_while_few_are_needed_none_is_wasted(self) -> None:
        self.patch(ids_module, "KEPT_S", 0.0)
        ids = [one for _ in range(4) for one in await self.write(told)]
        self.assertEqual(ids, [1, 2, 3, 4])

    async def test_while_many_are_needed_most_transactions_fetch_none(self) -> None:
        round_trips = self.round_trips()
        for _ in range(20):
            await self.write(told)
        self.assertLessEqual(len([one for one in round_trips if "nextval" in one]), 4)


del IdsContract, DatabaseCase, SqliteCase, PostgresqlCase
