"""The in-process broker: the contract, and what its confirm means."""

from __future__ import annotations

from datetime import UTC, datetime

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.broker.memory import MemoryBroker, StoreDeadLetter
from csms.coroutines import spawn
from csms.domain.dead_letters import death_headers
from csms.domain.topology import (
    DEAD_LETTER_EXCHANGE,
    EVENTS_EXCHANGE,
    EVENTS_STREAM,
    NOTIFICATIONS,
    OCPP_EXCHANGE,
    SHARD_HEADER,
    notification_key,
    topology,
)
from csms.ports import Broker, BrokerError, DeadLetter, Message, PublishTimeout
from tests.broker.contract_broker import KEY, QUEUE, SHARDS, BrokerContract
from tests.broker.inbox import Inbox, message


class MemoryContract(BrokerContract):
    """The contract, kept inside one process."""

    __test__ = True

    async def new_broker(self) -> Broker:
        """A broker of its own."""
        return MemoryBroker(topology(SHARDS), clock=reactor)


class MemoryConfirms(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def started(
        self, *, consumed_queues: tuple[str, ...] = (), store: StoreDeadLetter | None = None, stream_length: int = 100
    ) -> MemoryBroker:
        """A broker on a clock of the test's."""
        broker = MemoryBroker(
            topology(SHARDS),
            clock=self.clock,
            consumed_queues=consumed_queues,
            store_dead_letter=store,
            stream_length=stream_length,
        )
        spawn(broker.start(), "start")
        return broker

    def consume(self, broker: MemoryBroker, queue: str, inbox: Inbox, prefetch: int = 100) -> None:
        """Subscribe now."""
        spawn(broker.consume(queue, inbox, prefetch=prefetch), "consume")

    def test_a_message_is_confirmed_when_its_worker_has_acked_and_not_before(self) -> None:
        broker = self.started()
        inbox = Inbox(auto_ack=False)
        self.consume(broker, QUEUE, inbox)
        published = broker.publish(OCPP_EXCHANGE, KEY, message("m1"))
        self.clock.advance(0)
        self.assertEqual(inbox.ids, ["m1"])
        self.assertNoResult(published)
        inbox.deliveries[0].ack()
        self.assertIsNone(self.successResultOf(published))

    def test_a_chargers_message_waits_for_the_first_worker(self) -> None:
        broker = self.started()
        published = broker.publish(OCPP_EXCHANGE, KEY, message("m1"))
        self.clock.advance(0)
        self.assertNoResult(published)
        inbox = Inbox()
        self.consume(broker, QUEUE, inbox)
        self.clock.advance(0)
        self.assertEqual(inbox.ids, ["m1"])
        self.successResultOf(published)

    def test_an_event_nobody_here_consumes_is_held_to_be_taken(self) -> None:
        broker = self.started()
        self.successResultOf(broker.publish(EVENTS_EXCHANGE, notification_key("error.occurred"), message("e1")))

    def test_an_event_waits_for_a_consumer_that_is_still_to_come(self) -> None:
        broker = self.started(consumed_queues=(NOTIFICATIONS,))
        published = broker.publish(EVENTS_EXCHANGE, notification_key("error.occurred"), message("e1"))
        self.clock.advance(0)
        self.assertNoResult(published)
        inbox = Inbox()
        self.consume(broker, NOTIFICATIONS, inbox)
        self.clock.advance(0)
        self.assertEqual(inbox.ids, ["e1"])
        self.successResultOf(published)

    def test_what_timed_out_is_not_delivered_later(self) -> None:
        broker = self.started()
        late = broker.publish(OCPP_EXCHANGE, KEY, message("late"), deadline_s=1.0)
        patient = broker.publish(OCPP_EXCHANGE, KEY, message("patient"), deadline_s=5.0)
        self.clock.pump([0.1] * 15)
        self.failureResultOf(late, PublishTimeout)
        self.assertEqual(broker._queues[QUEUE].depth, 1)
        inbox = Inbox()
        self.consume(broker, QUEUE, inbox)
        self.clock.advance(0)
        self.assertEqual(inbox.ids, ["patient"])
        self.successResultOf(patient)

    def test_an_ack_that_publishes_the_next_message_never_recurses(self) -> None:
        broker = self.started()
        count = 5000
        inbox = Inbox()
        self.consume(broker, QUEUE, inbox)
        done: Deferred[None] = Deferred()

        def publish_next(_: None) -> None:
            number = len(inbox.deliveries)
            if number == count:
                done.callback(None)
            else:
                broker.publish(OCPP_EXCHANGE, KEY, message(f"m{number}")).addCallback(publish_next)

        publish_next(None)
        for _ in range(count):
            self.clock.advance(0)
        self.successResultOf(done)

    def test_a_private_queue_confirms_by_itself_and_drops_its_oldest(self) -> None:
        broker = MemoryBroker(topology(SHARDS), clock=self.clock, private_length=50)
        spawn(broker.start(), "start")
        spawn(broker.declare_private("gateway.g1"), "declare")
        for number in range(53):
            self.successResultOf(broker.publish("", "gateway.g1", message(f"m{number}")))
        inbox = Inbox()
        self.consume(broker, "gateway.g1", inbox, prefetch=1)
        self.clock.advance(0)
        self.assertEqual(inbox.ids[0], "m3")

    def test_the_stream_keeps_no_more_than_its_length(self) -> None:
        broker = self.started(stream_length=10)
        for number in range(25):
            self.successResultOf(
                broker.publish(EVENTS_EXCHANGE, notification_key("error.occurred"), message(f"e{number}"))
            )
        inbox = Inbox()
        since = datetime(2020, 1, 1, tzinfo=UTC)
        spawn(broker.consume(EVENTS_STREAM, inbox, prefetch=100, since=since), "consume")
        self.clock.advance(0)
        self.assertEqual(inbox.ids, [f"e{number}" for number in range(15, 25)])

    def test_a_slow_reader_of_the_stream_goes_on_with_the_oldest_there_is(self) -> None:
        broker = self.started(stream_length=10)
        inbox = Inbox(auto_ack=False)
        self.consume(broker, EVENTS_STREAM, inbox, prefetch=1)
        for number in range(25):
            broker.publish(EVENTS_EXCHANGE, notification_key("error.occurred"), message(f"e{number}"))
            self.clock.advance(0)
        inbox.auto_ack = True
        inbox.deliveries[0].ack()
        for _ in range(10):
            self.clock.advance(0)
        self.assertEqual(inbox.ids, ["e0", *(f"e{number}" for number in range(15, 25))])

    def test_a_dead_letter_is_confirmed_when_it_is_stored(self) -> None:
        stored: list[DeadLetter] = []
        may_store: Deferred[None] = Deferred()

        async def store(letter: DeadLetter) -> None:
            await may_store
            stored.append(letter)

        broker = self.started(store=store)
        died_at = datetime(2026, 5, 1, tzinfo=UTC)
        headers = death_headers(reason="broken", queue=QUEUE, routing_key=KEY, died_at=died_at)
        letter = Message(body=b"?", message_id="m1", headers={SHARD_HEADER: 0, **headers})
        published = broker.publish(DEAD_LETTER_EXCHANGE, "", letter)
        self.assertNoResult(published)
        may_store.callback(None)
        self.successResultOf(published)
        self.assertEqual(
            (stored[0].id, stored[0].reason, stored[0].queue, stored[0].exchange, stored[0].routing_key),
            ("m1", "broken", QUEUE, OCPP_EXCHANGE, KEY),
        )
        self.assertEqual(stored[0].died_at, died_at)

    def test_a_dead_letter_that_cannot_be_stored_is_not_confirmed(self) -> None:
        async def store(letter: DeadLetter) -> None:
            raise OSError("disk full")

        broker = self.started(store=store)
        published = broker.publish(DEAD_LETTER_EXCHANGE, "", message("m1"))
        self.assertIn("disk full", str(self.failureResultOf(published, BrokerError).value))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_a_stop_gives_up_on_what_nobody_acks(self) -> None:
        broker = self.started()
        published = broker.publish(OCPP_EXCHANGE, KEY, message("m1"), deadline_s=60.0)
        stopped = spawn(broker.stop(), "stop")
        self.assertNoResult(stopped)
        self.clock.pump([0.5] * 25)
        self.successResultOf(stopped)
        self.failureResultOf(published, PublishTimeout)
        self.assertEqual(self.clock.getDelayedCalls(), [])
