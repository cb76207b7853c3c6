"""The consumer loop, against a scripted broker and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms import metrics
from csms.coroutines import spawn
from csms.domain.dead_letters import death_of
from csms.domain.identifiers import new_id
from csms.domain.messages import BadMessage
from csms.domain.topology import DEAD_LETTER_EXCHANGE
from csms.ports import (
    BrokerError,
    Database,
    DatabaseUnavailable,
    Delivery,
    Fenced,
    LastingConflict,
    Message,
    Unroutable,
)
from csms.workers.contact import LOST_TICKS, TICK_S, Contact
from csms.workers.loop import CONFLICT_TRIES, Loop, LoopSettings
from csms.workers.outcomes import ACK, DeadLetter, Outcome
from csms.workers.turns import Turns
from tests.workers.scripted import ScriptedBroker, ScriptedConsumer, ScriptedDelivery, SilentDatabase

QUEUE = "analytics"


class Ledger:
    """Work that notes what it committed; "poison" never commits, "gone" is given up, b"?" is unreadable."""

    def __init__(self) -> None:
        self.begun = 0
        self.tried: list[list[str]] = []
        self.committed: list[str] = []
        self.errors: list[Exception] = []
        self.conflict = ""
        self.hold: Deferred[None] | None = None

    def decode(self, message: Message) -> str:
        if message.body == b"?":
            raise BadMessage("not a word")
        return message.body.decode()

    async def begin(self) -> None:
        self.begun += 1

    async def commit(self, batch: Sequence[str]) -> Sequence[Outcome]:
        self.tried.append(list(batch))
        if self.hold is not None:
            await self.hold
        if self.errors:
            raise self.errors.pop(0)
        if self.conflict in batch:
            raise LastingConflict("there is one already")
        if any("poison" in word for word in batch):
            raise ZeroDivisionError("no")
        self.committed += batch
        return [DeadLetter("nobody knows it") if word == "gone" else ACK for word in batch]


class LoopTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.broker = ScriptedBroker()
        self.work = Ledger()
        self.loop = Loop(
            QUEUE,
            self.work,
            broker=self.broker,
            clock=self.clock,
            settings=LoopSettings(batch_size=8, prefetch=20, attempts=3, retry_max_s=10.0),
        )
        self.loop.start()

    def deliver(self, *words: str, generation: int = 1) -> list[ScriptedDelivery]:
        return [
            self.broker.deliver(Message(body=word.encode(), message_id=word), generation=generation) for word in words
        ]

    def outcomes(self, deliveries: Sequence[ScriptedDelivery]) -> list[str]:
        return [delivery.outcome for delivery in deliveries]

    def run_for(self, seconds: float) -> None:
        self.clock.pump([0.05] * round(seconds / 0.05))

    def stop(self) -> None:
        stopped = spawn(self.loop.stop(), "stop")
        self.run_for(1.0)
        self.assertTrue(stopped.called)


class BatchTests(LoopTestCase):
    def test_a_batch_takes_what_is_there_and_no_more_than_its_size(self) -> None:
        deliveries = self.deliver(*(f"m{n}" for n in range(11)))
        self.clock.advance(0)
        self.assertEqual([len(batch) for batch in self.work.tried], [8, 3])
        self.assertEqual(self.work.committed, [f"m{n}" for n in range(11)])
        self.assertEqual(self.broker.journal, [f"ack m{n}" for n in range(11)])
        self.assertEqual(set(self.outcomes(deliveries)), {"ack"})

    def test_the_next_batch_waits_for_the_one_in_hand(self) -> None:
        self.work.hold = held = Deferred[None]()
        first = self.deliver("a")
        self.clock.advance(0)
        second = self.deliver("b")
        self.clock.advance(0)
        self.assertEqual(self.work.tried, [["a"]])
        self.assertEqual(self.outcomes(first + second), ["", ""])
        self.work.hold = None
        held.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.work.committed, ["a", "b"])

    def test_batches_grow_while_another_loop_has_the_turn(self) -> None:
        turns = Turns(self.clock)
        other = Ledger()
        other.hold = held = Deferred[None]()
        first, second = (
            Loop(QUEUE, work, broker=self.broker, clock=self.clock, turns=turns) for work in (other, self.work)
        )
        first.start()
        self.deliver("a")
        self.clock.advance(0)
        second.start()
        self.deliver("b")
        self.clock.advance(0)
        self.deliver("c", "d")
        self.clock.advance(0)
        self.assertEqual((other.tried, self.work.tried), ([["a"]], []))
        held.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.work.tried, [["b", "c", "d"]])
        self.assertEqual(turns.free, 1)

    def test_a_loop_that_pauses_leaves_its_turn(self) -> None:
        turns = Turns(self.clock)
        troubled = Ledger()
        troubled.errors = [DatabaseUnavailable("away")]
        first, second = (
            Loop(QUEUE, work, broker=self.broker, clock=self.clock, turns=turns) for work in (troubled, self.work)
        )
        first.start()
        self.deliver("a")
        self.clock.advance(0)
        second.start()
        self.deliver("b")
        self.clock.advance(0)
        self.assertEqual((troubled.committed, self.work.committed), ([], ["b"]))
        self.run_for(1.0)
        self.assertEqual(troubled.committed, ["a"])
        self.assertEqual(turns.free, 1)

    def test_a_loop_stops_while_it_waits_for_its_turn(self) -> None:
        turns = Turns(self.clock)
        taken = turns.acquire(lambda: 1)
        self.clock.advance(0)
        loop = Loop(QUEUE, self.work, broker=self.broker, clock=self.clock, turns=turns)
        loop.start()
        [delivery] = self.deliver("a")
        self.clock.advance(0)
        stopped = spawn(loop.stop(), "stop")
        self.successResultOf(taken).leave()
        self.run_for(1.0)
        self.assertTrue(stopped.called)
        self.assertEqual((self.work.tried, delivery.outcome, turns.free), ([], "requeue", 1))

    def test_what_comes_alone_does_not_linger(self) -> None:
        self.lingering()
        self.clock.advance(1.0)
        self.deliver("a")
        self.clock.advance(0)
        self.assertEqual(self.work.tried[1:], [["a"]])

    def test_a_batch_that_lingers_takes_what_comes_meanwhile(self) -> None:
        self.lingering()
        self.deliver("a")
        self.clock.advance(0)
        self.deliver("b")
        self.clock.advance(0.9)
        self.assertEqual(self.work.tried[1:], [])
        self.clock.advance(0.2)
        self.assertEqual(self.work.tried[1:], [["a", "b"]])

    def test_a_full_batch_does_not_linger(self) -> None:
        self.lingering()
        self.deliver("a", "b", "c", "d")
        self.clock.advance(0)
        self.assertEqual(self.work.tried[1:], [["a", "b", "c"]])

    def test_something_urgent_ends_the_lingering_and_is_not_forgotten(self) -> None:
        self.lingering()
        self.deliver("a")
        self.run_for(0.5)
        self.deliver("now!")
        self.clock.advance(0)
        self.assertEqual(self.work.tried[1:], [["a", "now!"]])
        self.deliver("b")
        self.run_for(0.9)
        self.assertEqual(self.work.tried[1:], [["a", "now!"]])
        self.run_for(0.2)
        self.assertEqual(self.work.tried[1:], [["a", "now!"], ["b"]])
        self.deliver("c", "d", "e", "now!")
        self.clock.advance(0)
        self.assertEqual(self.work.tried[3:], [["c", "d", "e"], ["now!"]])

    def test_a_stop_ends_the_lingering_and_gives_back(self) -> None:
        loop = self.lingering()
        [delivery] = self.deliver("a")
        self.clock.advance(0)
        stopped = spawn(loop.stop(), "stop")
        self.clock.advance(0)
        self.assertEqual((stopped.called, self.work.tried[1:], delivery.outcome), (True, [], "requeue"))

    def test_what_lingers_is_dropped_when_the_connection_was_lost(self) -> None:
        self.lingering()
        self.deliver("a")
        self.clock.advance(0)
        self.deliver("b", generation=2)
        self.clock.advance(1.0)
        self.assertEqual(self.work.tried[1:], [["b"]])

    def lingering(self) -> Loop[str]:
        """A loop that has just had a batch."""
        settings = LoopSettings(batch_size=3, linger_s=1.0)
        loop = Loop(
            QUEUE,
            self.work,
            broker=self.broker,
            clock=self.clock,
            settings=settings,
            is_urgent=lambda delivery: delivery.message.body.endswith(b"!"),
        )
        loop.start()
        self.deliver("the first")
        self.clock.advance(0)
        self.assertEqual(self.work.tried, [["the first"]])
        return loop

    def test_prefetch_is_asked_for(self) -> None:
        self.assertEqual([consumer.prefetch for consumer in self.broker.consumers], [20])


class PoisonTests(LoopTestCase):
    def test_poison_goes_alone_to_the_dead_letters_and_all_others_commit_in_order(self) -> None:
        deliveries = self.deliver("a", "b", "poison", "c", "d", "e")
        self.run_for(3.0)
        self.assertEqual(self.work.committed, ["a", "b", "c", "d", "e"])
        self.assertEqual(self.outcomes(deliveries), ["ack"] * 6)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        [letter] = self.broker.published
        self.assertEqual(letter.exchange, DEAD_LETTER_EXCHANGE)
        self.assertEqual(letter.message.body, b"poison")
        death = death_of(letter.message.headers)
        self.assertEqual(death.reason, "ZeroDivisionError: no")
        self.assertEqual((death.queue, death.routing_key), (QUEUE, "key"))
        self.assertLess(abs(death.died_at.timestamp() - self.clock.seconds()), 5)

    def test_poison_is_tried_alone_as_often_as_set(self) -> None:
        self.deliver("poison")
        self.run_for(3.0)
        self.assertEqual(self.work.tried, [["poison"]] * 3)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_what_conflicts_with_what_is_stored_for_good_goes_alone_to_the_dead_letters(self) -> None:
        self.work.conflict = "twin"
        deliveries = self.deliver("a", "twin", "b")
        self.run_for(120.0)
        self.assertEqual(self.work.committed, ["a", "b"])
        self.assertEqual(self.work.tried.count(["twin"]), CONFLICT_TRIES)
        self.assertEqual([letter.message.body for letter in self.broker.published], [b"twin"])
        self.assertEqual(self.outcomes(deliveries), ["ack"] * 3)
        self.flushLoggedErrors(LastingConflict)

    def test_a_conflict_that_ends_in_time_costs_nothing(self) -> None:
        self.work.errors = [LastingConflict("others") for _ in range(CONFLICT_TRIES - 1)]
        self.deliver("a")
        self.run_for(120.0)
        self.assertEqual((self.work.committed, self.broker.published), (["a"], []))

    def test_many_poisons_leave_all_others_whole(self) -> None:
        words = [f"poison{n}" if n % 3 == 0 else f"m{n}" for n in range(20)]
        deliveries = self.deliver(*words)
        self.run_for(20.0)
        self.assertEqual(self.work.committed, [word for word in words if "poison" not in word])
        self.assertEqual(set(self.outcomes(deliveries)), {"ack"})
        self.assertEqual(
            [publish.message.message_id for publish in self.broker.published],
            [word for word in words if "poison" in word],
        )
        self.flushLoggedErrors(ZeroDivisionError)

    def test_an_unreadable_message_is_dead_lettered_with_where_it_is_wrong(self) -> None:
        good = self.deliver("a")
        bad = self.broker.deliver(Message(body=b"?", message_id="x", expiration_s=5.0, persistent=False))
        self.clock.advance(0)
        self.assertEqual(self.outcomes([*good, bad]), ["ack", "ack"])
        [letter] = self.broker.published
        self.assertEqual(death_of(letter.message.headers).reason, "not a word")
        self.assertTrue(letter.message.persistent)
        self.assertIsNone(letter.message.expiration_s)

    def test_what_the_work_gives_up_is_dead_lettered_and_the_rest_acked(self) -> None:
        deliveries = self.deliver("a", "gone", "b")
        self.clock.advance(0)
        self.assertEqual(self.outcomes(deliveries), ["ack"] * 3)
        [letter] = self.broker.published
        self.assertEqual(death_of(letter.message.headers).reason, "nobody knows it")

    def test_a_database_that_is_away_does_not_count_as_a_try_of_the_poison(self) -> None:
        self.work.errors = [DatabaseUnavailable("away") for _ in range(9)]
        self.deliver("a")
        self.run_for(60.0)
        self.assertEqual(self.work.committed, ["a"])
        self.assertEqual(self.broker.published, [])

    def test_the_line_goes_on_while_a_dead_letter_cannot_be_written(self) -> None:
        self.broker.errors = [Unroutable("no queue") for _ in range(3)]
        [bad] = self.deliver("?")
        self.deliver("a", "b")
        self.clock.advance(0)
        self.assertEqual(self.work.committed, ["a", "b"])
        self.assertEqual(bad.outcome, "")
        self.run_for(5.0)
        self.assertEqual(bad.outcome, "ack")
        self.assertEqual(len(self.broker.published), 1)

    def test_a_dead_letter_not_written_at_the_stop_goes_back_to_its_queue(self) -> None:
        self.broker.errors = [BrokerError("away") for _ in range(100)]
        [bad] = self.deliver("?")
        self.clock.advance(0)
        self.stop()
        self.assertEqual(bad.outcome, "requeue")


class FaultTests(LoopTestCase):
    def test_a_fault_of_the_work_gives_everything_back_and_begins_anew(self) -> None:
        async def forgetful(batch: Sequence[str]) -> Sequence[Outcome]:
            return []

        self.patch(self.work, "commit", forgetful)
        deliveries = self.deliver("a", "b")
        self.clock.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.outcomes(deliveries), ["requeue", "requeue"])
        self.assertIn("ValueError", self.loop.trouble)
        self.work.commit = Ledger.commit.__get__(self.work)  # type: ignore[method-assign]
        self.run_for(10.1)
        again = self.deliver("a", "b")
        self.clock.advance(0)
        self.assertEqual(self.outcomes(again), ["ack", "ack"])
        self.assertEqual(self.loop.trouble, "")

    def test_a_fault_of_the_decoder_is_the_messages_own(self) -> None:
        good = self.deliver("a")
        bad = self.broker.deliver(Message(body=b"\xff", message_id="x"))
        self.clock.advance(0)
        self.assertEqual(self.outcomes([*good, bad]), ["ack", "ack"])
        self.assertIn("UnicodeDecodeError", death_of(self.broker.published[0].message.headers).reason)


class RetryTests(LoopTestCase):
    def test_a_batch_waits_in_place_while_the_database_is_away(self) -> None:
        self.work.errors = [DatabaseUnavailable("no route") for _ in range(4)]
        deliveries = self.deliver("a", "b")
        self.clock.advance(0)
        self.assertEqual(self.outcomes(deliveries), ["", ""])
        self.assertIn("no route", self.loop.trouble)
        self.run_for(10.0)
        self.assertEqual(self.work.tried, [["a", "b"]] * 5)
        self.assertEqual(self.work.committed, ["a", "b"])
        self.assertEqual(self.broker.journal, ["ack a", "ack b"])
        self.assertEqual(self.loop.trouble, "")

    def test_pauses_grow_up_to_the_longest(self) -> None:
        self.work.errors = [DatabaseUnavailable("away") for _ in range(1000)]
        self.deliver("a")
        self.run_for(20.0)
        early = len(self.work.tried)
        self.run_for(100.0)
        late = len(self.work.tried) - early
        self.assertGreater(early, 6)
        self.assertTrue(10 <= late <= 21, late)
        self.stop()

    def test_other_errors_of_a_whole_batch_halve_it_and_lose_nothing(self) -> None:
        self.work.errors = [ValueError("together they are too much")]
        deliveries = self.deliver("a", "b", "c")
        self.run_for(1.0)
        self.assertEqual(self.work.tried, [["a", "b", "c"], ["a"], ["b", "c"]])
        self.assertEqual(self.outcomes(deliveries), ["ack"] * 3)


class GenerationTests(LoopTestCase):
    def test_what_waits_is_dropped_when_the_connection_was_lost(self) -> None:
        self.work.hold = held = Deferred[None]()
        in_hand = self.deliver("a")
        self.clock.advance(0)
        waiting = self.deliver("b", "c")
        again = self.deliver("a", "b", "c", generation=2)
        self.work.hold = None
        held.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.work.committed, ["a", "a", "b", "c"])
        self.assertEqual(self.outcomes(in_hand + again), ["ack"] * 4)
        self.assertEqual(self.outcomes(waiting), ["", ""])
        self.assertEqual(self.work.begun, 2)

    def test_a_batch_that_waits_for_the_database_is_given_up_when_it_comes_again(self) -> None:
        self.work.errors = [DatabaseUnavailable("away")]
        old = self.deliver("a")
        self.clock.advance(0)
        new = self.deliver("a", generation=2)
        self.run_for(1.0)
        self.assertEqual(self.outcomes(old + new), ["", "ack"])
        self.assertEqual(self.work.committed, ["a"])

    def test_the_fenced_throws_away_and_consumes_anew(self) -> None:
        self.work.errors = [Fenced("somebody else")]
        lost = self.deliver("a", "b")
        self.clock.advance(0)
        self.assertEqual(self.work.committed, [])
        self.assertEqual(self.broker.journal, [f"cancel {QUEUE}", "requeue a", "requeue b"])
        self.assertEqual(len(self.broker.consumers), 2)
        again = self.deliver("a", "b")
        self.clock.advance(0)
        self.assertEqual(self.outcomes(lost + again), ["requeue", "requeue", "ack", "ack"])
        self.assertEqual(self.work.begun, 2)


class CutOffTests(LoopTestCase):
    """Loops of a process that has lost the database: one has a batch in it, one has nothing to do."""

    def setUp(self) -> None:
        super().setUp()
        self.database = SilentDatabase()
        self.contact = Contact(cast(Database, self.database), self.clock)
        self.successResultOf(spawn(self.contact.start(), "start"))
        self.loop = Loop(QUEUE, self.work, broker=self.broker, clock=self.clock, contact=self.contact)
        self.idle = Loop("idle", Ledger(), broker=self.broker, clock=self.clock, contact=self.contact)
        self.idle.start()
        self.loop.start()

    def lose(self) -> None:
        Deferred.fromCoroutine(self.contact.transact(lambda uow: None, name="work")).addErrback(lambda _: None)
        self.clock.pump([TICK_S] * LOST_TICKS)
        self.assertTrue(self.contact.lost)

    def find(self) -> None:
        self.database.writing[-1].callback(None)
        self.assertFalse(self.contact.lost)

    def consumed(self) -> list[str]:
        return [consumer.queue for consumer in self.broker.consumers[1:] if not consumer.cancelled]

    def test_everything_is_left_to_others_in_order_and_taken_up_again(self) -> None:
        self.work.hold = Deferred()
        deliveries = self.deliver("a", "b")
        self.clock.advance(0)
        deliveries += self.deliver("c")
        self.lose()
        self.assertEqual(self.outcomes(deliveries), ["requeue"] * 3)
        self.assertEqual(self.broker.journal[-4:], [f"cancel {QUEUE}", "requeue a", "requeue b", "requeue c"])
        self.assertEqual(self.consumed(), [])
        self.assertIn("database", self.loop.trouble)
        self.assertIn("database", self.idle.trouble)
        self.clock.pump([TICK_S] * 100)
        self.assertEqual((self.consumed(), self.work.tried), ([], [["a", "b"]]), "it does not come back to ask")
        self.work.hold = None
        self.find()
        self.assertCountEqual(self.consumed(), [QUEUE, "idle"])
        self.assertEqual((self.loop.trouble, self.idle.trouble), ("", ""))
        begun = self.work.begun
        again = self.deliver("a", "b", "c")
        self.clock.advance(0)
        self.assertEqual(self.work.committed, ["a", "b", "c"])
        self.assertEqual(self.outcomes(again), ["ack"] * 3)
        self.assertEqual(self.work.begun, begun + 1, "the shard is taken anew")

    def test_a_batch_that_pauses_between_its_tries_is_left_to_others(self) -> None:
        self.work.errors = [DatabaseUnavailable("away") for _ in range(100)]
        deliveries = self.deliver("a")
        self.clock.advance(0)
        self.lose()
        self.assertEqual(self.outcomes(deliveries), ["requeue"], "at once, not after the pause")
        self.assertEqual(self.consumed(), [])

    def test_a_stop_while_it_is_cut_off_is_immediate(self) -> None:
        self.lose()
        for loop in (self.loop, self.idle):
            self.assertTrue(spawn(loop.stop(), "stop").called)
        self.find()
        self.assertEqual(self.consumed(), [])


class StopTests(LoopTestCase):
    def test_the_batch_in_hand_is_finished_and_the_rest_given_back_in_order(self) -> None:
        self.work.hold = held = Deferred[None]()
        self.deliver("a", "b")
        self.clock.advance(0)
        self.deliver("c", "d")
        stopped = spawn(self.loop.stop(), "stop")
        self.clock.advance(0)
        self.assertFalse(stopped.called)
        held.callback(None)
        self.assertTrue(stopped.called)
        self.assertEqual(self.broker.journal, ["ack a", "ack b", f"cancel {QUEUE}", "requeue c", "requeue d"])
        self.assertEqual(self.work.committed, ["a", "b"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_stop_while_the_database_is_away_gives_everything_back(self) -> None:
        self.work.errors = [DatabaseUnavailable("away") for _ in range(100)]
        deliveries = self.deliver("a", "b")
        self.clock.advance(0)
        more = self.deliver("c")
        self.stop()
        self.assertEqual(self.outcomes(deliveries + more), ["requeue"] * 3)
        self.assertEqual(self.broker.journal[0], f"cancel {QUEUE}")

    def test_a_stop_of_an_idle_loop_is_immediate(self) -> None:
        stopped = spawn(self.loop.stop(), "stop")
        self.assertTrue(stopped.called)
        self.assertTrue(self.broker.consumers[0].cancelled)


class SubscribeTests(SynchronousTestCase):
    def test_a_broker_that_refuses_is_asked_again_and_a_stop_ends_that(self) -> None:
        clock = Clock()

        class Refusing(ScriptedBroker):
            asked = 0

            async def consume(
                self,
                queue: str,
                on_delivery: Callable[[Delivery], None],
                *,
                prefetch: int,
                since: datetime | None = None,
            ) -> ScriptedConsumer:
                self.asked += 1
                raise BrokerError("not connected")

        broker = Refusing()
        loop = Loop(QUEUE, Ledger(), broker=broker, clock=clock)
        loop.start()
        clock.pump([0.1] * 100)
        self.assertGreater(broker.asked, 3)
        self.assertIn("not connected", loop.trouble)
        stopped = spawn(loop.stop(), "stop")
        self.assertTrue(stopped.called)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_lag_is_the_age_of_the_oldest_message(self) -> None:
        clock = Clock()
        clock.advance(1_800_000_000)
        broker = ScriptedBroker()
        loop = Loop(QUEUE, Ledger(), broker=broker, clock=clock)
        loop.start()
        made_at_ms = round(clock.seconds() * 1000) - 250
        sent_at = datetime.fromtimestamp(made_at_ms // 1000, UTC)
        broker.deliver(Message(body=b"a", message_id=new_id(made_at_ms), timestamp=sent_at))
        clock.advance(0)
        lag_s = metrics.REGISTRY.get_sample_value("csms_shard_lag_seconds", {"queue": QUEUE})
        assert lag_s is not None
        self.assertAlmostEqual(lag_s, 0.25, 3)
