"""The work of a shard against real databases: what is written, answered and told, and what happens only once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from unittest import mock

import msgspec
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from csms.coroutines import spawn
from csms.domain import messages
from csms.domain.actions import handle
from csms.domain.handling import Handled, Policy
from csms.domain.messages import CALL_REFUSED, ChargerMessage, Reply
from csms.domain.model import Charger, LogEntry, Session
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_searches import MessageSearch
from csms.domain.samples import POWER
from csms.domain.topology import DEFAULT_EXCHANGE, EVENTS_EXCHANGE, gateway_queue
from csms.ports import BrokerError, BrokerState, DatabaseUnavailable, Fenced, LastingConflict
from csms.workers import ocpp, relay
from csms.workers.ocpp import Batches, ShardWork
from csms.workers.outcomes import ACK, DeadLetter, Outcome
from csms.workers.relay import SHARD_STALE_S, Relay
from csms.workers.turns import Turns
from tests.workers import calls, places
from tests.workers.scripted import Publish, ScriptedBroker

T = TypeVar("T")
POLICY = Policy(accept_unknown_tokens=True)


class TurnTogether:
    """The shards of a process that have their turn at the same time."""

    def __init__(self, database: places.Flaky, shards: int) -> None:
        self.clock = Clock()
        turns = Turns(self.clock, most=1000)
        batches = Batches(database, POLICY, turns)
        self.turns = turns
        self.workers = [Worker(database, shard=shard, batches=batches) for shard in range(shards)]

    async def commit(self, *parts: Sequence[ChargerMessage]) -> list[tuple[bool, object]]:
        """What each shard's commit came to."""

        async def one(worker: Worker, batch: Sequence[ChargerMessage]) -> Sequence[Outcome]:
            turn = await self.turns.acquire(lambda: len(batch))
            try:
                return await worker.commit(*batch)
            finally:
                turn.leave()

        commits = [Deferred.fromCoroutine(one(*each)) for each in zip(self.workers, parts, strict=True)]
        self.clock.advance(0)
        ends: list[Any] = await DeferredList(commits, consumeErrors=True)
        return [(ended, value if ended else value.value) for ended, value in ends]


class Worker:
    """One worker process, reduced to one shard."""

    def __init__(
        self, database: places.Flaky, *, shard: int = 0, hold_confirms: bool = False, batches: Batches | None = None
    ) -> None:
        self.clock = Clock()
        self.clock.advance(datetime.now(UTC).timestamp())
        self.broker = ScriptedBroker(hold_confirms=hold_confirms)
        self.relay = Relay(self.broker, database, self.clock)
        batches = batches or Batches(database, POLICY)
        self.work = ShardWork(shard, broker=self.broker, database=database, relay=self.relay, batches=batches)

    async def commit(self, *batch: ChargerMessage) -> Sequence[Outcome]:
        return await self.work.commit([self.work.decode(calls.on_broker(message)) for message in batch])

    async def caught_up(self) -> None:
        """Wait until nothing of the shard goes by way of the outbox any more."""
        for catching_up in tuple(self.relay._catching_up.values()):
            await catching_up

    @property
    def replies(self) -> list[Reply]:
        published = [publish for publish in self.broker.published if publish.exchange == DEFAULT_EXCHANGE]
        for publish in published:
            assert publish.routing_key == gateway_queue(calls.GATEWAY)
            assert not publish.message.persistent
            assert not publish.mandatory
        return [messages.decode(Reply, publish.message.body) for publish in published]

    @property
    def told(self) -> list[str]:
        """Types of the notifications published."""
        return [p.routing_key.removeprefix("notification.") for p in self.notifications]

    @property
    def event_ids(self) -> list[str]:
        return [publish.message.message_id for publish in self.notifications]

    @property
    def notifications(self) -> list[Publish]:
        return [publish for publish in self.broker.published if publish.exchange == EVENTS_EXCHANGE]


