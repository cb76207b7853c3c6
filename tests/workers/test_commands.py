"""Commands in the worker, against real databases: on their way, returned, answered, swept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from csms.domain import command_life as life
from csms.domain.command_model import Command, CommandBatch, CommandState
from csms.domain.commands import new_command, to_publish
from csms.domain.handling import Notes
from csms.domain.identifiers import new_id
from csms.domain.messages import COMMAND, COMMAND_RESULT, COMMAND_SENT, CommandOrder, decode
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.domain.topology import COMMANDS_EXCHANGE
from csms.ports import PublishTimeout, Unroutable
from csms.workers.upkeep import sweep_commands
from tests.workers import calls, places
from tests.workers.test_ocpp import Worker

State = CommandState


class CommandTests(TestCase):
    __test__ = False

    async def open(self) -> places.Flaky:
        raise NotImplementedError

    async def setUp(self) -> None:  # type: ignore[override]
        self.database = await self.open()
        self.charger = await places.add_charger(self.database, "CP-1")
        self.worker = Worker(self.database)
        await self.worker.work.begin()

    @property
    def now(self) -> datetime:
        return calls.BEGIN

    async def transact(self, work: Any) -> Any:
        return await self.database.transact(work, name="test")

    async def store(self, count: int = 1, **fields: Any) -> tuple[list[Command], list[OutboxRow]]:
        """Commands that were just asked for, and their outbox rows."""

        def add(uow: UnitOfWork) -> tuple[list[Command], list[OutboxRow]]:
            notes = Notes(new_id(0), self.now)
            charger = uow.chargers.get(self.charger.id)
            assert charger is not None
            charger.ocpp_version = "1.6"
            given: dict[str, Any] = {"now": self.now, "timeout_s": 30.0} | fields
            made = [
                life.store(
                    uow,
                    charger,
                    new_command(charger, "Reset", '{"type":"Soft"}', command_id=new_id(0), **given),
                    notes,
                )
                for _ in range(count)
            ]
            return made, to_publish(uow, notes)

        stored: tuple[list[Command], list[OutboxRow]] = await self.transact(add)
        return stored

    async def state(self, command: Command) -> CommandState:
        return (await self.read(command)).state

    async def read(self, command: Command) -> Command:
        found: Command | None = await self.database.read(lambda uow: uow.commands.get(command.command_id), name="test")
        assert found is not None
        return found

    def orders(self) -> list[CommandOrder]:
        published = [one for one in self.worker.broker.published if one.exchange == COMMANDS_EXCHANGE]
        assert all(one.mandatory and one.routing_key == "CP-1" and one.message.type == COMMAND for one in published)
        return [decode(CommandOrder, one.message.body) for one in published]

    async def tell(self, kind: str, command: Command, **fields: Any) -> None:
        payload = {"commandId": command.command_id, **fields}
        await self.worker.commit(calls.call(self.charger, kind, payload))

    async def test_every_field_of_a_command_comes_back(self) -> None:
        [command], _ = await self.store(keep_s=60.0, created_by="ann", batch_id="b1")
        self.assertEqual(await self.read(command), command)

    async def test_a_stored_command_goes_out_with_its_own_id(self) -> None:
        [command], rows = await self.store()
        self.worker.relay.publish(rows)
        [order] = self.orders()
        self.assertEqual(
            (order.command_id, order.action, bytes(order.payload)), (command.command_id, "Reset", b'{"type":"Soft"}')
        )
        self.assertEqual(self.worker.told, ["command.changed"])

    async def test_without_a_gateway_it_is_not_connected_and_leaves_the_outbox(self) -> None:
        [command], rows = await self.store(now=datetime.now(UTC))
        self.worker.broker.errors.append(Unroutable("no queue"))
        self.worker.relay.publish(rows)
        await self.worker.relay.finish()
        self.assertIs(await self.state(command), State.NOT_CONNECTED)
        self.assertEqual(self.orders(), [])

    async def test_a_publish_without_a_confirm_leaves_it_waiting(self) -> None:
        [command], rows = await self.store()
        self.worker.broker.errors.append(PublishTimeout("no confirm"))
        self.worker.relay.publish(rows)
        await self.worker.relay.finish()
        self.assertIs(await self.state(command), State.WAITING)

    async def test_a_queued_command_goes_out_when_the_charger_comes(self) -> None:
        [command], _ = await self.store(keep_s=3600.0)
        await self.transact(lambda uow: life.not_routed(uow, [command.command_id], self.now, Notes("n", self.now)))
        self.assertIs(await self.state(command), State.QUEUED)
        await self.worker.commit(calls.call(self.charger, "ConnectionOpened", {}))
        self.assertEqual([order.command_id for order in self.orders()], [command.command_id])
        self.assertIs(await self.state(command), State.WAITING)

    async def test_a_batch_of_connections_releases_what_was_kept_for_each(self) -> None:
        other = await places.add_charger(self.database, "CP-2")
        mine, _ = await self.store(2, keep_s=3600.0)
        self.charger, first = other, self.charger
        theirs, _ = await self.store(keep_s=3600.0)
        batch = [calls.call(charger, "ConnectionOpened", {}) for charger in (first, other)]
        await self.worker.commit(*batch)
        published = [
            one.message.message_id for one in self.worker.broker.published if one.exchange == COMMANDS_EXCHANGE
        ]
        self.assertEqual(published, [command.command_id for command in (*mine, *theirs)])

    async def test_sent_and_answered_in_one_batch(self) -> None:
        [command], _ = await self.store()
        self.assertTrue(await self.claim(command))
        payload = {"commandId": command.command_id}
        answered = payload | {"outcome": "answered", "answer": {"status": "Accepted"}}
        sent, result = (
            calls.call(self.charger, COMMAND_SENT, payload),
            calls.call(self.charger, COMMAND_RESULT, answered),
        )
        await self.worker.commit(sent, result)
        await self.worker.commit(result)
        found = await self.read(command)
        self.assertEqual((found.state, found.answer), (State.ANSWERED, '{"status":"Accepted"}'))
        self.assertEqual(self.worker.told.count("command.changed"), 2)

    async def claim(self, command: Command) -> bool:
        claimed: bool = await self.transact(lambda uow: life.claim(uow, command.command_id, self.now))
        return claimed

    async def test_the_sweep_ends_what_nobody_else_ends(self) -> None:
        (sent, waiting), _ = await self.store(2)
        await self.claim(sent)
        later = self.now + timedelta(seconds=10)
        looked_at, rows = await self.transact(lambda uow: sweep_commands(uow, later, 100))
        self.assertEqual((looked_at, [row.event_id for row in rows]), (1, [waiting.command_id]))
        later = self.now + timedelta(seconds=60)
        looked_at, rows = await self.transact(lambda uow: sweep_commands(uow, later, 100))
        self.assertEqual((looked_at, len(rows)), (2, 2))
        self.assertEqual([await self.state(sent), await self.state(waiting)], [State.UNKNOWN, State.EXPIRED])
        self.assertEqual(await self.transact(lambda uow: sweep_commands(uow, later, 100)), (0, []))

    async def test_the_sweep_finds_the_charger_of_a_queued_command_connected(self) -> None:
        (here, away), _ = await self.store(2, keep_s=3600.0)
        away_charger = await places.add_charger(self.database, "CP-2")

        def queue(uow: UnitOfWork) -> None:
            life.not_routed(uow, [here.command_id, away.command_id], self.now, Notes("n", self.now))
            found, charger = uow.commands.get(away.command_id), uow.chargers.get(self.charger.id)
            assert found is not None
            assert charger is not None
            found.charger_id, charger.connected = away_charger.id, True

        await self.transact(queue)
        soon = self.now + life.FIRST_LOOK
        looked_at, rows = await self.transact(lambda uow: sweep_commands(uow, soon, 100))
        self.assertEqual((looked_at, rows[0].event_id), (2, here.command_id))
        self.assertEqual([await self.state(here), await self.state(away)], [State.WAITING, State.QUEUED])
        looked_at, _ = await self.transact(lambda uow: sweep_commands(uow, soon + life.FIRST_LOOK, 100))
        self.assertEqual(looked_at, 0)

    async def test_listings_filter_and_continue(self) -> None:
        commands, _ = await self.store(5, batch_id="b1")
        await self.claim(commands[0])

        async def ids(**filters: Any) -> list[str]:
            found: Sequence[Command] = await self.database.read(lambda uow: uow.commands.page(**filters), name="test")
            return [one.command_id for one in found]

        newest_first = [one.command_id for one in reversed(commands)]
        self.assertEqual(await ids(limit=3), newest_first[:3])
        self.assertEqual(await ids(before=newest_first[2]), newest_first[3:])
        self.assertEqual(await ids(state=State.SENT, device_id="CP-1", action="Reset"), newest_first[4:])
        self.assertEqual(await ids(device_id="CP-2"), [])
        self.assertEqual(await ids(batch_id="b2"), [])

    async def test_a_batch_counts_its_commands_by_state(self) -> None:
        commands, _ = await self.store(3, batch_id="b1")
        await self.claim(commands[0])
        batch = CommandBatch(batch_id="b1", action="Reset", payload="{}", total=3, created_at=self.now)
        await self.transact(lambda uow: uow.commands.add_batch(batch))
        found = await self.database.read(lambda uow: uow.commands.batch("b1"), name="test")
        counts = await self.database.read(lambda uow: uow.commands.states_of("b1"), name="test")
        self.assertEqual((found, counts), (batch, {State.SENT: 1, State.WAITING: 2}))
        open_counts = await self.database.read(lambda uow: uow.commands.open_counts([self.charger.id, 99]), name="test")
        self.assertEqual(open_counts, {self.charger.id: 3})


class SqliteCommands(CommandTests):
    __test__ = True

    async def open(self) -> places.Flaky:
        return await places.sqlite(self)


class PostgresqlCommands(CommandTests):
    __test__ = True

    async def open(self) -> places.Flaky:
        return await places.postgresql(self)

    async def test_of_many_claims_at_once_one_succeeds(self) -> None:
        [command], _ = await self.store()
        claims = await gatherResults([Deferred.fromCoroutine(self.claim(command)) for _ in range(8)])
        self.assertEqual(sorted(claims), [False] * 7 + [True])
