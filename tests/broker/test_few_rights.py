"""A user that may not declare: what is missing is named, and waited for."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from csms.broker.amqp import AmqpBroker
from csms.broker.factory import open_broker
from csms.ports import BrokerState
from tests.broker.inbox import eventually
from tests.servers import drop_vhost, rabbitmq_url


class PikaTests(TestCase):
    timeout = 60
    amqp_client = "pika"

    def setUp(self) -> None:
        self.url = rabbitmq_url()
        self.addCleanup(drop_vhost, self.url)

    async def started(self, *, declare: bool) -> AmqpBroker:
        broker = open_broker(self.url, shards=2, amqp_client=self.amqp_client, declare=declare, reactor=reactor)
        assert isinstance(broker, AmqpBroker)
        self.addCleanup(lambda: Deferred.fromCoroutine(broker.stop()))
        await broker.start()
        return broker

    async def test_a_missing_queue_is_named_and_waited_for(self) -> None:
        broker = await self.started(declare=False)

        async def named() -> bool:
            return "no queue 'ocpp_messages.0'" in broker.reason

        await eventually(named)
        self.assertIs(broker.state, BrokerState.DOWN)
        await (await self.started(declare=True)).when_up()
        await broker.when_up()
        self.assertEqual((await broker.depths())["ocpp_messages.0"], 0)


class TxAmqpTests(PikaTests):
    amqp_client = "txamqp"
