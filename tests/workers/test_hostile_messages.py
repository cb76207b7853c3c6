"""Whatever is published straight to a queue of csms stops no worker; what cannot be handled is a dead letter, alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

from twisted.internet import reactor

from csms.broker.amqp import AmqpBroker
from csms.broker.dead_letters import AmqpDeadLetters
from csms.broker.factory import open_broker
from csms.broker.memory import MemoryBroker
from csms.config.settings import WebhookSettings
from csms.domain.model import Session
from csms.domain.topology import ANALYTICS, CHARGING_EVENTS, NOTIFICATIONS, shard_of, shard_queues, topology
from csms.ports import Broker, DeadLetter, Message
from csms.workers.rollup import hour_of
from tests.servers import drop_vhost, rabbitmq_url
from tests.workers import calls, hostile_bodies, places
from tests.workers.receiver import Receiver
from tests.workers.test_service import SHARDS, InstallationCase, until

SHARD = shard_queues(SHARDS)[shard_of("CP-1", SHARDS)]
QUEUES = (SHARD, CHARGING_EVENTS, NOTIFICATIONS, ANALYTICS)


class HostileMessages(InstallationCase):
    """What holds with every broker and database."""

    timeout = 120

    async def dead_letters(self) -> Mapping[str, str]:
        """Message id -> reason."""
        raise NotImplementedError

    async def test_they_stop_no_worker_and_take_nothing_with_them(self) -> None:
        # Of what is given up; cleanups run backwards, so this comes after the workers' end.
        self.addCleanup(self.flushLoggedErrors)
        receiver = Receiver()
        self.addCleanup(receiver.close)
        self.webhooks = (WebhookSettings(name="erp", url=receiver.url(), allow_private=True),)
        workers = await self.run_workers(batch_size=50)
        first = await self.session_of(await self.charge())
        sent = self.flood(first.id)
        reply = await self.call(calls.start(self.charger, connector=2))
        assert reply.payload is not None
        second = await self.session_of(reply.payload["transactionId"])
        await self.send(calls.stop(self.charger, int(second.transaction_id or 0), at=calls.BEGIN, meter_wh=2000))
        # Whatever came before in a queue has been dealt with when these have had their effects.
        await until(lambda: any(self.told_of(second.id, request.body) for request in receiver.requests))
        await until(lambda: self.summarised(second.id))
        await until(self.counted_twice)
        unreadable = {name for name in sent if name.split(" | ")[1] in hostile_bodies.NO_JSON}
        dead: dict[str, str] = {}
        while unreadable - dead.keys():
            dead.update(await self.dead_letters())
        self.assertEqual(dead.keys() - sent, set())
        self.assertEqual({name for name, reason in dead.items() if not reason}, set())
        self.assertEqual(workers.ready_reason, "")

    async def session_of(self, transaction_id: int) -> Session:
        number = str(transaction_id)
        session = await self.read(lambda uow: uow.sessions.by_transaction(self.charger.id, number))
        assert session is not None
        return session

    def told_of(self, session_id: int, body: bytes) -> bool:
        told: dict[str, object] = json.loads(body)
        return told["type"] == "charging.stopped" and told["sessionId"] == session_id and told["eventId"] != "hostile"

    async def summarised(self, session_id: int) -> bool:
        return await self.read(lambda uow: uow.sessions.summary(session_id)) is not None

    async def counted_twice(self) -> bool:
        since = hour_of(calls.BEGIN)
        until_ = since + timedelta(hours=3)
        uses = await self.read(lambda uow: uow.analytics.use(self.charger.id, since=since, until=until_))
        return sum(use.sessions_ended for use in uses) >= 2

    def flood(self, session_id: int) -> set[str]:
        """Publish everything to every queue; the message ids."""
        notifications = dict(hostile_bodies.notifications("CP-1", self.charger.id, session_id))
        messages = dict(hostile_bodies.charger_messages("CP-1", self.charger.id, calls.GATEWAY))
        sent = set()
        for queue in QUEUES:
            own = messages if queue == SHARD else notifications
            for name, body in (hostile_bodies.NO_JSON | own).items():
                sent.add(f"{queue} | {name}")
                self.publish(queue, Message(body=body, message_id=f"{queue} | {name}"))
        return sent

    def publish(self, queue: str, message: Message) -> None:
        self.broker.publish("", queue, message, deadline_s=60.0)


class HostileMessagesInMemory(HostileMessages):
    """The embedded broker and SQLite."""

    __test__ = True

    async def open(self) -> None:
        self.database = await places.sqlite(self)
        self.broker = MemoryBroker(topology(SHARDS), clock=reactor, store_dead_letter=self.bury, consumed_queues=QUEUES)
        await self.start_broker(self.broker)

    async def bury(self, letter: DeadLetter) -> None:
        self.dead.append(letter)

    async def dead_letters(self) -> Mapping[str, str]:
        return {letter.message.message_id: letter.reason for letter in self.dead}


class HostileMessagesOverAmqp(HostileMessages):
    """RabbitMQ and PostgreSQL."""

    __test__ = True

    async def open(self) -> None:
        self.database = await places.postgresql(self)
        url = rabbitmq_url()
        self.addCleanup(drop_vhost, url)
        self.broker: Broker = open_broker(url, shards=SHARDS, reactor=reactor)
        await self.start_broker(self.broker)
        await self.broker.when_up()

    async def dead_letters(self) -> Mapping[str, str]:
        assert isinstance(self.broker, AmqpBroker)
        letters = await AmqpDeadLetters(self.broker).browse(2000)
        return {letter.id: letter.reason for letter in letters}
