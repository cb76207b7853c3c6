"""Stand-ins that keep the ports' promises: a database in a dict, a broker whose state a test can set, a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail

from csms.broker.memory import MemoryBroker
from csms.domain import topology
from csms.domain.device_records import SecurityEvent
from csms.domain.messages import ChargerMessage, Notification, Reply, decode, encode, encode_notification
from csms.domain.model import Charger
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.domain.retention import Retention
from csms.domain.topology import EVENTS_EXCHANGE, notification_key
from csms.ports import BrokerState, DatabaseUnavailable, Delivery, Message, PublishTimeout, Unroutable
from tests.domain.memory_commands import MemoryCommands

T = TypeVar("T")
TIMEOUT_S = 8.0
SHARDS = 2


class Rows:
    """The part of a unit of work that gateways use, over a dict."""

    def __init__(self) -> None:
        self.by_id: dict[str, Charger] = {}
        self.notifications: list[Notification] = []
        self.beats: list[tuple[str, datetime]] = []
        self.commands = MemoryCommands()
        self.revoked_fingerprints: set[str] = set()
        self.chargers = self.outbox = self.gateways = self.issued_certificates = self
        self.devices = self.security_events = self
        self.kept_events: list[SecurityEvent] = []

    def by_device_id(self, device_id: str) -> Charger | None:
        return self.by_id.get(device_id)

    def by_device_ids(self, device_ids: Iterable[str]) -> Mapping[str, Charger]:
        return {device_id: self.by_id[device_id] for device_id in device_ids if device_id in self.by_id}

    def connected_through(self, gateway: str) -> list[Charger]:
        return [charger for charger in self.by_id.values() if charger.connected and charger.gateway == gateway]

    def append(self, event: SecurityEvent) -> None:
        self.kept_events.append(event)

    def revoked(self, common_name: str) -> frozenset[str]:
        return frozenset(self.revoked_fingerprints)

    def alive(self, name: str, *, started_at: datetime, now: datetime) -> None:
        self.beats.append((name, now))

    def add(self, new: Any) -> Any:
        if not isinstance(new, Charger):
            self.notifications += new
            return [_row(number, one) for number, one in enumerate(new, start=1)]
        if new.device_id not in self.by_id:
            new.id = len(self.by_id) + 1
            self.by_id[new.device_id] = new
        return self.by_id[new.device_id]


class FakeDatabase:
    """A database that can be away, and slow."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.away = False
        self.reads = 0
        self.slow: Deferred[None] | None = None
        """Work waits for it."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def maintain(self, now: datetime, kept: Retention, *, enough: Callable[[], bool] = lambda: False) -> None: ...

    async def transact(self, work: Callable[[UnitOfWork], T], *, name: str) -> T:
        if self.slow is not None:
            waiter: Deferred[None] = Deferred()
            self.slow.addBoth(lambda _: waiter.callback(None))
            await waiter
        if self.away:
            raise DatabaseUnavailable("away")
        return work(cast(UnitOfWork, self.rows))

    async def read(self, work: Callable[[UnitOfWork], T], *, name: str) -> T:
        self.reads += 1
        return await self.transact(work, name=name)


class StagedBroker(MemoryBroker):
    """The memory broker; a test says when it is away or blocked, as a real one is."""

    def __init__(self) -> None:
        super().__init__(topology.topology(SHARDS), clock=reactor)
        self.published: list[tuple[str, str, Message]] = []
        self.unroutable = 0
        """So many of the next publishes are returned."""

    def become(self, state: BrokerState) -> None:
        """Change the state."""
        self._set_state(state, "" if state is BrokerState.UP else "as staged")

    def publish(
        self, exchange: str, routing_key: str, message: Message, *, deadline_s: float = 8.0, mandatory: bool = True
    ) -> Deferred[None]:
        self.published.append((exchange, routing_key, message))
        if self.unroutable:
            self.unroutable -= 1
            return fail(Unroutable("as staged"))
        if self.state is BrokerState.UP:
            return super().publish(exchange, routing_key, message, deadline_s=deadline_s, mandatory=mandatory)
        never: Deferred[None] = Deferred()
        never.addTimeout(deadline_s, reactor, lambda *_: _late())
        return never


def _late() -> None:
    raise PublishTimeout("no confirm in time")


class FakeWorker:
    """Takes chargers' messages from the shards. ``holds``: it does not ack, so the broker does not confirm."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.holds = False
        self.answers: dict[str, dict[str, Any]] = {}
        """action -> payload of the Reply."""
        self.messages: list[ChargerMessage] = []
        self.reply_to: dict[str, str] = {}
        """Where the last message of each type wants its reply."""
        self.headers: list[dict[str, Any]] = []
        self._broker = broker
        self._held: list[Delivery] = []
        self._waiting: list[tuple[str, Deferred[None]]] = []

    async def start(self) -> None:
        for queue in topology.shard_queues(SHARDS):
            await self._broker.consume(queue, self._delivered, prefetch=1000)

    def _delivered(self, delivery: Delivery) -> None:
        message = decode(ChargerMessage, delivery.message.body)
        self.messages.append(message)
        self.reply_to[message.message_type] = delivery.message.reply_to
        self.headers.append(dict(delivery.message.headers))
        if self.holds:
            self._held.append(delivery)
        else:
            delivery.ack()
        if message.message_type in self.answers:
            self.reply(message, payload=self.answers[message.message_type])
        due = [item for item in self._waiting if item[0] == message.message_type]
        for item in due:
            self._waiting.remove(item)
            item[1].callback(None)

    def reply(self, message: ChargerMessage, **decision: Any) -> None:
        """Send a decision about ``message``."""
        reply = Reply(message_id=message.message_id, connection_id=message.connection_id, **decision)
        self.send(message.gateway, reply)

    def send(self, gateway: str, reply: Reply) -> None:
        body = Message(body=encode(reply), message_id=f"{reply.message_id}.reply", type="Reply", persistent=False)
        self._broker.publish("", topology.gateway_queue(gateway), body, mandatory=False).addErrback(lambda _: None)

    def confirm(self) -> None:
        """Ack what was held."""
        held, self._held = self._held, []
        for delivery in held:
            delivery.ack()

    def types(self) -> list[str]:
        """The actions that came, connections' own messages left out."""
        return [m.message_type for m in self.messages if not m.message_type.startswith("Connection")]

    def of(self, action: str) -> list[ChargerMessage]:
        return [message for message in self.messages if message.message_type == action]

    async def came(self, action: str, count: int = 1) -> ChargerMessage:
        """Wait until ``count`` messages of this type came; the last of them."""
        while len(self.of(action)) < count:
            deferred: Deferred[None] = Deferred()
            self._waiting.append((action, deferred))
            await deferred.addTimeout(TIMEOUT_S, reactor)
        return self.of(action)[count - 1]


def _row(number: int, notification: Notification) -> OutboxRow:
    key, body = notification_key(notification.type), encode_notification(notification)
    return OutboxRow(id=number, exchange=EVENTS_EXCHANGE, event_id=notification.event_id, routing_key=key, body=body)
