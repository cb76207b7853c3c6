"""A RabbitMQ that is killed, paused, or has an alarm: what both AMQP clients do about it. One server, all at once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from csms.broker.factory import open_broker
from csms.domain.topology import OCPP_EXCHANGE
from csms.ports import Broker, BrokerState, PublishTimeout
from tests.broker.contract_broker import KEY, SHARDS
from tests.broker.inbox import Inbox, eventually, first_arrivals, message, outcomes
from tests.servers import RabbitMQ
from tests.servers.shared import RUN_DIRECTORY

CLIENTS = ("pika", "txamqp")


class Outages(TestCase):
    timeout = 90
    server: ClassVar[RabbitMQ]

    @classmethod
    def setUpClass(cls) -> None:
        directory = Path(tempfile.mkdtemp(dir=os.environ.get(RUN_DIRECTORY)))
        cls.server = RabbitMQ(directory / "rabbitmq")
        cls.server.start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.kill()

    def clients(self) -> list[Broker]:
        """A broker by each client, each with a vhost of its own, not started."""
        brokers: list[Broker] = []
        for client in CLIENTS:
            broker = open_broker(
                self.server.new_vhost(), shards=SHARDS, amqp_client=client, heartbeat_s=5, reactor=reactor
            )
            brokers.append(broker)
            self.addCleanup(_stop, broker)
        return brokers

    async def started(self) -> list[Broker]:
        """Both, and up."""
        brokers = self.clients()
        for broker in brokers:
            await broker.start()
        for broker in brokers:
            await broker.when_up()
        return brokers

    def numbered(self, broker: Broker, begin: int, end: int, deadline_s: float = 60.0) -> list[Deferred[None]]:
        """Publish m<begin> .. m<end - 1>."""
        published = []
        for number in range(begin, end):
            waiting = broker.publish(OCPP_EXCHANGE, KEY, message(f"m{number:05}"), deadline_s=deadline_s)
            assert isinstance(waiting, Deferred)
            published.append(waiting)
        return published

    async def test_a_killed_broker_loses_nothing_and_who_came_meanwhile_waits_for_it(self) -> None:
        brokers, latecomers = await self.started(), self.clients()
        sent = [self.numbered(broker, 0, 4000) for broker in brokers]
        for published in sent:
            await published[500]
        await deferToThread(self.server.kill)
        for broker, published in zip(brokers, sent, strict=True):
            await eventually(_is(broker, BrokerState.DOWN))
            published += self.numbered(broker, 4000, 4100)
        inboxes = [Inbox() for _ in latecomers]
        early = []
        for broker, inbox in zip(latecomers, inboxes, strict=True):
            await broker.start()
            await broker.consume("ocpp_messages.0", inbox, prefetch=10)
            early += self.numbered(broker, 0, 5)
            self.assertIs(broker.state, BrokerState.DOWN)
        await deferToThread(self.server.start)
        expected = [f"m{number:05}" for number in range(4100)]
        for broker, published in zip(brokers, sent, strict=True):
            self.assertEqual(await outcomes(published), [None] * 4100)
            inbox = Inbox()
            await broker.consume("ocpp_messages.0", inbox, prefetch=1000)
            await inbox.has_ids(expected)
            self.assertEqual(first_arrivals(inbox.ids), expected)
        self.assertEqual(await outcomes(early), [None] * 10)
        for inbox in inboxes:
            await inbox.has_ids(expected[:5])

    async def test_an_alarm_blocks_and_its_end_lets_everything_through_in_order(self) -> None:
        brokers = await self.started()
        await deferToThread(self.server.control, "set_vm_memory_high_watermark", "absolute", "1MB")
        # The broker tells a connection only when it publishes.
        waiting = [self.numbered(broker, 0, 300) for broker in brokers]
        for broker in brokers:
            await eventually(_is(broker, BrokerState.BLOCKED))
            self.assertIn("memory", broker.reason)
        impatient = [broker.publish(OCPP_EXCHANGE, KEY, message("late"), deadline_s=0.2) for broker in brokers]
        self.assertEqual(await outcomes(impatient), [PublishTimeout] * 2)
        for broker in brokers:
            depths = await broker.depths()
            self.assertEqual(depths["dead_letter_queue"], 0)
        await deferToThread(self.server.control, "set_vm_memory_high_watermark", "0.4")
        for broker, published in zip(brokers, waiting, strict=True):
            self.assertEqual(await outcomes(published), [None] * 300)
            await broker.when_up()
            inbox = Inbox()
            await broker.consume("ocpp_messages.0", inbox, prefetch=1000)
            expected = [f"m{number:05}" for number in range(300)]
            await inbox.has_ids(expected)
            self.assertEqual(first_arrivals(inbox.ids)[:300], expected)

    async def test_a_broker_that_hangs_is_found_out_by_the_deadline_and_forgiven(self) -> None:
        brokers = await self.started()
        self.server.pause()
        self.addCleanup(self.server.resume)
        begin = reactor.seconds()
        late = [broker.publish(OCPP_EXCHANGE, KEY, message("late"), deadline_s=0.5) for broker in brokers]
        less_late = [broker.publish(OCPP_EXCHANGE, KEY, message("less"), deadline_s=1.5) for broker in brokers]
        self.assertEqual(await outcomes(late), [PublishTimeout] * 2)
        self.assertLess(reactor.seconds() - begin, 5.0)
        for one in less_late:
            assert isinstance(one, Deferred)
            self.assertFalse(one.called)
        self.assertEqual(await outcomes(less_late), [PublishTimeout] * 2)
        patient = [broker.publish(OCPP_EXCHANGE, KEY, message("patient"), deadline_s=30.0) for broker in brokers]
        self.server.resume()
        self.assertEqual(await outcomes(patient), [None] * 2)


def _stop(broker: Broker) -> Deferred[None]:
    return Deferred.fromCoroutine(broker.stop())


def _is(broker: Broker, state: BrokerState) -> Callable[[], Deferred[bool]]:
    async def asked() -> bool:
        return broker.state is state

    return lambda: Deferred.fromCoroutine(asked())
