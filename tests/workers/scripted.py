"""A broker and a database that do what the test says: deliveries, confirms and answers come when told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from csms.domain.retention import Retention
from csms.ports import BrokerError, BrokerState, Delivery, Message


@dataclass(eq=False)
class ScriptedDelivery:
    """A delivery that notes its outcome."""

    message: Message
    routing_key: str
    journal: list[str]
    generation: int = 1
    redelivered: bool = False
    awaited: bool = False
    outcome: str = ""

    def ack(self) -> None:
        self._settle("ack")

    def requeue(self) -> None:
        self._settle("requeue")

    def _settle(self, outcome: str) -> None:
        assert not self.outcome, f"{self.message.message_id} was settled before: {self.outcome}"
        self.outcome = outcome
        self.journal.append(f"{outcome} {self.message.message_id}")


@dataclass
class Publish:
    """Something published."""

    exchange: str
    routing_key: str
    message: Message
    mandatory: bool
    confirm: Deferred[None]


@dataclass
class ScriptedConsumer:
    """A subscription."""

    broker: ScriptedBroker
    queue: str
    on_delivery: Callable[[Delivery], None]
    prefetch: int
    cancelled: bool = False
    deliveries: list[ScriptedDelivery] = field(default_factory=list)

    async def cancel(self) -> None:
        self.cancelled = True
        self.broker.journal.append(f"cancel {self.queue}")
        for delivery in self.deliveries:
            if not delivery.outcome:
                delivery.requeue()


@dataclass
class ScriptedBroker:
    """Implements :class:`csms.ports.Broker` as far as workers use it."""

    state: BrokerState = BrokerState.UP
    reason: str = ""
    journal: list[str] = field(default_factory=list)
    consumers: list[ScriptedConsumer] = field(default_factory=list)
    published: list[Publish] = field(default_factory=list)
    errors: list[BrokerError] = field(default_factory=list)
    """What the next publishes fail with."""
    hold_confirms: bool = False
    _when_up: list[Deferred[None]] = field(default_factory=list)

    async def start(self) -> None:
        """It is there."""

    async def stop(self) -> None:
        """It stays."""

    def on_state(self, listener: Callable[[BrokerState], None]) -> None:
        """Nobody is told."""

    async def when_up(self) -> None:
        """Wait for :meth:`rise`, unless it is."""
        if self.state is not BrokerState.UP:
            up: Deferred[None] = Deferred(self._when_up.remove)
            self._when_up.append(up)
            await up

    def rise(self) -> None:
        """Be up."""
        self.state = BrokerState.UP
        waiting, self._when_up = self._when_up, []
        for deferred in waiting:
            deferred.callback(None)

    def publish(
        self, exchange: str, routing_key: str, message: Message, *, deadline_s: float = 8.0, mandatory: bool = True
    ) -> Awaitable[None]:
        if self.errors:
            return fail(self.errors.pop(0))
        confirm: Deferred[None] = Deferred() if self.hold_confirms else succeed(None)
        self.published.append(Publish(exchange, routing_key, message, mandatory, confirm))
        return confirm

    async def consume(
        self, queue: str, on_delivery: Callable[[Delivery], None], *, prefetch: int, since: datetime | None = None
    ) -> ScriptedConsumer:
        consumer = ScriptedConsumer(self, queue, on_delivery, prefetch)
        self.consumers.append(consumer)
        return consumer

    async def declare_private(self, queue: str) -> None:
        raise NotImplementedError

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        raise NotImplementedError

    async def unbind(self, queue: str, exchange: str, routing_key: str) -> None:
        raise NotImplementedError

    async def depths(self) -> Mapping[str, int]:
        raise NotImplementedError

    def deliver(self, message: Message, *, routing_key: str = "key", generation: int = 1) -> ScriptedDelivery:
        """Hand a message to the newest consumer."""
        delivery = ScriptedDelivery(message, routing_key, self.journal, generation)
        self.consumers[-1].deliveries.append(delivery)
        self.consumers[-1].on_delivery(delivery)
        return delivery


class SilentDatabase:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.writing: list[Deferred[Any]] = []
        self.reading: list[Deferred[Any]] = []

    async def transact(self, work: Callable[..., Any], *, name: str) -> Any:
        self.writing.append(Deferred())
        return await self.writing[-1]

    async def read(self, work: Callable[..., Any], *, name: str) -> Any:
        self.reading.append(Deferred())
        return await self.reading[-1]

    async def maintain(self, now: datetime, kept: Retention, *, enough: Callable[[], bool] = lambda: False) -> None:
        raise NotImplementedError
