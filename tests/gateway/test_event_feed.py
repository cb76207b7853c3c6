from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csms.broker.memory import MemoryBroker
from csms.coroutines import spawn
from csms.domain.topology import EVENTS_EXCHANGE, EVENTS_STREAM, notification_key, topology
from csms.gateway import following as module
from csms.gateway.event_feed import FILL_S, IDLE_S, LOOK_S, RETRY_S, EventFeed
from csms.gateway.events import EventRing
from csms.gateway.following import OVERLAP, PREFILL
from csms.gateway.stream_reading import LONGEST_READING_S, MARK, SETTLE_S
from csms.ports import BrokerError, BrokerState, Consumer, Delivery, Message
from tests.gateway.notes import NOON, message, note


def ids(ring: EventRing) -> list[str]:
    return [ring[position].id for position in range(ring.begin, ring.end)]


class FeedTestCase(SynchronousTestCase):
    """``followers``: how many browsers there are."""

    followers = 1
    broker: Any

    def setUp(self) -> None:
        self.clock = Clock()
        self.broker = self.make_broker()
        self.ring = EventRing(100, b"".join)
        self.feed = EventFeed(
            self.broker, "gw1", self.ring, clock=self.clock, now=self.now, followers=lambda: self.followers
        )

    def make_broker(self) -> Any:
        raise NotImplementedError

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.clock.seconds())

    def follow(self) -> Deferred[Any]:
        """A browser comes; whether it finds the ring filled."""
        return spawn(self.feed.follow(), "follow")


class FeedFromMemoryTest(FeedTestCase):
    def make_broker(self) -> MemoryBroker:
        return MemoryBroker(topology(1), clock=self.clock)

    def now(self) -> datetime:
        return datetime.now(UTC)

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
        filled = self.follow()
        for number in range(3, 6):
            self.publish(number)
        self.clock.pump([0, 0, 0])
        self.publish(6)
        self.assertTrue(self.feed.ready)
        self.assertTrue(self.successResultOf(filled))
        self.assertEqual(ids(self.ring), [f"event-{number}" for number in range(7)])

    def test_it_waits_for_the_broker(self) -> None:
        self.feed.start()
        early = self.follow()
        self.clock.advance(FILL_S - 1)
        self.assertNoResult(early)
        self.clock.advance(1)
        self.assertFalse(self.feed.ready)
        self.assertFalse(self.successResultOf(early), "a browser waits only so long")
        filled = self.follow()
        self.start_broker()
        self.clock.pump([0, 0, 0])
        self.assertTrue(self.successResultOf(filled))
        self.publish(1)
        self.assertEqual(ids(self.ring), ["event-1"])

    def test_a_message_that_is_no_event_stops_nothing(self) -> None:
        self.start_broker()
        self.feed.start()
        self.follow()
        self.clock.pump([0, 0, 0])
        self.broker.publish(EVENTS_EXCHANGE, notification_key("x"), Message(body=b"{", message_id="bad"))
        self.publish(1)
        self.assertEqual(ids(self.ring), ["bad", "event-1"])
        self.assertEqual(self.ring[self.ring.begin].wire, b"")

    def test_nothing_comes_after_the_stop(self) -> None:
        self.start_broker()
        self.feed.start()
        self.follow()
        self.clock.pump([0, 0, 0])
        self.successResultOf(spawn(self.feed.stop(), "stop"))
        self.publish(1)
        self.assertEqual(ids(self.ring), [])

    def test_a_stop_while_the_stream_is_read_leaves_no_timer(self) -> None:
        self.start_broker()
        self.feed.start()
        self.follow().addErrback(lambda _: None)
        self.clock.advance(0)
        self.successResultOf(spawn(self.feed.stop(), "stop"))
        self.clock.advance(FILL_S)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ScriptedDelivery:
    """A delivery that remembers its ack."""

    redelivered = False
    awaited = False
    generation = 1

    def __init__(self, body: Message, routing_key: str = "") -> None:
        self.message = body
        self.routing_key = routing_key
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
        self.bound: set[str] = set()
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
        assert (queue, exchange) == ("gateway.gw1.events", "events_exchange")
        self.bound.add(routing_key)

    async def unbind(self, queue: str, exchange: str, routing_key: str) -> None:
        assert (queue, exchange) == ("gateway.gw1.events", "events_exchange")
        self.bound.discard(routing_key)

    async def consume(
        self, queue: str, on_delivery: Callable[[Delivery], None], *, prefetch: int, since: datetime | None = None
    ) -> Consumer:
        consumer = ScriptedConsumer()
        if queue == EVENTS_STREAM:
            self.streams.append((on_delivery, since, consumer))
        else:
            self.own = on_delivery
        return consumer


