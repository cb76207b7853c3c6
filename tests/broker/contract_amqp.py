"""What every AMQP library's adapter keeps beyond the contract of brokers: across connections, and against RabbitMQ."""

from __future__ import annotations

import dataclasses
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from csms.broker import amqp as amqp_module
from csms.broker import publisher as publisher_module
from csms.broker.amqp import AmqpBroker
from csms.broker.dead_letters import AmqpDeadLetters
from csms.broker.factory import open_broker
from csms.domain.dead_letters import death_headers
from csms.domain.topology import (
    COMMANDS_EXCHANGE,
    DEAD_LETTER_EXCHANGE,
    EVENTS_EXCHANGE,
    EVENTS_STREAM,
    NOTIFICATIONS,
    OCPP_EXCHANGE,
    Queue,
    notification_key,
)
from csms.ports import Broker, BrokerError, BrokerState, Message, PublishTimeout
from csms.workers.outcomes import DeadLetter, Settlement
from csms.workers.pauses import Stop
from tests.broker.contract_broker import KEY, QUEUE, SHARDS, BrokerContract
from tests.broker.inbox import Inbox, confirmed, eventually, first_arrivals, message, outcomes
from tests.broker.raw_publisher import Raw, hostile_properties
from tests.broker.raw_publisher import publish as publish_raw
from tests.broker.weak_link import WeakLink, self_signed
from tests.servers import drop_vhost, rabbitmq_server, rabbitmq_url


