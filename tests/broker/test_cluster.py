"""A cluster that loses a node, in three ways: what both AMQP clients do about it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from csms.broker import factory
from csms.broker import publisher as publisher_module
from csms.broker.factory import open_broker
from csms.domain.topology import COMMANDS_EXCHANGE, OCPP_EXCHANGE, shard_queues
from csms.ports import Broker, BrokerError, BrokerState, PublishTimeout
from tests.broker.contract_broker import KEY, SHARDS
from tests.broker.inbox import Inbox, eventually, first_arrivals, message, outcomes
from tests.servers import Cluster
from tests.servers.daemon import ServerFailed
from tests.servers.shared import RUN_DIRECTORY

CLIENTS = ("pika", "txamqp")
QUEUE = shard_queues(SHARDS)[0]


class Clustered(TestCase):
    timeout = 150
    cluster: ClassVar[Cluster]

    @classmethod
    def setUpClass(cls) -> None:
        cls.cluster = Cluster(Path(tempfile.mkdtemp(dir=os.environ.get(RUN_DIRECTORY))))
        cls.cluster.start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.cluster.kill()

    def setUp(self) -> None:
        try:
            self.cluster.revive()
            self.urls = [self.cluster.new_vhost() for _ in CLIENTS]
        except (OSError, ServerFailed):
            # RabbitMQ does not always get over the loss of a node, and that is not what is tested.
            self.cluster.kill()
            self.setUpClass()
            self.urls = [self.cluster.new_vhost() for _ in CLIENTS]
        self.patch(publisher_module, "STALLED_SWEEPS", 15)

    async def started(self, urls: list[str], *, first: int) -> list[Broker]:
        """A broker by each client, up, at the node number ``first`` of its URL."""
        self.patch(factory, "randrange", lambda _: first)
        brokers: list[Broker] = []
        for client, url in zip(CLIENTS, urls, strict=True):
            broker: Broker = open_broker(url, shards=SHARDS, amqp_client=client, heartbeat_s=5, reactor=reactor)
            brokers.append(broker)
            self.addCleanup(_stop, broker)
            await broker.start()
        for started in brokers:
            await started.when_up()
        return brokers

    def only(self, number: int) -> list[str]:
        """The URLs with one node alone."""
        node = self.cluster.nodes[number]
        return [
            urlsplit(url)._replace(netloc=f"guest:guest@127.0.0.1:{node.ports['amqp']}").geturl() for url in self.urls
        ]

    def numbered(self, broker: Broker, begin: int, end: int, deadline_s: float = 120.0) -> list[Deferred[None]]:
        """Publish m<begin> .. m<end - 1>."""
        published = []
        for number in range(begin, end):
            waiting = broker.publish(OCPP_EXCHANGE, KEY, message(f"m{number:05}"), deadline_s=deadline_s)
            assert isinstance(waiting, Deferred)
            published.append(waiting)
        return published

    async def test_who_is_at_a_node_that_hangs_goes_on_at_another_before_it_wakes(self) -> None:
        hung = self.cluster.nodes[1]
        await self.started(self.urls, first=0)
        brokers = await self.started(self.urls, first=1)
        hung.pause()
        try:
            for broker in brokers:
                self.assertEqual(await outcomes(self.numbered(broker, 0, 100)), [None] * 100)
        finally:
            hung.resume()

    async def test_who_is_at_a_node_that_lives_stays_there_while_another_hangs(self) -> None:
        brokers = await self.started(self.urls, first=0)
        inboxes = [Inbox() for _ in brokers]
        states: list[BrokerState] = []
        for broker, inbox in zip(brokers, inboxes, strict=True):
            await broker.declare_private("gateway.g1")
            await broker.consume("gateway.g1", inbox, prefetch=10)
            broker.on_state(states.append)
        hung = self.cluster.nodes[1]
        hung.pause()
        try:
            # What came of these shows when the node wakes or is given up.
            asked = [Deferred.fromCoroutine(broker.bind("gateway.g1", COMMANDS_EXCHANGE, "CP-1")) for broker in brokers]
            asked += [Deferred.fromCoroutine(_counted(broker)) for broker in brokers]
            answers = await outcomes(asked)
            self.assertEqual(answers[: len(brokers)], [BrokerError] * len(brokers), "nobody takes them for bound")
            for broker in brokers:
                self.assertEqual(await outcomes([broker.publish("", "gateway.g1", message("m1"))]), [None])
            self.assertEqual(states, [])
        finally:
            hung.resume()
        for broker, inbox in zip(brokers, inboxes, strict=True):
            await eventually(lambda broker=broker: _is_bound(broker))  # type: ignore[misc]
            await inbox.has_ids(["m1", "m2"])

    async def test_a_minority_confirms_nothing_and_who_is_there_goes_on_at_the_majority(self) -> None:
        lonely = await self.started(self.only(2), first=0)
        brokers = await self.started(self.urls, first=2)
        await deferToThread(self.cluster.isolate, self.cluster.nodes[2])
        self.addCleanup(self.cluster.nodes[2].kill)
        refused = [broker.publish(OCPP_EXCHANGE, KEY, message("lonely"), deadline_s=4.0) for broker in lonely]
        for broker in brokers:
            self.assertEqual(await outcomes(self.numbered(broker, 0, 100)), [None] * 100)
        self.assertEqual(await outcomes(refused), [PublishTimeout] * 2)

    async def test_a_killed_leader_loses_nothing_and_its_clients_go_on_at_another_node_in_order(self) -> None:
        brokers = await self.started(self.urls, first=0)
        inboxes = [Inbox() for _ in brokers]
        for broker, inbox, url in zip(brokers, inboxes, self.urls, strict=True):
            self.assertIs(self.cluster.leader(unquote(urlsplit(url).path[1:]), QUEUE), self.cluster.nodes[0])
            await broker.consume(QUEUE, inbox, prefetch=50)
        sent = [self.numbered(broker, 0, 3000) for broker in brokers]
        for published in sent:
            await published[500]
        await deferToThread(self.cluster.nodes[0].kill)
        expected = [f"m{number:05}" for number in range(3000)]
        for broker, published, inbox in zip(brokers, sent, inboxes, strict=True):
            self.assertEqual(await outcomes(published), [None] * 3000)
            await inbox.has_ids(expected)
            self.assertEqual(first_arrivals(inbox.ids), expected)
            await eventually(lambda broker=broker: _is_up(broker))  # type: ignore[misc]


async def _counted(broker: Broker) -> None:
    with contextlib.suppress(BrokerError):
        await broker.depths()


async def _is_bound(broker: Broker) -> bool:
    return await outcomes([broker.publish(COMMANDS_EXCHANGE, "CP-1", message("m2"))]) == [None]


async def _is_up(broker: Broker) -> bool:
    return broker.state is BrokerState.UP


def _stop(broker: Broker) -> Deferred[None]:
    return Deferred.fromCoroutine(broker.stop())