class ScriptedFeedTestCase(FeedTestCase):
    broker: ScriptedBroker

    def make_broker(self) -> ScriptedBroker:
        return ScriptedBroker()

    def followed(self) -> None:
        """The feed has begun, and a browser has come."""
        self.feed.start()
        self.follow()

    @property
    def following(self) -> module.Following:
        assert self.feed._following is not None
        return self.feed._following

    @property
    def is_filled(self) -> bool:
        return self.following.is_filled

    def from_queue(self, number: int, kind: str = "meter.values.updated") -> ScriptedDelivery:
        assert self.broker.own is not None
        delivery = ScriptedDelivery(message(note(number)), notification_key(kind))
        self.broker.own(delivery)
        return delivery

    def from_stream(self, *numbers: int, told_at: datetime | None = None) -> None:
        for number in numbers:
            delivery = ScriptedDelivery(replace(message(note(number)), timestamp=told_at))
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
        filled = self.follow()
        self.settle()
        self.assertTrue(self.successResultOf(filled))


class FeedOverLostConnectionsTest(ScriptedFeedTestCase):
    def test_the_first_reading_goes_two_minutes_back(self) -> None:
        self.started()
        self.assertEqual(self.broker.streams[0][1], NOON - PREFILL)
        self.assertTrue(self.broker.streams[0][2].cancelled)

    def test_deliveries_wait_unacked_while_the_stream_is_read(self) -> None:
        self.followed()
        delivery = self.from_queue(5)
        self.from_stream(3, 4)
        self.assertFalse(delivery.acked)
        self.assertEqual(ids(self.ring), ["event-3", "event-4"])
        self.mark()
        self.assertTrue(self.is_filled)
        self.assertFalse(delivery.acked)
        self.from_stream(5)
        self.assertTrue(delivery.acked, "the stream has told it")
        self.assertEqual(ids(self.ring), ["event-3", "event-4", "event-5"])

    def test_what_comes_into_the_stream_late_is_told_in_its_place(self) -> None:
        self.followed()
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
        self.followed()
        self.mark()
        self.clock.advance(SETTLE_S)
        held = self.from_queue(1)
        self.mark()
        self.assertTrue(held.acked)
        self.assertTrue(self.from_queue(2).acked)
        self.assertEqual(ids(self.ring), ["event-1", "event-2"])
        self.assertTrue(self.broker.streams[-1][2].cancelled)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1, "it will look whether browsers are there")

    def test_a_mark_that_was_published_twice_does_not_shorten_the_wait(self) -> None:
        self.followed()
        self.mark()
        self.mark()
        self.clock.advance(SETTLE_S / 2)
        self.from_queue(2)
        self.from_stream(1)
        self.assertEqual(ids(self.ring), ["event-1"])

    def test_a_stream_that_stands_still_behind_its_first_mark_is_a_gap(self) -> None:
        self.followed()
        self.mark()
        self.from_queue(1)
        self.clock.advance(SETTLE_S)
        begin = self.ring.begin
        self.clock.advance(LONGEST_READING_S)
        self.assertGreater(self.ring.begin, begin)
        self.assertEqual(ids(self.ring), ["event-1"])

    def test_an_event_that_was_published_twice_hides_none_in_between(self) -> None:
        self.followed()
        again = self.from_queue(3)
        self.from_stream(3, 4, 3)
        self.settle()
        self.assertTrue(again.acked)
        self.assertEqual(ids(self.ring), ["event-3", "event-4"])

    def test_a_slow_stream_is_waited_for(self) -> None:
        self.followed()
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
        self.followed()
        self.assertTrue(self.is_filled)
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
        self.followed()
        self.from_stream(1)
        self.from_queue(3)
        self.broker.become(BrokerState.DOWN)
        self.clock.advance(30)
        self.assertFalse(self.is_filled)
        self.broker.become(BrokerState.UP)
        self.assertEqual([since for _, since, _ in self.broker.streams], [NOON - PREFILL] * 2)
        self.from_queue(5)
        self.from_stream(1, 2, 3, 4)
        self.settle()
        self.assertEqual(ids(self.ring), [f"event-{number}" for number in (1, 2, 3, 4, 5)])
        self.assertEqual(self.ring.begin, 0, "no browser has to load everything anew")

    def test_a_connection_lost_behind_the_first_mark_is_made_up_for_from_there(self) -> None:
        self.followed()
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
        self.followed()
        for number in range(5):
            self.from_queue(number)
            self.broker.become(BrokerState.DOWN)
            self.broker.become(BrokerState.UP)
        assert self.following._held is not None
        self.assertEqual(list(self.following._held), ["event-3", "event-4"])
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
        self.followed()
        waiting = self.from_queue(999)
        step = 0.5
        for number in range(int(LONGEST_READING_S / step)):
            self.from_stream(number)
            self.clock.advance(step)
        self.assertTrue(self.is_filled)
        self.assertEqual(ids(self.ring), ["event-999"])
        self.assertGreater(self.ring.begin, 1)
        self.assertTrue(waiting.acked)

    def test_of_a_long_stream_only_what_the_ring_keeps_is_read(self) -> None:
        self.feed.start()
        filled = self.follow()
        began = NOON - PREFILL
        for number in range(25):
            self.from_stream(number, told_at=began + timedelta(seconds=number * 0.1))
        self.assertTrue(self.broker.streams[0][2].cancelled)
        self.assertNoResult(filled)
        self.assertEqual([since for _, since, _ in self.broker.streams], [began, NOON - timedelta(seconds=4 * 2.4)])
        for number in range(1000, 1110):
            self.from_stream(number, told_at=NOON - timedelta(seconds=(1110 - number) * 0.09))
        self.settle()
        self.assertTrue(self.successResultOf(filled))
        self.assertEqual(ids(self.ring), [f"event-{number}" for number in range(1010, 1110)])
        self.assertIsNone(self.ring.resume_at("event-1050", "of-another"), "it had events before that")
        self.assertEqual(len(self.broker.streams), 2)

    def test_a_stream_that_is_nearly_read_is_read_to_its_end(self) -> None:
        self.feed.start()
        self.follow()
        for number in range(120):
            self.from_stream(number, told_at=NOON - timedelta(seconds=120 - number))
        self.assertEqual(len(self.broker.streams), 1)

    def test_a_broker_that_refuses_is_asked_again(self) -> None:
        self.broker.failures = 3
        self.feed.start()
        self.assertFalse(self.feed.ready)
        filled = self.follow()
        self.clock.pump([RETRY_S, RETRY_S])
        self.assertTrue(self.feed.ready)
        self.mark()
        self.assertTrue(self.successResultOf(filled))