class AmqpContract(BrokerContract):
    """Subclasses name the library."""

    __test__ = False
    amqp_client: ClassVar[str]

    def setUp(self) -> None:
        self.url = rabbitmq_url()
        self.addCleanup(drop_vhost, self.url)

    async def new_broker(self) -> Broker:
        """A broker on the test's own vhost."""
        return self.amqp_broker(self.url)

    def amqp_broker(self, url: str, *, ca_file: str = "", heartbeat_s: int = 10) -> AmqpBroker:
        """The same, with all that only AMQP has."""
        broker = open_broker(
            url,
            shards=SHARDS,
            amqp_client=self.amqp_client,
            ca_file=ca_file,
            heartbeat_s=heartbeat_s,
            reactor=reactor,
        )
        assert isinstance(broker, AmqpBroker)
        return broker

    async def behind_a_weak_link(self, *, heartbeat_s: int = 10) -> tuple[WeakLink, AmqpBroker]:
        """A started broker whose connections can be cut."""
        parts = urlsplit(self.url)
        link = WeakLink(parts.port or 0)
        url = parts._replace(netloc=f"guest:guest@127.0.0.1:{link.listen()}").geturl()
        broker = self.amqp_broker(url, heartbeat_s=heartbeat_s)

        async def end() -> None:
            await broker.stop()
            await link.close()

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        await broker.start()
        await broker.when_up()
        return link, broker

    # --- loss --------------------------------------------------------------------------------------------------

    async def test_what_was_not_confirmed_is_sent_again_with_its_id_and_in_its_order(self) -> None:
        link, broker = await self.behind_a_weak_link()
        ids = [f"m{number:03}" for number in range(300)]
        link.swallows_answers = True
        sent = self.publish(broker, ids)
        witness = await self.started()
        inbox = Inbox()
        await witness.consume(QUEUE, inbox, prefetch=1000)
        await inbox.has(300)
        link.swallows_answers = False
        link.cut()
        self.assertEqual(await outcomes(sent), [None] * 300)
        await inbox.has(600)
        self.assertEqual(inbox.ids, ids + ids)

    async def test_messages_published_while_the_broker_is_away_wait_for_it(self) -> None:
        link, broker = await self.behind_a_weak_link()
        down = self.state_becomes(broker, BrokerState.DOWN)
        link.refuses = True
        link.cut()
        await down
        self.assertIn("127.0.0.1", broker.reason)
        ids = [f"m{number}" for number in range(20)]
        sent = self.publish(broker, ids)
        early = broker.publish(OCPP_EXCHANGE, KEY, message("early"), deadline_s=0.1)
        self.assertEqual(await outcomes([early]), [PublishTimeout])
        link.refuses = False
        self.assertEqual(await outcomes(sent), [None] * 20)
        inbox = Inbox()
        await broker.consume(QUEUE, inbox, prefetch=100)
        await inbox.has(20)
        self.assertEqual(inbox.ids, ids)

    async def test_no_confirm_within_the_deadline_is_a_timeout(self) -> None:
        link, broker = await self.behind_a_weak_link()
        link.swallows_answers = True
        begin = reactor.seconds()
        sent = broker.publish(OCPP_EXCHANGE, KEY, message("m1"), deadline_s=0.5)
        self.assertEqual(await outcomes([sent]), [PublishTimeout])
        self.assertTrue(0.5 <= reactor.seconds() - begin < 2.0)
        link.cut()

    async def test_a_broker_that_has_fallen_silent_is_left_by_both_connections(self) -> None:
        self.patch(publisher_module, "STALLED_SWEEPS", 5)
        self.patch(amqp_module, "PROBE_TIMEOUT_S", 1.0)
        link, broker = await self.behind_a_weak_link(heartbeat_s=600)
        before = link.accepted
        link.swallows_answers = True
        sent = broker.publish(OCPP_EXCHANGE, KEY, message("m1"), deadline_s=50.0)

        async def both_came_anew() -> bool:
            return link.accepted >= before + 2

        await eventually(both_came_anew)
        link.swallows_answers = False
        link.cut()
        self.assertEqual(await outcomes([sent]), [None])
        await broker.when_up()

    async def test_consumers_and_private_queues_come_back_with_the_connection(self) -> None:
        link, broker = await self.behind_a_weak_link()
        work, private, streamed = Inbox(auto_ack=False), Inbox(), Inbox()
        await broker.consume(QUEUE, work, prefetch=10)
        await broker.declare_private("gateway.g1")
        await broker.bind("gateway.g1", COMMANDS_EXCHANGE, "CP-1")
        await broker.bind("gateway.g1", COMMANDS_EXCHANGE, "CP-2")
        await broker.unbind("gateway.g1", COMMANDS_EXCHANGE, "CP-2")
        await broker.consume("gateway.g1", private, prefetch=10)
        await broker.consume(EVENTS_STREAM, streamed, prefetch=10)
        await confirmed(self.publish(broker, ["m0", "m1"]))
        await broker.publish(EVENTS_EXCHANGE, notification_key("error.occurred"), message("e0"))
        await work.has(2)
        await streamed.has(1)
        work.deliveries[0].ack()
        await self.confirmed_elsewhere(broker)
        down = self.state_becomes(broker, BrokerState.DOWN)
        link.cut()
        await down
        work.deliveries[1].ack()
        await broker.when_up()
        await work.has(3)
        again = work.deliveries[2]
        self.assertEqual((again.message.message_id, again.redelivered), ("m1", True))
        self.assertGreater(again.generation, work.deliveries[1].generation)
        again.ack()
        await broker.publish(COMMANDS_EXCHANGE, "CP-1", message("command"))
        await private.has(1)
        gone = broker.publish(COMMANDS_EXCHANGE, "CP-2", message("nobody"))
        self.assertEqual([kind.__name__ for kind in await outcomes([gone]) if kind], ["Unroutable"])
        await broker.publish(EVENTS_EXCHANGE, notification_key("error.occurred"), message("e1"))
        await streamed.has(2)
        self.assertEqual(streamed.ids, ["e0", "e1"])

    async def test_properties_that_no_library_would_make_cost_no_connection_and_can_be_buried(self) -> None:
        broker = await self.started()
        assert isinstance(broker, AmqpBroker)
        states: list[BrokerState] = []
        broker.on_state(states.append)
        inbox = Inbox()
        await broker.consume(QUEUE, inbox, prefetch=100)
        raw = [Raw(name, name.encode(), flags, values) for name, flags, values in hostile_properties()]
        await deferToThread(publish_raw, self.url, QUEUE, raw)
        await inbox.has(len(raw))
        self.assertEqual([delivery.message.body.decode() for delivery in inbox.deliveries], [one.name for one in raw])
        settlement = Settlement(broker, QUEUE, reactor, Stop(reactor))
        for delivery in inbox.deliveries:
            self.assertTrue(await settlement.bury(delivery, DeadLetter("as a test")))
        letters = await AmqpDeadLetters(broker).browse(100)
        self.assertEqual([letter.message.body.decode() for letter in letters], [one.name for one in raw])
        self.assertEqual({letter.reason for letter in letters}, {"as a test"})
        await confirmed(self.publish(broker, ["m0"]))
        await inbox.has(len(raw) + 1)
        self.assertEqual(states, [])

    async def confirmed_elsewhere(self, broker: AmqpBroker) -> None:
        """Wait until the broker has handled the acks so far: its channel would not answer before."""

        async def one_is_left() -> bool:
            probe = Inbox()
            consumer = await broker.consume(QUEUE, probe, prefetch=1)
            await consumer.cancel()
            return True

        await eventually(one_is_left)

    async def test_a_worker_that_vanishes_leaves_its_messages_to_the_next_in_order(self) -> None:
        link, worker = await self.behind_a_weak_link()
        standby = await self.started()
        held, taken_over = Inbox(auto_ack=False), Inbox()
        await worker.consume(QUEUE, held, prefetch=5)
        await standby.consume(QUEUE, taken_over, prefetch=100)
        ids = [f"m{number}" for number in range(12)]
        await confirmed(self.publish(standby, ids))
        await held.has(5)
        link.refuses = True
        link.cut()
        await taken_over.has(12)
        self.assertEqual(taken_over.ids, ids)
        self.assertEqual([delivery.redelivered for delivery in taken_over.deliveries[:6]], [True] * 5 + [False])

    async def test_a_broker_that_accepts_and_drops_is_asked_less_and_less(self) -> None:
        link, broker = await self.behind_a_weak_link()
        link.refuses = True
        before = link.accepted
        link.cut()
        sent = broker.publish(OCPP_EXCHANGE, KEY, message("m1"), deadline_s=2.0)
        self.assertEqual(await outcomes([sent]), [PublishTimeout])
        self.assertLess(link.accepted - before, 24)

    async def test_a_gateway_of_the_same_name_is_told_from_a_broker_that_is_away(self) -> None:
        first, second = await self.started(), await self.new_broker()
        self.addCleanup(lambda: Deferred.fromCoroutine(second.stop()))
        await first.declare_private("gateway.twin")
        await second.declare_private("gateway.twin")
        refused = self.reason_contains(second, "RESOURCE_LOCKED")
        await second.start()
        await refused
        await first.stop()
        await second.when_up()

    async def test_what_amqp_cannot_carry_fails_alone(self) -> None:
        broker = await self.started()
        fine = self.publish(broker, ["m1"])
        broken = broker.publish(OCPP_EXCHANGE, "k" * 300, message("m2"))
        also_fine = self.publish(broker, ["m3"])
        self.assertEqual(await outcomes([*fine, broken, *also_fine]), [None, BrokerError, None])

    async def test_a_stopped_broker_takes_nothing_and_says_so(self) -> None:
        broker = await self.started()
        await broker.stop()
        self.assertEqual(await outcomes(self.publish(broker, ["m1"])), [BrokerError])
        with self.assertRaises(BrokerError):
            await broker.depths()

    async def test_tls_reaches_a_broker_whose_certificate_is_trusted_and_no_other(self) -> None:
        link = WeakLink(urlsplit(self.url).port or 0)
        self.addCleanup(lambda: Deferred.fromCoroutine(link.close()))
        (tls, certificate), (_, stranger) = self_signed("localhost"), self_signed("elsewhere")
        netloc = f"guest:guest@localhost:{link.listen(tls)}"
        url = urlsplit(self.url)._replace(scheme="amqps", netloc=netloc).geturl()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        trusting, wary = Path(directory.name, "trusting.pem"), Path(directory.name, "wary.pem")
        trusting.write_bytes(stranger + certificate)
        wary.write_bytes(stranger)
        broker, refused = self.amqp_broker(url, ca_file=str(trusting)), self.amqp_broker(url, ca_file=str(wary))
        self.addCleanup(lambda: Deferred.fromCoroutine(broker.stop()))
        self.addCleanup(lambda: Deferred.fromCoroutine(refused.stop()))
        tried = self.reason_contains(refused, "certificate")
        await refused.start()
        await tried
        await broker.start()
        await broker.when_up()
        await broker.publish(OCPP_EXCHANGE, KEY, message("m1", body=b"x" * 300_000))
        self.assertIs(refused.state, BrokerState.DOWN)

    async def test_a_wrong_password_is_the_reason_not_to_be_up(self) -> None:
        broker = self.amqp_broker(self.url.replace("guest:guest", "guest:wrong"))
        self.addCleanup(lambda: Deferred.fromCoroutine(broker.stop()))
        refused = self.reason_contains(broker, "ACCESS_REFUSED")
        await broker.start()
        await refused

    async def test_a_stream_that_is_refused_stops_nothing_else(self) -> None:
        strange = self.amqp_broker(self.url)
        no_stream = Queue(EVENTS_STREAM, {"x-queue-type": "classic"})
        strange._topology = dataclasses.replace(strange._topology, queues=(no_stream,), bindings=())
        await strange.start()
        await strange.when_up()
        await strange.stop()
        broker = await self.started()
        self.assertIs(broker.state, BrokerState.UP)
        inbox, streamed = Inbox(), Inbox()
        await broker.consume(QUEUE, inbox, prefetch=10)
        await broker.consume(EVENTS_STREAM, streamed, prefetch=10, since=datetime.now(UTC))
        await confirmed(self.publish(broker, ["m1"]))
        await inbox.has(1)
        self.assertIs(broker.state, BrokerState.UP)

    async def test_a_stream_that_is_refused_at_first_is_read_once_it_is_there(self) -> None:
        broker = await self.started()
        vhost = urlsplit(self.url).path[1:]
        await deferToThread(rabbitmq_server().manage, "DELETE", f"queues/{vhost}/{EVENTS_STREAM}")
        streamed, given_up = Inbox(), Inbox()
        await broker.consume(EVENTS_STREAM, streamed, prefetch=10, since=datetime.now(UTC))
        refused = await broker.consume(EVENTS_STREAM, given_up, prefetch=10, since=datetime.now(UTC))
        await refused.cancel()
        self.assertIs(broker.state, BrokerState.UP)
        declares = await self.started()
        await declares.publish(EVENTS_EXCHANGE, notification_key("error.occurred"), message("e0"))
        await streamed.has(1)
        self.assertEqual(given_up.ids, [])

    # --- dead letters ------------------------------------------------------------------------------------------

    async def test_dead_letters_are_browsed_replayed_and_dropped(self) -> None:
        broker = await self.started()
        assert isinstance(broker, AmqpBroker)
        letters = AmqpDeadLetters(broker)
        died_at = datetime(2026, 5, 1, 12, tzinfo=UTC)
        for number in range(4):
            headers = death_headers(reason=f"reason {number}", queue=QUEUE, routing_key=KEY, died_at=died_at)
            alive = message(f"m{number}")
            dead = replace(alive, headers={**alive.headers, **headers})
            await broker.publish(DEAD_LETTER_EXCHANGE, "", dead)
        for _ in range(10):
            browsed = await letters.browse(3)
            self.assertEqual([letter.id for letter in browsed], ["m0", "m1", "m2"])
        first = browsed[0]
        self.assertEqual(
            (first.reason, first.queue, first.exchange, first.routing_key, first.died_at),
            ("reason 0", QUEUE, OCPP_EXCHANGE, KEY, died_at),
        )
        self.assertEqual(await letters.drop(["m1", "unknown"]), 1)
        self.assertEqual(await letters.replay(["m2", "m0"]), 2)
        inbox = Inbox()
        await broker.consume(QUEUE, inbox, prefetch=10)
        await inbox.has(2)
        self.assertEqual(inbox.ids, ["m0", "m2"])
        replayed = inbox.deliveries[0]
        self.assertEqual((dict(replayed.message.headers), replayed.routing_key), ({"shard": 0}, KEY))
        self.assertEqual([letter.id for letter in await letters.browse(10)], ["m3"])
        self.assertEqual(await letters.replay(["m3"], b"mended"), 1)
        await inbox.has(3)
        self.assertEqual(inbox.deliveries[2].message.body, b"mended")

    async def test_a_dead_letter_of_unknown_origin_stays_where_it_is(self) -> None:
        broker = await self.started()
        assert isinstance(broker, AmqpBroker)
        letters = AmqpDeadLetters(broker)
        await broker.publish(DEAD_LETTER_EXCHANGE, "", message("stray"))
        with self.assertRaises(BrokerError):
            await letters.replay(["stray"])
        self.assertEqual([letter.reason for letter in await letters.browse(10)], ["unknown"])

    async def test_what_the_broker_itself_buried_is_understood(self) -> None:
        broker = await self.started()
        assert isinstance(broker, AmqpBroker)
        key = notification_key("error.occurred")
        headers = {"x-death-note": "plain"}
        event = Message(body=b"{}", message_id="e1", headers=headers)
        await broker.publish(EVENTS_EXCHANGE, key, replace(event, expiration_s=0.0))
        letters = AmqpDeadLetters(broker)

        async def buried() -> bool:
            return bool(await letters.browse(1))

        await eventually(buried)
        inbox = Inbox()
        await broker.consume(NOTIFICATIONS, inbox, prefetch=10)
        found = {letter.queue: letter for letter in await letters.browse(10)}
        letter = found[NOTIFICATIONS]
        self.assertEqual((letter.exchange, letter.routing_key), (EVENTS_EXCHANGE, key))
        self.assertIn("expired", letter.reason)
        self.assertLess(abs((datetime.now(UTC) - letter.died_at).total_seconds()), 60)

    async def test_a_message_nobody_survives_is_buried_with_its_reason(self) -> None:
        broker = await self.started()
        assert isinstance(broker, AmqpBroker)
        inbox = Inbox(auto_ack=False)
        await broker.consume(QUEUE, inbox, prefetch=1)
        await confirmed(self.publish(broker, ["poison"]))
        letters = AmqpDeadLetters(broker)
        rejected = 0

        async def buried() -> bool:
            nonlocal rejected
            for delivery in inbox.deliveries[rejected:]:
                rejected += 1
                delivery.requeue()
            return bool((await broker.depths())["dead_letter_queue"])

        await eventually(buried)
        (letter,) = await letters.browse(1)
        self.assertEqual((letter.id, letter.queue, letter.routing_key), ("poison", QUEUE, KEY))
        self.assertIn("delivered too often", letter.reason)
        self.assertEqual(first_arrivals(inbox.ids), ["poison"])

    # --- waiting -----------------------------------------------------------------------------------------------

    def state_becomes(self, broker: Broker, wanted: BrokerState) -> Deferred[None]:
        """Fires when the state changes to ``wanted``."""
        reached: Deferred[None] = Deferred()

        def listen(state: BrokerState) -> None:
            if state is wanted and not reached.called:
                reached.callback(None)

        broker.on_state(listen)
        return reached

    async def reason_contains(self, broker: Broker, words: str) -> None:
        """Wait until the reason for not being up says so."""

        async def says() -> bool:
            return words in broker.reason

        await eventually(says)
