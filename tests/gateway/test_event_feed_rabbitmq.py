"""The feed over a real RabbitMQ: a real stream, and connections that are really cut."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from msgspec.structs import replace
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.protocols.portforward import ProxyFactory
from twisted.trial.unittest import TestCase

from csms.broker.factory import open_broker
from csms.domain.topology import EVENTS_EXCHANGE, notification_key
from csms.gateway.event_feed import EventFeed
from csms.gateway.events import EventRing
from csms.ports import Broker, BrokerState
from tests.gateway.notes import message, note
from tests.servers import drop_vhost, rabbitmq_url

reactor: Any = _reactor


class CuttableProxy(ProxyFactory):
    """Passes connections on to the broker, until they are cut."""

    noisy = False

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.connections: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        connection = super().buildProtocol(addr)
        self.connections.append(connection)
        return connection

    def cut(self) -> None:
        connections, self.connections = self.connections, []
        for connection in connections:
            connection.transport.abortConnection()


class FeedFromRabbitTest(TestCase):
    timeout = 120
    amqp_client = "pika"

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        return Deferred.fromCoroutine(self.start())

    async def start(self) -> None:
        url = rabbitmq_url()
        self.addCleanup(drop_vhost, url)
        self.proxy = CuttableProxy(urlsplit(url).port or 5672)
        self.listening = reactor.listenTCP(0, self.proxy, interface="127.0.0.1")
        self.addCleanup(lambda: self.listening.stopListening())
        proxied = url.replace(f":{urlsplit(url).port}/", f":{self.listening.getHost().port}/")
        self.publisher = await self.broker(url)
        self.consumer = await self.broker(proxied)
        self.ring = EventRing(100, b"".join)
        gateway = f"gw-{uuid4().hex}"
        self.feed = EventFeed(
            self.consumer, gateway, self.ring, clock=reactor, now=lambda: datetime.now(UTC), followers=lambda: 1
        )
        self.changed: Deferred[None] = Deferred()
        self.ring.listen(self.ring_changed)

    async def broker(self, url: str) -> Broker:
        broker = open_broker(url, shards=1, amqp_client=self.amqp_client)
        await broker.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(broker.stop()))
        await broker.when_up()
        return broker

    def ring_changed(self) -> None:
        changed, self.changed = self.changed, Deferred()
        changed.callback(None)

    async def publish(self, *numbers: int) -> None:
        key = notification_key("meter.values.updated")
        for number in numbers:
            await self.publisher.publish(EVENTS_EXCHANGE, key, message(note(number)))

    async def filled_to(self, count: int) -> list[str]:
        while len(self.ring) < count:
            await self.changed
        return [self.ring[position].id for position in range(self.ring.begin, self.ring.end)]

    async def became(self, state: BrokerState) -> None:
        happened: Deferred[None] = Deferred()

        def listener(new: BrokerState) -> None:
            if new is state and not happened.called:
                happened.callback(None)

        self.consumer.on_state(listener)
        await happened

    async def test_history_then_live_then_what_a_cut_hid_each_once_and_in_order(self) -> None:
        await self.publish(0, 1, 2)
        self.feed.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.feed.stop()))
        self.assertTrue(await self.feed.follow())
        await self.publish(3, 4)
        self.assertEqual(await self.filled_to(5), [f"event-{number}" for number in range(5)])

        down = Deferred.fromCoroutine(self.became(BrokerState.DOWN))
        port = self.listening.getHost().port
        await self.listening.stopListening()
        self.proxy.cut()
        await down
        await self.publish(5, 6, 7)
        up = Deferred.fromCoroutine(self.became(BrokerState.UP))
        self.listening = reactor.listenTCP(port, self.proxy, interface="127.0.0.1")
        await up
        await self.publish(8, 9)
        self.assertEqual(await self.filled_to(10), [f"event-{number}" for number in range(10)])

    async def test_it_knows_when_an_event_was_told(self) -> None:
        told_at = datetime.now(UTC) - timedelta(minutes=1)
        key = notification_key("meter.values.updated")
        await self.publisher.publish(EVENTS_EXCHANGE, key, replace(message(note(0)), timestamp=told_at))
        self.feed.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.feed.stop()))
        await self.feed.follow()
        await self.filled_to(1)
        self.assertLessEqual(abs(self.ring[0].told_at_s - told_at.timestamp()), 1.0)
        self.assertEqual(self.ring.resume_at("event-0", "of-another"), 0)


class FeedByTxamqpTest(FeedFromRabbitTest):
    amqp_client = "txamqp"