class ShardTests(TestCase):
    """What holds with every database."""

    __test__ = False
    database: places.Flaky

    async def open(self) -> places.Flaky:
        raise NotImplementedError

    async def setUp(self) -> None:  # type: ignore[override]
        self.database = await self.open()
        self.charger = await places.add_charger(self.database, "CP-1")
        self.worker = Worker(self.database)
        await self.worker.work.begin()

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self.database.read(work, name="test")

    async def sessions(self) -> Sequence[Session]:
        return await self.read(lambda uow: uow.sessions.page())

    async def log(self) -> Sequence[LogEntry]:
        return await self.read(lambda uow: uow.log.page(self.charger.id))

    async def waiting(self) -> list[str]:
        """Event ids in the outbox."""
        later = datetime.now(UTC) + timedelta(days=1)
        return [
            row.event_id
            for row in await self.database.transact(
                lambda uow: uow.outbox.waiting(older_than=later, limit=1000), name="test"
            )
        ]

    async def test_a_decision_is_written_then_answered_then_told(self) -> None:
        outcomes = await self.worker.commit(calls.start(self.charger))
        self.assertEqual(outcomes, [ACK])
        [session] = await self.sessions()
        [reply] = self.worker.replies
        assert reply.payload is not None
        self.assertEqual(str(reply.payload["transactionId"]), session.transaction_id)
        self.assertEqual(reply.payload["idTagInfo"], {"status": "Accepted"})
        self.assertEqual(self.worker.told, ["charger.connected", "charging.started"])
        [entry] = await self.log()
        self.assertEqual((entry.action, entry.message_id), ("StartTransaction", reply.message_id))

    async def test_what_was_committed_without_our_knowing_is_told_before_what_comes_after_it(self) -> None:
        batch = [calls.status(self.charger, "Available", number=1), calls.status(self.charger, "Preparing", number=2)]
        self.database.fail_after = 1
        with self.assertRaises(DatabaseUnavailable):
            await self.worker.commit(*batch)
        self.assertEqual(self.worker.told, [])
        await self.worker.commit(*batch, calls.status(self.charger, "Charging", number=3))
        waiting = await self.waiting()
        self.assertEqual(len(waiting), 4)
        self.assertEqual(self.worker.event_ids, waiting)

    async def together(self) -> tuple[TurnTogether, list[Charger]]:
        chargers = [self.charger, *[await places.add_charger(self.database, f"CP-{n}") for n in (2, 3)]]
        company = TurnTogether(self.database, 3)
        for worker in company.workers:
            await worker.work.begin()
        self.database.names.clear()
        return company, chargers

    async def logged(self, chargers: Sequence[Charger]) -> list[int]:
        return [len(await self.read(lambda uow, of=of: uow.log.page(of.id))) for of in chargers]  # type: ignore[misc]

    async def test_shards_in_the_same_turn_share_a_transaction(self) -> None:
        company, chargers = await self.together()
        ended = await company.commit(*([calls.status(one, "Available"), calls.start(one)] for one in chargers))
        self.assertEqual(ended, [(True, [ACK, ACK])] * 3)
        self.assertEqual(self.database.names, ["ocpp batch"])
        self.assertEqual(await self.logged(chargers), [2, 2, 2])
        for worker, charger in zip(company.workers, chargers, strict=True):
            self.assertEqual(len(worker.replies), 1)
            self.assertEqual(worker.told, ["charger.connected", "charger.status.changed", "charging.started"])
            told = [json.loads(publish.message.body)["deviceId"] for publish in worker.notifications]
            self.assertEqual(told, [charger.device_id] * 3)

    async def one_shard_fails(self, error: Exception) -> None:
        """The shards beside it get everything done."""
        company, chargers = await self.together()

        def choke(message: ChargerMessage, uow: UnitOfWork, policy: Policy) -> Handled:
            if message.device_id == chargers[1].device_id:
                raise error
            return handle(message, uow, policy)

        self.patch(ocpp, "handle", choke)
        first, second, third = await company.commit(*([calls.status(one, "Available")] for one in chargers))
        self.assertEqual((first, third), ((True, [ACK]), (True, [ACK])))
        self.assertIsInstance(second[1], type(error))
        self.assertEqual(await self.logged(chargers), [1, 0, 1])
        self.assertEqual([len(worker.told) > 0 for worker in company.workers], [True, False, True])

    async def test_a_message_that_cannot_be_handled_concerns_its_own_shard_only(self) -> None:
        await self.one_shard_fails(ArithmeticError("too much"))

    async def test_a_lasting_conflict_concerns_its_own_shard_only(self) -> None:
        await self.one_shard_fails(LastingConflict("there is one already"))

    async def test_a_shard_that_was_lost_writes_nothing_and_the_others_go_on(self) -> None:
        company, chargers = await self.together()
        await Worker(self.database, shard=2).work.begin()
        *others, lost = await company.commit(*([calls.status(one, "Available")] for one in chargers))
        self.assertEqual(others, [(True, [ACK])] * 2)
        self.assertIsInstance(lost[1], Fenced)
        self.assertEqual(await self.logged(chargers), [1, 1, 0])

    async def test_while_the_database_is_away_all_shards_keep_their_batches(self) -> None:
        company, chargers = await self.together()
        self.database.fail_before = 1
        batches = [[calls.status(one, "Available")] for one in chargers]
        self.assertEqual([type(error) for _, error in await company.commit(*batches)], [DatabaseUnavailable] * 3)
        self.assertEqual(self.database.names, ["ocpp batch"])
        self.assertEqual(await company.commit(*batches), [(True, [ACK])] * 3)
        self.assertEqual(await self.logged(chargers), [1, 1, 1])

    async def test_a_refused_call_has_no_effect_but_its_place_in_the_log(self) -> None:
        refused = calls.call(self.charger, CALL_REFUSED, {"action": "StartTransaction"})
        refused = msgspec.structs.replace(refused, fault="FormationViolation: $.connectorId", raw_data='[2,"1","x",1]')
        self.assertEqual(await self.worker.commit(refused, refused), [ACK, ACK])
        self.assertEqual((self.worker.replies, await self.sessions()), ([], []))
        [entry] = await self.log()
        self.assertEqual((entry.action, entry.error), ("StartTransaction", "FormationViolation: $.connectorId"))
        search = MessageSearch(charger_id=self.charger.id, action="StartTransaction", failed=True)
        found = await self.read(lambda uow: uow.search.messages(search, before=None, limit=9))
        self.assertEqual([(one.raw, one.unique_id) for one in found], [('[2,"1","x",1]', refused.unique_id)])

    async def test_a_fact_is_written_and_told_and_not_answered(self) -> None:
        await self.worker.commit(calls.status(self.charger, "Available"))
        self.assertEqual(self.worker.replies, [])
        self.assertIn("charger.status.changed", self.worker.told)

    async def test_published_notifications_leave_the_outbox_with_the_next_batch(self) -> None:
        await self.worker.commit(calls.status(self.charger, "Available"))
        self.assertEqual(len(await self.waiting()), 2)
        await self.worker.commit(calls.status(self.charger, "Preparing"))
        self.assertEqual(len(await self.waiting()), 1)
        await self.worker.relay.finish()
        self.assertEqual(await self.waiting(), [])

    async def test_without_a_next_batch_they_leave_it_after_a_second(self) -> None:
        await self.worker.commit(calls.status(self.charger, "Available"))
        self.worker.clock.advance(1.0)
        await self.worker.relay.finish()
        self.assertEqual(await self.waiting(), [])
        self.assertEqual(self.database.names.count("outbox removal"), 1)

    async def test_the_same_message_again_gets_the_same_answer_and_no_effect(self) -> None:
        message = calls.start(self.charger)
        await self.worker.commit(message)
        again = await self.worker.commit(message)
        self.assertEqual(again, [ACK])
        first, second = self.worker.replies
        self.assertEqual(first, second)
        self.assertEqual(len(await self.sessions()), 1)
        self.assertEqual(self.worker.told.count("charging.started"), 1)

    async def test_twice_in_one_batch_is_once(self) -> None:
        message = calls.start(self.charger)
        await self.worker.commit(message, message)
        self.assertEqual(self.worker.replies[0], self.worker.replies[1])
        self.assertEqual(len(await self.sessions()), 1)
        self.assertEqual(len(await self.log()), 1)

    async def test_redelivered_to_another_worker_after_a_kill_between_commit_and_ack(self) -> None:
        message = calls.start(self.charger)
        await self.worker.commit(message)
        successor = Worker(self.database)
        await successor.work.begin()
        await successor.commit(message)
        self.assertEqual(successor.replies, self.worker.replies)
        # Nobody knows that they were confirmed; whoever gets them again knows their ids.
        self.assertEqual(successor.event_ids, self.worker.event_ids)
        self.assertEqual(len(await self.sessions()), 1)

    async def test_the_fenced_write_nothing(self) -> None:
        successor = Worker(self.database)
        await successor.work.begin()
        with self.assertRaises(Fenced):
            await self.worker.commit(calls.start(self.charger))
        self.assertEqual(await self.sessions(), [])
        self.assertEqual(await self.log(), [])
        self.assertEqual(self.worker.broker.published, [])
        await successor.commit(calls.start(self.charger))
        self.assertEqual(len(await self.sessions()), 1)

    async def test_who_takes_a_shard_tells_first_what_its_last_holder_has_left(self) -> None:
        self.patch(relay, "_SWEEP_LIMIT", 2)
        dead = Worker(self.database)
        await dead.work.begin()
        dead.broker.errors = [BrokerError("gone")] * 100
        for number, word in enumerate(("Available", "Preparing", "Charging", "Finishing")):
            await dead.commit(calls.status(self.charger, word, number=number))
        left = await self.waiting()
        successor = Worker(self.database)
        await successor.work.begin()
        await successor.commit(calls.status(self.charger, "Available", number=9))
        self.assertEqual(len(left), 5)
        self.assertEqual(successor.event_ids[:-1], left)

    async def test_what_other_shards_have_left_is_not_its_business(self) -> None:
        other = Worker(self.database, shard=1, hold_confirms=True)
        await other.work.begin()
        await other.commit(calls.status(self.charger, "Available"))
        successor = Worker(self.database)
        await successor.work.begin()
        self.assertEqual(successor.event_ids, [])

    async def test_while_the_broker_takes_nothing_rows_wait_and_come_out_in_order(self) -> None:
        broker = self.worker.broker
        broker.state = BrokerState.BLOCKED
        for number, word in enumerate(("Available", "Preparing", "Charging")):
            await self.worker.commit(calls.status(self.charger, word, number=number))
        self.assertEqual(self.worker.told, [])
        left = await self.waiting()
        broker.rise()
        # This one is written while the others are read.
        await self.worker.commit(calls.status(self.charger, "Finishing", number=8))
        await self.worker.caught_up()
        await self.worker.commit(calls.status(self.charger, "Available", number=9))
        self.assertEqual(self.worker.event_ids[: len(left)], left)
        self.assertEqual(len(self.worker.event_ids), len(left) + 2)
        self.assertEqual(self.worker.event_ids, sorted(self.worker.event_ids))

    async def test_a_stop_while_the_broker_takes_nothing_leaves_the_rows_to_the_next(self) -> None:
        self.worker.broker.state = BrokerState.DOWN
        await self.worker.commit(calls.status(self.charger, "Available"))
        await self.worker.relay.finish()
        successor = Worker(self.database)
        await successor.work.begin()
        self.assertEqual(successor.told, ["charger.connected", "charger.status.changed"])

    async def charging(self, readings: int) -> int:
        """A session with so many readings, each in a batch of its own, in no time; its transaction id."""
        await self.worker.commit(calls.start(self.charger))
        payload = self.worker.replies[0].payload
        assert payload is not None
        self.transaction_id = int(payload["transactionId"])
        for number in range(readings):
            await self.worker.commit(self.reading(number))
        return self.transaction_id

    def reading(self, number: int) -> ChargerMessage:
        at = calls.BEGIN + timedelta(seconds=number)
        return calls.meter(self.charger, self.transaction_id, at=at, energy_wh=1000 + number, power_w=7000)

    @property
    def energies(self) -> list[float]:
        """Of the readings told, in order."""
        bodies = [json.loads(publish.message.body) for publish in self.worker.notifications]
        return [body["energyWh"] for body in bodies if body["type"] == "meter.values.updated"]

    async def test_readings_are_stored_each_and_told_once_a_second(self) -> None:
        await self.charging(5)
        self.assertEqual(self.energies, [0.0])
        self.worker.clock.advance(1.0)
        self.assertEqual(self.energies, [0.0, 4.0])
        [session] = await self.sessions()
        samples = await self.read(lambda uow: uow.sessions.measured(POWER, [session.id], limit=100))
        self.assertEqual(len(samples[session.id]), 5)
        self.worker.clock.advance(1.0)
        await self.worker.relay.finish()
        self.assertEqual(await self.waiting(), [])

    async def test_the_end_of_a_session_is_told_at_once_in_the_place_of_its_last_reading(self) -> None:
        transaction_id = await self.charging(3)
        end = calls.BEGIN + timedelta(seconds=9)
        await self.worker.commit(calls.stop(self.charger, transaction_id, at=end, meter_wh=1009))
        self.worker.clock.advance(2.0)
        self.assertEqual(
            self.worker.told, ["charger.connected", "charging.started", "meter.values.updated", "charging.stopped"]
        )
        await self.worker.relay.finish()
        self.assertEqual(await self.waiting(), [])

    async def test_a_reading_that_is_held_survives_a_kill(self) -> None:
        await self.charging(3)
        successor = Worker(self.database)
        await successor.work.begin()
        self.assertEqual(successor.told[-1], "meter.values.updated")
        self.assertEqual(json.loads(successor.notifications[-1].message.body)["energyWh"], 2.0)

    async def test_a_reading_for_which_the_end_stands_is_not_told_after_it_by_the_next_worker(self) -> None:
        transaction_id = await self.charging(3)
        end = calls.BEGIN + timedelta(seconds=9)
        await self.worker.commit(calls.stop(self.charger, transaction_id, at=end, meter_wh=1009))
        # Killed before anything is removed.
        successor = Worker(self.database)
        await successor.work.begin()
        self.assertEqual(successor.told, ["charging.stopped"])
        self.assertEqual(successor.event_ids, self.worker.event_ids[-1:])
        await successor.relay.finish()
        self.assertEqual(await self.waiting(), [])

    async def test_who_has_lost_the_shard_tells_nothing_more(self) -> None:
        await self.charging(3)
        successor = Worker(self.database)
        await successor.work.begin()
        told = self.worker.event_ids
        with self.assertRaises(Fenced):
            await self.worker.commit(self.reading(3))
        self.worker.clock.advance(2.0)
        self.assertEqual(self.worker.event_ids, told)

    async def test_a_removal_that_fails_by_itself_leaves_the_rows_to_the_next(self) -> None:
        await self.charging(1)
        transact = self.database.transact

        async def broken(work: Any, *, name: str) -> Any:
            raise RuntimeError("a fault of ours")

        with mock.patch.object(self.database, "transact", broken), self.assertRaises(RuntimeError):
            await self.worker.relay.remove()
        self.assertEqual(self.database.transact, transact)
        self.assertNotEqual(await self.waiting(), [])
        await self.worker.relay.finish()
        self.assertEqual(await self.waiting(), [])

    async def test_a_stop_waits_for_a_removal_that_is_under_way(self) -> None:
        await self.charging(1)
        transact = self.database.transact
        held: Deferred[None] = Deferred()

        async def slow(work: Any, *, name: str) -> Any:
            await held
            return await transact(work, name=name)

        with mock.patch.object(self.database, "transact", slow):
            removing = Deferred.fromCoroutine(self.worker.relay.remove())
            finishing = Deferred.fromCoroutine(self.worker.relay.finish())
            self.assertFalse(finishing.called)
            held.callback(None)
            await removing
            await finishing
        self.assertEqual(await self.waiting(), [])

    async def test_rows_whose_removal_is_under_way_are_not_told_again(self) -> None:
        await self.charging(1)
        leaving = self.worker.relay.take_confirmed()
        self.assertNotEqual(leaving, [])
        told = self.worker.event_ids
        await self.worker.relay.catch_up(0)
        self.assertEqual(self.worker.event_ids[: len(told)], told)
        self.assertEqual(len(set(self.worker.event_ids)), len(self.worker.event_ids))
        self.worker.relay.give_back(leaving)
        await self.worker.relay.finish()
        self.assertEqual(await self.waiting(), [])

    async def test_a_reading_that_is_held_is_told_before_the_stop(self) -> None:
        await self.charging(3)
        await self.worker.relay.finish()
        self.assertEqual(self.energies, [0.0, 2.0])
        self.assertEqual(await self.waiting(), [])

    async def test_a_reading_that_is_held_when_the_broker_goes_comes_once_and_in_order(self) -> None:
        for more in (True, False):
            with self.subTest("something comes meanwhile" if more else "nothing does"):
                self.worker = Worker(self.database)
                await self.worker.work.begin()
                self.charger = await places.add_charger(self.database, f"CP-{more}")
                await self.charging(3)
                self.worker.broker.state = BrokerState.DOWN
                if more:
                    await self.worker.commit(self.reading(3))
                else:
                    self.worker.clock.advance(1.0)
                self.worker.broker.rise()
                await self.worker.caught_up()
                self.worker.clock.advance(2.0)
                self.assertEqual(self.energies, [0.0, 3.0] if more else [0.0, 2.0])
                await self.worker.relay.finish()
                self.assertEqual(await self.waiting(), [])

    async def test_a_reading_that_is_held_while_others_repeat_themselves_comes_once(self) -> None:
        await self.charging(2)
        repeated = self.reading(2)
        await self.worker.commit(repeated)
        await self.worker.commit(repeated)
        self.assertEqual(self.energies, [0.0, 2.0])
        self.worker.clock.advance(2.0)
        self.assertEqual(self.energies, [0.0, 2.0])

    async def test_left_behind_notifications_are_published_by_another_worker(self) -> None:
        dead = Worker(self.database, hold_confirms=True)
        await dead.work.begin()
        await dead.commit(calls.start(self.charger))
        successor = Worker(self.database)
        await successor.relay.sweep()
        self.assertEqual(successor.event_ids, [])
        successor.clock.advance(SHARD_STALE_S + 10.0)
        await successor.relay.sweep()
        self.assertEqual(successor.event_ids, dead.event_ids)
        self.assertEqual(successor.told, ["charger.connected", "charging.started"])
        self.assertEqual(
            [publish.message.body for publish in successor.notifications],
            [publish.message.body for publish in dead.notifications],
        )
        self.assertEqual(await self.waiting(), [])

    async def test_nothing_is_swept_while_the_broker_is_away(self) -> None:
        dead = Worker(self.database, hold_confirms=True)
        await dead.work.begin()
        await dead.commit(calls.start(self.charger))
        successor = Worker(self.database)
        successor.clock.advance(60.0)
        successor.broker.state = BrokerState.BLOCKED
        await successor.relay.sweep()
        self.assertEqual(successor.event_ids, [])
        self.assertEqual(len(await self.waiting()), 2)

    async def test_a_charger_that_was_removed_is_dead_lettered_and_the_others_commit(self) -> None:
        other = await places.add_charger(self.database, "CP-2")
        await self.database.transact(lambda uow: uow.chargers.remove("CP-1"), name="test")
        outcomes = await self.worker.commit(calls.start(self.charger), calls.start(other))
        self.assertEqual(outcomes, [DeadLetter("charger CP-1 does not exist (any more)"), ACK])
        self.assertEqual([session.charger_id for session in await self.sessions()], [other.id])

    async def test_a_charger_that_was_removed_and_added_is_the_new_one(self) -> None:
        message = calls.start(self.charger)
        await self.database.transact(lambda uow: uow.chargers.remove("CP-1"), name="test")
        await places.add_charger(self.database, "CP-other")
        added = await places.add_charger(self.database, "CP-1")
        await self.worker.commit(message)
        await self.worker.commit(message)
        self.assertEqual([session.charger_id for session in await self.sessions()], [added.id])

    async def test_a_refusal_is_answered_as_an_error_and_repeated_as_one(self) -> None:
        message = calls.call(self.charger, "GetCertificateStatus", {"ocspRequestData": {}}, version="2.0.1")
        await self.worker.commit(message)
        await self.worker.commit(message)
        first, second = self.worker.replies
        self.assertEqual((first.error_code, first.payload), ("NOT_SUPPORTED", None))
        self.assertEqual(first, second)
        [entry] = await self.log()
        self.assertEqual(entry.error, "NotSupported")

    async def test_a_decision_that_nobody_made_is_a_fault_and_changes_nothing(self) -> None:
        def undecided(message: ChargerMessage, uow: UnitOfWork, policy: Policy) -> Handled:
            return Handled()

        self.patch(ocpp, "handle", undecided)
        with self.assertRaises(TypeError):
            await self.worker.commit(calls.start(self.charger))
        self.assertEqual(await self.log(), [])

    async def test_more_unconfirmed_notifications_than_the_window_hold_up_the_next_batch(self) -> None:
        self.patch(relay, "WINDOW", 1)
        self.worker.broker.hold_confirms = True
        await self.worker.commit(calls.status(self.charger, "Available"))
        held = spawn(self.worker.commit(calls.status(self.charger, "Preparing")), "commit")
        self.assertFalse(held.called)
        self.assertEqual(len(await self.log()), 1)
        for publish in self.worker.notifications:
            publish.confirm.callback(None)
        await held
        self.assertEqual(len(await self.log()), 2)


class SqliteShardTests(ShardTests):
    __test__ = True

    async def open(self) -> places.Flaky:
        return await places.sqlite(self)


class PostgresqlShardTests(ShardTests):
    __test__ = True

    async def open(self) -> places.Flaky:
        return await places.postgresql(self)
