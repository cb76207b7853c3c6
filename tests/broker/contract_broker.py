"""What every broker adapter keeps. A test class of an adapter adds ``new_broker``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from csms.domain.topology import (
    ANALYTICS,
    CHARGING_EVENTS,
    COMMANDS_EXCHANGE,
    DEFAULT_EXCHANGE,
    EVENTS_EXCHANGE,
    EVENTS_STREAM,
    NOTIFICATIONS,
    OCPP_EXCHANGE,
    message_key,
    notification_key,
    shard_queues,
)
from csms.ports import Broker, BrokerState, Delivery, Message, Unroutable
from tests.broker.inbox import Inbox, confirmed, eventually, message, outcomes

SHARDS = 2
KEY = message_key("MeterValues")
QUEUE = shard_queues(SHARDS)[0]


class BrokerContract(TestCase):
    """Subclasses set ``new_broker`` in setUp and call ``started``."""

    __test__ = False
    timeout = 30
    new_broker: Callable[[], Awaitable[Broker]]

    async def started(self) -> Broker:
        """A broker that is up and stops with the test."""
        broker = await self.new_broker()
        await broker.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(broker.stop()))
        await broker.when_up()
        return broker

    def publish(self, broker: Broker, ids: list[str], key: str = KEY) -> list[Awaitable[None]]:
        """Publish a message for each id, without waiting."""
        return [broker.publish(OCPP_EXCHANGE, key, message(each), deadline_s=25.0) for each in ids]

    # --- messages ----------------------------------------------------------------------------------------------

    async def test_a_message_arrives_with_all_that_it_had(self) -> None:
        broker = await self.started()
        inbox = Inbox()
        await broker.consume(QUEUE, inbox, prefetch=10)
        sent = Message(
            body='{"text": "Zäune, 充電"}'.encode(),
            message_id="m-1",
            type="MeterValues",
            headers={"shard": 0, "version": 1, "größe": "weiß", "negative": -5},
            reply_to="gateway.g1",
            correlation_id="c-1",
            expiration_s=60.0,
            timestamp=datetime(2026, 5, 1, 12, 30, tzinfo=UTC),
        )
        await broker.publish(OCPP_EXCHANGE, KEY, sent)
        await inbox.has(1)
        delivery = inbox.deliveries[0]
        self.assertEqual(delivery.message, sent)
        self.assertEqual(delivery.routing_key, KEY)
        self.assertFalse(delivery.redelivered)

    async def test_any_body_arrives_byte_for_byte(self) -> None:
        broker = await self.started()
        inbox = Inbox()
        await broker.consume(QUEUE, inbox, prefetch=10)
        bodies = [b"", b"plain", b"\xff\xfe\x00", b"a" * 200_000 + b"\xff" * 200_000]
        sent = [
            broker.publish(OCPP_EXCHANGE, KEY, message(f"m{number}", body=body)) for number, body in enumerate(bodies)
        ]
        self.assertEqual(await outcomes(sent), [None] * 4)
        await inbox.has(4)
        self.assertEqual([delivery.message.body for delivery in inbox.deliveries], bodies)

    async def test_a_thousand_pipelined_messages_keep_their_order(self) -> None:
        broker = await self.started()
        inbox = Inbox()
        await broker.consume(QUEUE, inbox, prefetch=100)
        ids = [f"m{number:04}" for number in range(1000)]
        self.assertEqual(await outcomes(self.publish(broker, ids)), [None] * 1000)
        await inbox.has(1000)
        self.assertEqual(inbox.ids, ids)

    async def test_a_message_takes_the_shard_of_its_header(self) -> None:
        broker = await self.started()
        inboxes = [Inbox() for _ in range(SHARDS)]
        for queue, inbox in zip(shard_queues(SHARDS), inboxes, strict=True):
            await broker.consume(queue, inbox, prefetch=10)
        sent = [broker.publish(OCPP_EXCHANGE, KEY, message(f"m{each}", shard=each % SHARDS)) for each in range(6)]
        self.assertEqual(await outcomes(sent), [None] * 6)
        for inbox in inboxes:
            await inbox.has(3)
        self.assertEqual([inbox.ids for inbox in inboxes], [["m0", "m2", "m4"], ["m1", "m3", "m5"]])

    async def test_an_unroutable_message_is_told_from_its_neighbours(self) -> None:
        broker = await self.started()
        await broker.consume(QUEUE, Inbox(), prefetch=500)
        nobody = SHARDS + 7
        published, expected = [], []
        for number in range(1000):
            astray = number % 20 == 3
            published.append(broker.publish(OCPP_EXCHANGE, KEY, message(f"m{number}", shard=nobody if astray else 0)))
            expected.append(Unroutable if astray else None)
        self.assertEqual(await outcomes(published), expected)

    async def test_a_message_published_twice_arrives_twice(self) -> None:
        broker = await self.started()
        inbox = Inbox()
        await broker.consume(QUEUE, inbox, prefetch=10)
        self.assertEqual(await outcomes(self.publish(broker, ["m1", "m1", "m2"])), [None] * 3)
        await inbox.has(3)
        self.assertEqual(inbox.ids, ["m1", "m1", "m2"])

    async def test_a_message_nobody_has_to_take_may_go_nowhere(self) -> None:
        broker = await self.started()
        reply = message("m1", persistent=False)
        await broker.publish(DEFAULT_EXCHANGE, "gateway.gone", reply, mandatory=False)
        self.assertEqual(await outcomes([broker.publish(DEFAULT_EXCHANGE, "gateway.gone", reply)]), [Unroutable])

    # --- consumers ---------------------------------------------------------------------------------------------

    async def test_prefetch_bounds_what_is_held(self) -> None:
        broker = await self.started()
        inbox = Inbox(auto_ack=False)
        await broker.consume(QUEUE, inbox, prefetch=5)
        sent = self.publish(broker, [f"m{number:02}" for number in range(20)])

        async def fifteen_wait() -> bool:
            return (await broker.depths())[QUEUE] == 15

        await inbox.has(5)
        await eventually(fifteen_wait)
        self.assertEqual(len(inbox.deliveries), 5)
        inbox.deliveries[0].ack()
        await inbox.has(6)
        self.assertEqual(inbox.ids[5], "m05")
        inbox.auto_ack = True
        for delivery in inbox.deliveries:
            delivery.ack()
        self.assertEqual(await outcomes(sent), [None] * 20)
        await inbox.has(20)
        self.assertEqual(inbox.ids, [f"m{number:02}" for number in range(20)])

    async def test_a_requeued_message_comes_again_and_is_marked(self) -> None:
        broker = await self.started()
        inbox = Inbox(auto_ack=False)
        await broker.consume(QUEUE, inbox, prefetch=10)
        sent = self.publish(broker, ["m0", "m1", "m2"])
        await inbox.has(3)
        inbox.deliveries[1].requeue()
        inbox.deliveries[1].requeue()
        inbox.deliveries[1].ack()
        await inbox.has(4)
        self.assertEqual(inbox.ids, ["m0", "m1", "m2", "m1"])
        self.assertEqual([delivery.redelivered for delivery in inbox.deliveries], [False, False, False, True])
        for delivery in inbox.deliveries:
            delivery.ack()
        self.assertEqual(await outcomes(sent), [None] * 3)

    async def test_a_single_active_consumer_hands_over_when_it_goes(self) -> None:
        broker = await self.started()
        first, second = Inbox(), Inbox()
        consumer = await broker.consume(QUEUE, first, prefetch=10)
        await broker.consume(QUEUE, second, prefetch=10)
        await confirmed(self.publish(broker, [f"m{number}" for number in range(8)]))
        await first.has(8)
        self.assertEqual(second.ids, [])
        await consumer.cancel()
        await confirmed(self.publish(broker, ["after"]))
        await second.has(1)
        self.assertEqual((len(first.ids), second.ids), (8, ["after"]))

    async def test_what_a_cancelled_consumer_held_comes_before_what_follows_it(self) -> None:
        broker = await self.started()
        holder, standby = Inbox(auto_ack=False), Inbox()
        consumer = await broker.consume(QUEUE, holder, prefetch=5)
        await broker.consume(QUEUE, standby, prefetch=100)
        ids = [f"m{number:02}" for number in range(20)]
        sent = self.publish(broker, ids)
        await holder.has(5)
        holder.deliveries[0].ack()
        holder.deliveries[2].ack()
        await holder.has(7)
        await consumer.cancel()
        await consumer.cancel()
        for delivery in holder.deliveries:
            delivery.ack()
            delivery.requeue()
        await standby.has(18)
        self.assertEqual(standby.ids, [each for each in ids if each not in ("m00", "m02")])
        redelivered = [delivery.redelivered for delivery in standby.deliveries]
        self.assertEqual(redelivered, [True] * 5 + [False] * 13)
        self.assertEqual(await outcomes(sent), [None] * 20)
        self.assertEqual(len(holder.deliveries), 7)

    async def test_a_consumer_that_raises_gets_the_next_message_all_the_same(self) -> None:
        broker = await self.started()
        inbox = Inbox()

        def raising(delivery: Delivery) -> None:
            inbox(delivery)
            if delivery.message.message_id == "m0":
                raise ZeroDivisionError

        await broker.consume(QUEUE, raising, prefetch=10)
        self.assertEqual(await outcomes(self.publish(broker, ["m0", "m1"])), [None, None])
        await inbox.has(2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    # --- exchanges ---------------------------------------------------------------------------------------------

    async def test_notifications_reach_the_queues_whose_binding_matches(self) -> None:
        broker = await self.started()
        inboxes = {name: Inbox() for name in (CHARGING_EVENTS, NOTIFICATIONS, ANALYTICS)}
        for name, inbox in inboxes.items():
            await broker.consume(name, inbox, prefetch=10)
        for number, kind in enumerate(("charging.started", "charger.status.changed", "error.occurred")):
            await broker.publish(EVENTS_EXCHANGE, notification_key(kind), message(f"e{number}"))
        for name, count in ((CHARGING_EVENTS, 1), (NOTIFICATIONS, 3), (ANALYTICS, 3)):
            await inboxes[name].has(count)
        self.assertEqual(inboxes[CHARGING_EVENTS].ids, ["e0"])
        self.assertEqual(inboxes[NOTIFICATIONS].ids, ["e0", "e1", "e2"])
        self.assertEqual(inboxes[ANALYTICS].ids, ["e0", "e1", "e2"])

    async def test_a_private_queue_takes_what_is_bound_until_it_is_unbound(self) -> None:
        broker = await self.started()
        inbox = Inbox()
        await broker.declare_private("gateway.g1")
        await broker.consume("gateway.g1", inbox, prefetch=10)
        await broker.bind("gateway.g1", COMMANDS_EXCHANGE, "CP-1")
        await broker.bind("gateway.g1", COMMANDS_EXCHANGE, "CP-2")
        await broker.publish(DEFAULT_EXCHANGE, "gateway.g1", message("reply", persistent=False))
        await broker.publish(COMMANDS_EXCHANGE, "CP-1", message("command"))
        await broker.unbind("gateway.g1", COMMANDS_EXCHANGE, "CP-1")
        await broker.unbind("gateway.g1", COMMANDS_EXCHANGE, "CP-1")
        late = broker.publish(COMMANDS_EXCHANGE, "CP-1", message("late"))
        other = broker.publish(COMMANDS_EXCHANGE, "CP-2", message("other"))
        self.assertEqual(await outcomes([late, other]), [Unroutable, None])
        await inbox.has(3)
        self.assertEqual(inbox.ids, ["reply", "command", "other"])

    async def test_the_stream_tells_what_was_missed_and_then_what_comes(self) -> None:
        broker = await self.started()
        begin = datetime.now(UTC) - timedelta(seconds=5)
        missed = [f"e{number}" for number in range(5)]
        for each in missed:
            await broker.publish(EVENTS_EXCHANGE, notification_key("charging.updated"), message(each))
        late, twin = Inbox(), Inbox()
        await broker.consume(EVENTS_STREAM, late, prefetch=2, since=begin)
        await late.has(5)
        await broker.consume(EVENTS_STREAM, twin, prefetch=100)
        await broker.publish(EVENTS_EXCHANGE, notification_key("charging.updated"), message("live"))
        await late.has(6)
        await twin.has(1)
        self.assertEqual(late.ids, [*missed, "live"])
        self.assertEqual(twin.ids, ["live"])

    # --- life --------------------------------------------------------------------------------------------------

    async def test_the_state_goes_from_down_to_up_and_back(self) -> None:
        broker = await self.new_broker()
        seen: list[BrokerState] = []
        broker.on_state(seen.append)
        self.assertIs(broker.state, BrokerState.DOWN)
        self.assertNotEqual(broker.reason, "")
        await broker.start()
        await broker.when_up()
        self.assertEqual((broker.state, broker.reason), (BrokerState.UP, ""))
        await broker.stop()
        self.assertEqual(seen, [BrokerState.UP, BrokerState.DOWN])
        self.assertNotEqual(broker.reason, "")

    async def test_a_stop_waits_for_outstanding_confirms(self) -> None:
        broker = await self.started()
        await broker.consume(QUEUE, Inbox(), prefetch=10)
        sent = self.publish(broker, [f"m{number}" for number in range(50)])
        await broker.stop()
        self.assertEqual(await outcomes(sent), [None] * 50)

    async def test_depths_count_what_waits(self) -> None:
        broker = await self.started()
        inbox = Inbox(auto_ack=False)
        consumer = await broker.consume(QUEUE, inbox, prefetch=1)
        sent = self.publish(broker, ["m0", "m1", "m2"])
        await inbox.has(1)

        async def two_wait() -> bool:
            return (await broker.depths())[QUEUE] == 2

        await eventually(two_wait)
        depths = await broker.depths()
        self.assertEqual(depths[shard_queues(SHARDS)[1]], 0)
        self.assertEqual(depths[NOTIFICATIONS], 0)
        await consumer.cancel()
        await broker.consume(QUEUE, Inbox(), prefetch=10)
        self.assertEqual(await outcomes(sent), [None] * 3)
