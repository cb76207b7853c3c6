"""The message log, the outbox and what consumers had already, for each kind of database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import event

from csms.domain.messages import Notification, decode_notification
from csms.domain.repositories import OutboxRow
from csms.ports import LastingConflict
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.storage.databases import NOW, DatabaseCase, PostgresqlCase, SqliteCase, a_message, an_entry

FUTURE = datetime(9000, 1, 1, tzinfo=UTC)


def a_notification(number: int) -> Notification:
    """A notification with text of all kinds."""
    return Notification(
        type="charging.started",
        charger_id=1,
        device_id="CP-1",
        timestamp=NOW,
        event_id=f"event-{number}",
        data={"sessionId": number, "text": 'ü"\\\u0001'},
    )


def as_read(rows: Sequence[OutboxRow]) -> list[OutboxRow]:
    """The rows that were added, as whoever reads them gets them."""
    return [replace(row, notification=None) for row in rows]


class LogContract(DatabaseCase):
    async def test_messages_that_had_their_effect_are_known_by_their_answers(self) -> None:
        messages = [a_message(1, n) for n in range(4)]
        await self.write(lambda uow: uow.log.append([an_entry(messages[0], '{"status":"Accepted"}')]))
        await self.write(lambda uow: uow.log.append([an_entry(messages[2])]))
        found = await self.look(lambda uow: uow.log.answered(messages))
        self.assertEqual(found, {"message-1-0": '{"status":"Accepted"}', "message-1-2": ""})

    async def test_the_same_message_id_of_another_charger_is_another_message(self) -> None:
        message = a_message(1)
        await self.write(lambda uow: uow.log.append([an_entry(message)]))
        other = replace(a_message(2), message_id=message.message_id)
        self.assertEqual(await self.look(lambda uow: uow.log.answered([other])), {})

    async def test_what_a_transaction_logged_is_known_in_it(self) -> None:
        message = a_message(1)

        def work(uow: SqlUnitOfWork) -> tuple[dict[str, str], dict[str, str]]:
            before = dict(uow.log.answered([message]))
            uow.log.append([an_entry(message, "{}")])
            return before, dict(uow.log.answered([message]))

        self.assertEqual(await self.write(work), ({}, {message.message_id: "{}"}))

    async def test_a_message_is_logged_once(self) -> None:
        entry = an_entry(a_message(1), "first")
        await self.write(lambda uow: uow.log.append([entry]))
        await self.refused(self.write(lambda uow: uow.log.append([an_entry(a_message(1), "second")])), LastingConflict)
        self.assertEqual(await self.look(lambda uow: uow.log.page(1)), [entry])

    async def test_a_repeat_is_told_to_who_has_met_it(self) -> None:
        messages = [a_message(1, n) for n in range(2)]
        await self.write(lambda uow: uow.log.append([an_entry(messages[0], "first")]))
        tries: list[dict[str, str]] = []
        errors: list[object] = []
        # PostgreSQL would log the statement of an error, with everything that is in the batch.
        event.listen(self.database._engines.write, "handle_error", errors.append)

        def work(uow: SqlUnitOfWork) -> None:
            known = uow.log.answered(messages, optimistic=True)
            tries.append(dict(known))
            uow.log.append(an_entry(one, "again") for one in messages if one.message_id not in known)

        await self.write(work)
        self.assertEqual(tries, [{}, {messages[0].message_id: "first"}])
        self.assertEqual(errors, [])
        entries = await self.look(lambda uow: uow.log.page(1))
        self.assertEqual(sorted(entry.answer for entry in entries), ["again", "first"])

    async def test_work_that_fails_for_want_of_having_looked_is_told_of_the_repeat(self) -> None:
        message = a_message(1)
        await self.write(lambda uow: uow.log.append([an_entry(message, "first")]))

        def work(uow: SqlUnitOfWork) -> str:
            return uow.log.answered([message], optimistic=True)[message.message_id]

        self.assertEqual(await self.write(work), "first")

    async def test_work_that_fails_by_itself_fails_though_it_has_assumed(self) -> None:
        tries: list[str] = []

        def work(uow: SqlUnitOfWork) -> None:
            uow.log.answered([a_message(1)], optimistic=True)
            tries.append("again")
            raise ZeroDivisionError

        await self.refused(self.write(work), ZeroDivisionError)
        self.assertEqual(len(tries), 2)

    async def test_the_log_of_a_charger_begins_with_the_newest(self) -> None:
        entries = [an_entry(a_message(1, n)) for n in (2, 3, 1)]
        await self.write(lambda uow: uow.log.append([*entries, an_entry(a_message(2))]))
        self.assertEqual(await self.look(lambda uow: uow.log.page(1, limit=2)), [entries[1], entries[0]])

    async def test_messages_of_odd_dates_are_logged_and_known(self) -> None:
        messages = [replace(a_message(1, year), timestamp=NOW.replace(year=year)) for year in (1970, 2026, 2999)]
        await self.write(lambda uow: uow.log.append(map(an_entry, messages)))
        self.assertEqual(len(await self.look(lambda uow: uow.log.answered(messages))), 3)

    async def test_outbox_rows_come_in_order_with_ids_and_finished_bodies(self) -> None:
        notifications = [a_notification(n) for n in range(20)]

        def add(uow: SqlUnitOfWork) -> list[OutboxRow]:
            return [*uow.outbox.add(notifications[:1]), *uow.outbox.add(notifications[1:])]

        rows = await self.write(add)
        self.assertEqual(sorted({row.id for row in rows}), [row.id for row in rows])
        self.assertEqual([decode_notification(row.body) for row in rows], notifications)
        self.assertEqual({row.routing_key for row in rows}, {"notification.charging.started"})
        self.assertEqual(await self.write(lambda uow: uow.outbox.waiting(older_than=FUTURE, limit=100)), as_read(rows))

    async def test_fresh_rows_are_left_to_whoever_wrote_them(self) -> None:
        await self.write(lambda uow: uow.outbox.add([a_notification(1)]))
        recently = datetime.now(UTC) - timedelta(seconds=10)
        self.assertEqual(await self.write(lambda uow: uow.outbox.waiting(older_than=recently, limit=9)), [])

    async def test_rows_that_were_taken_are_left_to_the_taker_for_a_while(self) -> None:
        await self.write(lambda uow: uow.outbox.add([a_notification(1)]))
        stale = datetime.now(UTC)
        first = await self.write(lambda uow: uow.outbox.waiting(older_than=stale, limit=9))
        self.assertEqual(len(first), 1)
        self.assertEqual(await self.write(lambda uow: uow.outbox.waiting(older_than=stale, limit=9)), [])
        self.assertEqual(await self.write(lambda uow: uow.outbox.waiting(older_than=FUTURE, limit=9)), first)

    async def test_rows_of_a_shard_are_given_out_however_fresh_and_left_alone_by_sweeps(self) -> None:
        rows = await self.write(lambda uow: uow.outbox.add([a_notification(n) for n in range(3)], shard=1))
        await self.write(lambda uow: uow.outbox.add([a_notification(3)], shard=0))
        await self.write(lambda uow: uow.outbox.add([a_notification(4)]))
        self.assertEqual(await self.write(lambda uow: uow.outbox.of_shard(1, after=0, limit=9)), as_read(rows))
        self.assertEqual(
            await self.write(lambda uow: uow.outbox.of_shard(1, after=rows[0].id, limit=1)), as_read(rows[1:2])
        )
        self.assertEqual(await self.write(lambda uow: uow.outbox.of_shard(2, after=0, limit=9)), [])

    async def test_a_sweep_leaves_rows_of_shards_alone_for_longer(self) -> None:
        await self.write(lambda uow: uow.outbox.add([a_notification(1)], shard=0))
        other = await self.write(lambda uow: uow.outbox.add([a_notification(2)]))
        recently = datetime.now(UTC) - timedelta(seconds=70)
        swept = await self.write(lambda uow: uow.outbox.waiting(older_than=FUTURE, of_shards=recently, limit=9))
        self.assertEqual(swept, as_read(other))
        both = await self.write(lambda uow: uow.outbox.waiting(older_than=FUTURE, of_shards=FUTURE, limit=9))
        self.assertEqual(len(both), 2)

    async def test_two_takers_at_once_get_disjoint_rows(self) -> None:
        rows = await self.write(lambda uow: uow.outbox.add([a_notification(n) for n in range(40)]))
        stale = datetime.now(UTC)
        takers = await self.race(lambda uow, _: uow.outbox.waiting(older_than=stale, limit=15), range(4))
        taken = [row.id for found in takers for row in found]
        left = await self.write(lambda uow: uow.outbox.waiting(older_than=stale, limit=100))
        self.assertEqual(sorted([*taken, *(row.id for row in left)]), [row.id for row in rows])

    async def test_published_rows_are_gone(self) -> None:
        rows = await self.write(lambda uow: uow.outbox.add([a_notification(n) for n in range(3)]))
        await self.write(lambda uow: uow.outbox.published([rows[0].id, rows[2].id]))
        await self.write(lambda uow: uow.outbox.published([]))
        self.assertEqual(
            await self.write(lambda uow: uow.outbox.waiting(older_than=FUTURE, limit=9)), as_read(rows[1:2])
        )

    async def test_an_event_has_its_first_time_once_per_consumer(self) -> None:
        def first(uow: SqlUnitOfWork, *ids: str, consumer: str = "a") -> set[str]:
            return set(uow.consumed.first_times(consumer, ids, NOW))

        self.assertEqual(await self.write(lambda uow: first(uow, "1", "2", "1")), {"1", "2"})
        self.assertEqual(await self.write(lambda uow: first(uow, "2", "3")), {"3"})
        self.assertEqual(await self.write(lambda uow: first(uow, "2", consumer="b")), {"2"})
        self.assertEqual(await self.write(first), set())

    async def test_racing_consumers_have_an_event_once(self) -> None:
        found = await self.race(lambda uow, _: uow.consumed.first_times("a", ["1", "2"], NOW))
        self.assertEqual(sorted(map(len, found)), [0] * 9 + [2])


class SqliteLog(LogContract, SqliteCase):
    pass


class PostgresqlLog(LogContract, PostgresqlCase):
    pass


del LogContract, DatabaseCase, SqliteCase, PostgresqlCase