class RestingFeedTest(ScriptedFeedTestCase):
    """Nobody follows: not yet, or not any more."""

    followers = 0

    def awaited(self) -> list[object]:
        """Notes every command that changes, and None when some may have been missed."""
        heard: list[object] = []
        self.ring.watch("command.changed", lambda one: heard.append(one and one.event_id))
        return heard

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([1.0] * int(seconds))

    def rest(self) -> None:
        self.started()
        self.pass_time(IDLE_S)

    def test_before_the_first_browser_only_what_is_awaited_comes(self) -> None:
        heard = self.awaited()
        self.feed.start()
        self.assertTrue(self.feed.ready)
        self.assertEqual(self.broker.bound, {"notification.command.changed"})
        self.assertTrue(self.from_queue(1, "command.changed").acked)
        self.assertEqual((heard, ids(self.ring), self.broker.streams), (["event-1"], [], []))

    def test_the_first_browser_gets_all_in_order(self) -> None:
        self.feed.start()
        self.from_queue(2, "command.changed")
        filled = self.follow()
        self.assertIn("notification.#", self.broker.bound)
        self.assertNoResult(filled)
        self.from_stream(1, 2, 3)
        self.settle()
        self.from_queue(4)
        self.assertEqual(ids(self.ring), [f"event-{number}" for number in (1, 2, 3, 4)])

    def test_further_browsers_wait_for_the_same_reading(self) -> None:
        self.feed.start()
        both = [self.follow(), self.follow()]
        self.mark()
        self.assertEqual([self.successResultOf(one) for one in both], [True, True])
        self.assertEqual(len(self.broker.streams), 1)

    def test_a_while_after_the_last_browser_it_rests_again(self) -> None:
        self.started()
        self.from_queue(1)
        self.pass_time(IDLE_S - SETTLE_S - 1)
        self.assertIn("notification.#", self.broker.bound)
        self.pass_time(1)
        self.assertEqual(self.broker.bound, {"notification.command.changed"})
        self.assertEqual((ids(self.ring), self.clock.getDelayedCalls()), ([], []))

    def test_while_a_browser_is_there_it_never_rests(self) -> None:
        self.followers = 1
        self.started()
        self.pass_time(2.9 * IDLE_S)
        self.from_queue(1)
        self.assertEqual(ids(self.ring), ["event-1"])
        self.followers = 0
        self.pass_time(IDLE_S - LOOK_S)
        self.assertEqual(ids(self.ring), ["event-1"], "ten minutes from when it left")
        self.pass_time(LOOK_S)
        self.assertEqual(self.broker.bound, {"notification.command.changed"})

    def test_what_is_awaited_is_not_missed_whatever_happens(self) -> None:
        heard = self.awaited()
        self.rest()
        heard.clear()
        self.from_queue(1, "command.changed")
        self.broker.become(BrokerState.DOWN)
        self.broker.become(BrokerState.UP)
        self.from_queue(2, "command.changed")
        self.follow()
        self.from_queue(3, "command.changed")
        self.assertEqual(heard, ["event-1", None, "event-2", "event-3"], "it does not wait for the stream")
        self.broker.become(BrokerState.DOWN)
        self.broker.become(BrokerState.UP)
        self.assertEqual(heard[4:], [None])

    def test_a_browser_that_comes_after_the_rest_gets_what_happened_meanwhile(self) -> None:
        self.rest()
        self.from_queue(2, "command.changed")
        filled = self.follow()
        self.from_stream(1, 2)
        self.settle()
        self.assertTrue(self.successResultOf(filled))
        self.from_queue(3)
        self.assertEqual(ids(self.ring), ["event-1", "event-2", "event-3"])

    def test_what_was_here_before_the_rest_and_is_not_taken_again_is_known_to_be_missing(self) -> None:
        self.started()
        self.pass_time(IDLE_S - SETTLE_S - 5)
        self.from_queue(1)
        self.pass_time(5)
        self.follow()
        self.from_stream(1, 2)
        self.settle()
        self.assertEqual(ids(self.ring), ["event-2"])
        self.assertIsNone(self.ring.resume_at("event-2", "of-another"))

    def test_a_rest_in_the_middle_of_a_reading_ends_it(self) -> None:
        self.feed.start()
        self.follow()
        held = self.from_queue(1)
        self.clock.advance(0)
        self.feed._rest()
        self.assertTrue(held.acked)
        self.assertTrue(self.broker.streams[0][2].cancelled)
        filled = self.follow()
        self.from_stream(2)
        self.settle()
        self.assertTrue(self.successResultOf(filled))
        self.assertEqual(ids(self.ring), ["event-2"])

    def test_a_stop_tells_no_browser_of_a_gap(self) -> None:
        self.followers = 1
        self.feed.start()
        self.follow()
        self.from_stream(1)
        self.mark()
        held = self.from_queue(2)
        self.successResultOf(spawn(self.feed.stop(), "stop"))
        self.assertTrue(held.acked)
        self.assertEqual((ids(self.ring), self.ring.begin), (["event-1"], 0))
        self.assertFalse(self.successResultOf(self.follow()), "no browser is taken any more")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_rest_while_the_broker_is_away_leaves_nothing_behind(self) -> None:
        self.rest()
        self.broker.become(BrokerState.DOWN)
        self.follow()
        self.pass_time(IDLE_S)
        self.broker.become(BrokerState.UP)
        self.assertEqual(self.broker.bound, {"notification.command.changed"})
        self.assertEqual(len(self.broker.streams), 1)
