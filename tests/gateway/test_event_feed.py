from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.broker.memory import MemoryBroker
from csms.coroutines import spawn
from csms.domain.topology import EVENTS_EXCHANGE, EVENTS_STREAM, notification_key, topology
from csms.gateway import event_feed as module
from csms.gateway.event_feed import LONGEST_READING_S, MARK, OVERLAP, PREFILL, RETRY_S, SETTLE_S, EventFeed
from csms.gateway.events import EventRing
from csms.ports import BrokerError, BrokerState, Consumer, Delivery, Message
from tests.gateway.notes import NOON, message, note


def ids(ring: EventRing) -> list[str]:
    return [ring[position].id for position in range(ring.begin, ring.end)]


class FeedFromMemoryTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.broker = MemoryBroker(topology(1), clock=self.clock)
        self.ring = EventRing(100, b"".join)
        self.feed = EventFeed(self.broker, "gw1", self.ring, clock=self.clock, now=lambda: datetime.now(UTC))

    def start_broker(self) -> None:
        self.successResultOf(spawn(self.broker.start(), "start"))

    def publish(self, number: int) -> None:
        key = notification_key("meter.values.updated")
        self.broker.publish(EVENTS_EXCHANGE, key, message(note(number)))
        self.clock.advance(0)

    def test_what_happened_before_the_start_comes_first_and_nothing_twice(self) -> None:
        self.start_broker()
        for number in range(3):
            self.publish(number)
        self.feed.start()
        for number in range(3, 6):
            self.publish(number)
        self.clock.pump([0, 0, 0])
        self.publish(6)
        self.assertTrue(self.feed.ready)
        self.assertEqual(ids(self.ring), [f"event-{number}" for number in range(7)])

    def test_it_waits_for_the_broker(self) -> None:
        self.feed.start()
        self.clock.advance(60)
        self.assertFalse(self.feed.ready)
        ready = spawn(self.feed.when_ready(), "wait")
        self.start_broker()
        self.clock.pump([0, 0, 0])
        self.successResultOf(ready)
        self.publish(1)
        self.assertEqual(ids(self.ring), ["event-1"])

    def test_a_message_that_is_no_event_stops_nothing(self) -> None:
        self.start_broker()
        self.feed.start()
        self.clock.pump([0, 0, 0])
        self.broker.publish(EVENTS_EXCHANGE, notification_key("x"), Message(body=b"{", message_id="bad"))
        self.publish(1)
        self.assertEqual(ids(self.ring), ["bad", "event-1"])
        self.assertEqual(self.ring[self.ring.begin].wire, b"")

    def test_nothing_comes_after_the_stop(self) -> None:
        self.start_broker()
        self.feed.start()
        self.clock.pump([0, 0, 0])
        self.successResultOf(spawn(self.feed.stop(), "stop"))
        self.publish(1)
        self.assertEqual(ids(self.ring), [])

    def test_a_stop_while_the_stream_is_read_leaves_no_timer(self) -> None:
        self.start_broker()
        self.feed.start()
        self.clock.advance(0)
        self.successResultOf(spawn(self.feed.stop(), "stop"))
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ScriptedDelivery:
    """A delivery that remembers its ack."""

    routing_key = ""
    redelivered = False
    awaited = False
    generation = 1

    def __init__(self, body: Message) -> None:
        self.message = body
        self.acked = False

    def ack(self) -> None:
        self.acked = True

    def requeue(self) -> None:
        raise AssertionError("events are never given back")


class ScriptedConsumer:
    def __init__(self) -> None:
        self.cancelled = False

    async def cancel(self) -> None:
        self.cancelled = True


class ScriptedBroker:
    """A broker whose connection comes and goes as the test says; only what the feed uses of it."""

    def __init__(self) -> None:
        self.state = BrokerState.UP
        self.reason = ""
        self.listeners: list[Callable[[BrokerState], None]] = []
        self.waiting: list[Deferred[None]] = []
        self.marks: list[Message] = []
        self.refuses_marks = False
        self.own: Callable[[Delivery], None] | None = None
        self.streams: list[tuple[Callable[[Delivery], None], datetime | None, ScriptedConsumer]] = []
        self.failures = 0

    def on_state(self, listener: Callable[[BrokerState], None]) -> None:
        self.listeners.append(listener)

    def when_up(self) -> Awaitable[None]:
        if self.state is BrokerState.UP:
            return succeed(None)
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def become(self, state: BrokerState) -> None:
        self.state = state
        for listener in self.listeners:
            listener(state)
        if state is BrokerState.UP:
            waiting, self.waiting = self.waiting, []
            for waiter in waiting:
                waiter.callback(None)

    def publish(
        self, exchange: str, routing_key: str, message: Message, *, deadline_s: float = 8.0, mandatory: bool = True
    ) -> Awaitable[None]:
        assert (exchange, routing_key, message.type) == ("", EVENTS_STREAM, MARK)
        if self.refuses_marks:
            return fail(BrokerError("no confirm"))
        self.marks.append(message)
        return succeed(None)

    async def declare_private(self, queue: str) -> None:
        if self.failures:
            self.failures -= 1
            raise BrokerError("not now")

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        assert (queue, exchange, routing_key) == ("gateway.gw1.events", "events_exchange", "notification.#")

    async def consume(
        self, queue: str, on_delivery: Callable[[Delivery], None], *, prefetch: int, since: datetime | None = None
    ) -> Consumer:
        consumer = ScriptedConsumer()
        if queue == EVENTS_STREAM:
            self.streams.append((on_delivery, since, consumer))
        else:
            self.own = on_delivery
        return consumer


class FeedOverLostConnectionsTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.broker = ScriptedBroker()
        self.ring = EventRing(100, b"".join)
        self.feed = EventFeed(self.broker, "gw1", self.ring, clock=self.clock, now=self.now)  # type: ignore[arg-type]

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.clock.seconds())

    def from_queue(self, number: int) -> ScriptedDelivery:
        assert self.broker.own is not None
        delivery = ScriptedDelivery(message(note(number)))
        self.broker.own(delivery)
        return delivery

    def from_stream(self, *numbers: int) -> None:
        for number in numbers:
            delivery = ScriptedDelivery(message(note(number)))
            self.broker.streams[-1][0](delivery)
            self.assertTrue(delivery.acked)

    def mark(self, which: int = -1) -> None:
        """The stream has come to the mark."""
        delivery = ScriptedDelivery(self.broker.marks[which])
        self.broker.streams[-1][0](delivery)
        self.assertTrue(delivery.acked)

    def settle(self) -> None:
        """The stream comes to both marks."""
        self.mark()
        self.clock.advance(SETTLE_S)
        self.mark()

    def started(self) -> None:
        self.feed.start()
        self.settle()
        self.assertTrue(self.feed.ready)

    def test_the_first_reading_goes_ten_minutes_back(self) -> None:
        self.started()
        self.assertEqual(self.broker.streams[0][1], NOON - PREFILL)
        self.assertTrue(self.broker.streams[0][2].cancelled)

    def test_deliveries_wait_unacked_while_the_stream_is_read(self) -> None:
        self.feed.start()
        delivery = self.from_queue(5)
        self.from_stream(3, 4)
        self.assertFalse(delivery.acked)
        self.assertEqual(ids(self.ring), ["event-3", "event-4"])
        self.mark()
        self.assertTrue(self.feed.ready)
        self.assertFalse(delivery.acked)
        self.from_stream(5)
        self.assertTrue(delivery.acked, "the stream has told it")
        self.assertEqual(ids(self.ring), ["event-3", "event-4", "event-5"])

    def test_what_comes_into_the_stream_late_is_told_in_its_place(self) -> None:
        self.feed.start()
        self.from_stream(1)
        self.mark()
        after = self.from_queue(4)
        self.from_stream(2, 3)
        self.assertEqual(ids(self.ring), ["event-1", "event-2", "event-3"])
        self.from_stream(4)
        self.assertTrue(after.acked)
        self.assertTrue(self.from_queue(3).acked, "the stream was quicker")
        self.assertEqual(ids(self.ring), [f"event-{number}" for number in (1, 2, 3, 4)])

    def test_after_the_second_mark_the_queue_tells(self) -> None:
        self.feed.start()
        self.mark()
        self.clock.advance(SETTLE_S)
        held = self.from_queue(1)
        self.mark()
        self.assertTrue(held.acked)
        self.assertTrue(self.from_queue(2).acked)
        self.assertEqual(ids(self.ring), ["event-1", "event-2"])
        self.assertTrue(self.broker.streams[-1][2].cancelled)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_mark_that_was_published_twice_does_not_shorten_the_wait(self) -> None:
        self.feed.start()
        self.mark()
        self.mark()
        self.clock.advance(SETTLE_S / 2)
        self.from_queue(2)
        self.from_stream(1)
        self.assertEqual(ids(self.ring), ["event-1"])

    def test_a_stream_that_stands_still_behind_its_first_mark_is_a_gap(self) -> None:
        self.feed.start()
        self.mark()
        self.from_queue(1)
        self.clock.advance(SETTLE_S)
        begin = self.ring.begin
        self.clock.advance(LONGEST_READING_S)
        self.assertGreater(self.ring.begin, begin)
        self.assertEqual(ids(self.ring), ["event-1"])

    def test_an_event_that_was_published_twice_hides_none_in_between(self) -> None:
        self.feed.start()
        again = self.from_queue(3)
        self.from_stream(3, 4, 3)
        self.settle()
        self.assertTrue(again.acked)
        self.assertEqual(ids(self.ring), ["event-3", "event-4"])

    def test_a_slow_stream_is_waited_for(self) -> None:
        self.feed.start()
        self.clock.advance(LONGEST_READING_S - 1)
        self.from_stream(1)
        self.mark()
        self.assertEqual(ids(self.ring), ["event-1"])

    def test_marks_of_others_and_of_earlier_readings_end_nothing(self) -> None:
        self.started()
        self.broker.become(BrokerState.DOWN)
        self.broker.become(BrokerState.UP)
        self.mark(0)
        self.from_queue(2)
        self.from_stream(1)
        self.settle()
        self.assertEqual(ids(self.ring), ["event-1", "event-2"])

    def test_a_mark_that_cannot_be_written_is_a_gap(self) -> None:
        self.broker.refuses_marks = True
        self.feed.start()
        self.assertTrue(self.feed.ready)
        self.assertGreater(self.ring.begin, 0)
        self.clock.advance(5000)
        self.broker.become(BrokerState.DOWN)
        self.broker.become(BrokerState.UP)
        self.assertEqual(self.broker.streams[-1][1], self.now() - OVERLAP, "browsers were told that they missed it")

    def test_what_happened_while_the_connection_was_lost_comes_from_the_stream_in_order(self) -> None:
        self.started()
        self.from_queue(1)
        lost_at = self.now()
        self.broker.become(BrokerState.DOWN)
        self.clock.advance(300)
        self.broker.become(BrokerState.UP)
        self.assertEqual(self.broker.streams[-1][1], lost_at - OVERLAP)
        self.from_queue(4)
        self.from_stream(1, 2, 3)
        self.settle()
        self.from_queue(5)
        self.assertEqual(ids(self.ring), [f"event-{number}" for number in (1, 2, 3, 4, 5)])

    def test_a_connection_lost_while_the_stream_is_read_is_made_up_for_in_order(self) -> None:
        self.feed.start()
        self.from_stream(1)
        self.from_queue(3)
        self.broker.become(BrokerState.DOWN)
        self.clock.advance(30)
        self.assertFalse(self.feed.ready)
        self.broker.become(BrokerState.UP)
        self.assertEqual([since for _, since, _ in self.broker.streams], [NOON - PREFILL] * 2)
        self.from_queue(5)
        self.from_stream(1, 2, 3, 4)
        self.settle()
        self.assertEqual(ids(self.ring), [f"event-{number}" for number in (1, 2, 3, 4, 5)])
        self.assertEqual(self.ring.begin, 0, "no browser has to load everything anew")

    def test_a_connection_lost_behind_the_first_mark_is_made_up_for_from_there(self) -> None:
        self.feed.start()
        self.from_stream(1)
        self.mark()
        self.clock.advance(2)
        self.from_queue(3)
        self.broker.become(BrokerState.DOWN)
        self.assertTrue(self.broker.streams[0][2].cancelled)
        self.assertEqual(ids(self.ring), ["event-1"])
        self.broker.become(BrokerState.UP)
        self.assertEqual(self.broker.streams[-1][1], self.now() - OVERLAP)
        self.from_queue(4)
        self.from_stream(1, 2, 3)
        self.settle()
        self.assertEqual(ids(self.ring), [f"event-{number}" for number in (1, 2, 3, 4)])

    def test_a_stream_that_is_never_read_makes_nothing_grow(self) -> None:
        self.patch(module, "MOST_HELD", 3)
        self.feed.start()
        for number in range(5):
            self.from_queue(number)
            self.broker.become(BrokerState.DOWN)
            self.broker.become(BrokerState.UP)
        assert self.feed._held is not None
        self.assertEqual(list(self.feed._held), ["event-3", "event-4"])
        self.assertGreater(self.ring.begin, 0, "browsers load everything anew")
        self.settle()
        self.assertEqual(ids(self.ring), ["event-3", "event-4"])

    def test_a_blocked_broker_is_no_lost_connection(self) -> None:
        self.started()
        self.broker.become(BrokerState.BLOCKED)
        self.broker.become(BrokerState.UP)
        self.from_queue(1)
        self.assertEqual(len(self.broker.streams), 1)
        self.assertEqual(ids(self.ring), ["event-1"])

    def test_a_stream_too_long_to_read_in_time_is_a_gap(self) -> None:
        self.feed.start()
        waiting = self.from_queue(999)
        step = 0.5
        for number in range(int(LONGEST_READING_S / step)):
            self.from_stream(number)
            self.clock.advance(step)
        self.assertTrue(self.feed.ready)
        self.assertEqual(ids(self.ring), ["event-999"])
        self.assertGreater(self.ring.begin, 1)
        self.assertTrue(waiting.acked)

    def test_a_broker_that_refuses_is_asked_again(self) -> None:
        self.broker.failures = 2
        self.feed.start()
        self.clock.pump([RETRY_S, RETRY_S])
        self.mark()
        self.assertTrue(self.feed.ready)
