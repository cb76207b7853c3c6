"""The broker inside this process, for one process that does it all.

Its confirm means: every queue that somebody in this process consumes has had the message acked. So what was confirmed
is in the database, or was nobody's business here. It keeps no promise beyond the process, and needs none: what is
not confirmed is still with the charger, or in the outbox.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from csms.broker.memory_queues import Held, MemoryQueue, MemoryStream
from csms.broker.routing import Router
from csms.coroutines import spawn
from csms.domain.dead_letters import death_of
from csms.domain.topology import (
    DEAD_LETTER_QUEUE,
    OCPP_MESSAGES,
    PRIVATE_QUEUE_MAX_LENGTH,
    Binding,
    Topology,
)
from csms.ports import (
    BrokerError,
    BrokerState,
    Consumer,
    DeadLetter,
    Delivery,
    Message,
    PublishTimeout,
    Unroutable,
)

_log = Logger(namespace="csms.broker")

STREAM_LENGTH = 5000
"""Whoever reads the stream lives in this process and has everything since it began: little has to be read again."""
STOP_TIMEOUT_S = 10.0
SWEEP_S = 0.1
MAX_UNCONFIRMED = 50_000

StoreDeadLetter = Callable[[DeadLetter], Awaitable[None]]


class Unconfirmed:
    """A message whose publisher waits until ``missing`` queues are done with it."""

    __slots__ = ("copies", "deadline", "deferred", "missing")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        # One for the publisher itself, who is done when the message is in all of its queues.
        self.missing = 1
        self.copies: list[Held] = []
        self.deferred: Deferred[None] = Deferred()


class MemoryBroker:
    """The in-process broker (see :class:`csms.ports.Broker`)."""

    def __init__(
        self,
        topology: Topology,
        *,
        clock: IReactorTime,
        consumed_queues: Collection[str] = (),
        store_dead_letter: StoreDeadLetter | None = None,
        stream_length: int = STREAM_LENGTH,
        private_length: int = PRIVATE_QUEUE_MAX_LENGTH,
    ) -> None:
        self._clock = clock
        self._private_length = private_length
        self._router = Router(topology)
        self._store_dead_letter = store_dead_letter
        # A charger's message always waits for its worker; an event only if somebody here consumes it, ever.
        shards = {queue.name for queue in topology.queues if queue.name.startswith(OCPP_MESSAGES)}
        self._expected = shards | set(consumed_queues)
        self._queues: dict[str, MemoryQueue] = {}
        self._private: set[str] = set()
        for queue in topology.queues:
            if queue.is_stream:
                self._queues[queue.name] = MemoryStream(queue.name, self._wake, max_length=stream_length)
            elif queue.name != DEAD_LETTER_QUEUE:
                self._queues[queue.name] = MemoryQueue(
                    queue.name, self._wake, single_active=queue.single_active_consumer
                )
        self._next_position = 1
        self._unconfirmed: dict[int, Unconfirmed] = {}
        self._pump_call: IDelayedCall | None = None
        self._sweep_call: IDelayedCall | None = None
        self._state = BrokerState.DOWN
        self._reason = "not started"
        self._listeners: list[Callable[[BrokerState], None]] = []
        self._when_up: list[Deferred[None]] = []
        self._when_idle: list[Deferred[None]] = []

    # --- life --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """UP at once."""
        self._set_state(BrokerState.UP, "")

    async def stop(self) -> None:
        """Wait for outstanding confirms (bounded), then fail the rest."""
        if self._unconfirmed:
            idle: Deferred[None] = Deferred()
            self._when_idle.append(idle)
            try:
                await idle.addTimeout(STOP_TIMEOUT_S, self._clock)
            except DeferredTimeout:
                _log.warn("stopping with {count} messages unconfirmed", count=len(self._unconfirmed))
        self._set_state(BrokerState.DOWN, "stopped")
        for position in tuple(self._unconfirmed):
            self._fail(position, PublishTimeout("stopped before every consumer had acked"))
        for call in (self._pump_call, self._sweep_call):
            if call is not None and call.active():
                call.cancel()
        waiting, self._when_up = self._when_up, []
        for deferred in waiting:
            deferred.cancel()

    @property
    def state(self) -> BrokerState:
        """UP from start to stop."""
        return self._state

    @property
    def reason(self) -> str:
        """Why not UP."""
        return self._reason

    def on_state(self, listener: Callable[[BrokerState], None]) -> None:
        """Call ``listener`` at every change."""
        self._listeners.append(listener)

    async def when_up(self) -> None:
        """Wait for the start."""
        if self._state is not BrokerState.UP:
            up: Deferred[None] = Deferred(self._when_up.remove)
            self._when_up.append(up)
            await up

    # --- messages ----------------------------------------------------------------------------------------------

    def publish(
        self, exchange: str, routing_key: str, message: Message, *, deadline_s: float = 8.0, mandatory: bool = True
    ) -> Deferred[None]:
        """Put ``message`` into its queues; fires when all of them are done with it."""
        unconfirmed = Unconfirmed(self._clock.seconds() + deadline_s)
        refusal = self._refusal(exchange)
        names = set() if refusal else self._router.route(exchange, routing_key, message.headers)
        if refusal or (mandatory and not names):
            unconfirmed.deferred.errback(refusal or Unroutable(f"no queue takes {exchange} {routing_key}"))
            return unconfirmed.deferred
        position = self._next_position
        self._next_position += 1
        self._unconfirmed[position] = unconfirmed
        for name in names:
            self._put(position, name, routing_key, message, unconfirmed)
        self._one_done(position)
        if self._sweep_call is None and self._unconfirmed:
            self._sweep_call = self._clock.callLater(SWEEP_S, self._sweep)
        return unconfirmed.deferred

    async def consume(
        self, queue: str, on_delivery: Callable[[Delivery], None], *, prefetch: int, since: datetime | None = None
    ) -> Consumer:
        """Subscribe."""
        if queue not in self._queues:
            raise BrokerError(f"no queue {queue}")
        self._expected.add(queue)
        return self._queues[queue].subscribe(on_delivery, prefetch, since, self._next_position)

    # --- private queues ----------------------------------------------------------------------------------------

    async def declare_private(self, queue: str) -> None:
        """A queue that takes without anybody's ack, and drops its oldest when it is full."""
        if queue not in self._queues:
            self._private.add(queue)
            self._queues[queue] = MemoryQueue(queue, self._wake, max_length=self._private_length)
            self._router.add_queue(queue)

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Bind a private queue."""
        self._router.bind(Binding(exchange, queue, routing_key))

    async def unbind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Undo :meth:`bind`."""
        self._router.unbind(Binding(exchange, queue, routing_key))

    async def depths(self) -> Mapping[str, int]:
        """Messages waiting in each queue of the topology."""
        return {
            name: queue.depth
            for name, queue in self._queues.items()
            if name not in self._private and not isinstance(queue, MemoryStream)
        }

    # --- inside ------------------------------------------------------------------------------------------------

    def _refusal(self, exchange: str) -> BrokerError | None:
        if self._state is not BrokerState.UP:
            return BrokerError(self._reason)
        if not self._router.knows(exchange):
            return Unroutable(f"no exchange {exchange}")
        if len(self._unconfirmed) >= MAX_UNCONFIRMED:
            return PublishTimeout(f"{MAX_UNCONFIRMED} messages wait for their consumers already")
        return None

    def _put(self, position: int, name: str, routing_key: str, message: Message, unconfirmed: Unconfirmed) -> None:
        if name == DEAD_LETTER_QUEUE:
            unconfirmed.missing += 1
            spawn(self._bury(position, message, unconfirmed), "store a dead letter")
            return
        queue = self._queues[name]
        keeps_by_itself = name in self._private or isinstance(queue, MemoryStream)
        if not keeps_by_itself and name not in self._expected:
            return
        held = Held(position, routing_key, message, datetime.now(UTC), None)
        if not keeps_by_itself:
            held.done = lambda: self._one_done(position)
            unconfirmed.missing += 1
            unconfirmed.copies.append(held)
        queue.put(held)

    async def _bury(self, position: int, message: Message, unconfirmed: Unconfirmed) -> None:
        death = death_of(message.headers)
        letter = DeadLetter(
            id=message.message_id,
            message=message,
            exchange=death.exchange,
            routing_key=death.routing_key,
            queue=death.queue,
            reason=death.reason,
            died_at=death.died_at,
        )
        if self._store_dead_letter is None:
            self._fail(position, BrokerError("this process has no place for dead letters"))
            return
        try:
            await self._store_dead_letter(letter)
        except Exception as error:
            _log.failure("dead letter {id} could not be stored", id=letter.id)
            self._fail(position, BrokerError(f"the dead letter could not be stored: {error}"))
        else:
            self._one_done(position)

    def _one_done(self, position: int) -> None:
        unconfirmed = self._unconfirmed.get(position)
        if unconfirmed is None:
            return
        unconfirmed.missing -= 1
        if not unconfirmed.missing:
            del self._unconfirmed[position]
            unconfirmed.deferred.callback(None)
            self._tell_idle()

    def _fail(self, position: int, error: BrokerError) -> None:
        unconfirmed = self._unconfirmed.pop(position, None)
        if unconfirmed is not None:
            for held in unconfirmed.copies:
                held.abandoned = True
            unconfirmed.deferred.errback(error)
            self._tell_idle()

    def _tell_idle(self) -> None:
        if self._when_idle and not self._unconfirmed:
            waiting, self._when_idle = self._when_idle, []
            for deferred in waiting:
                deferred.callback(None)

    def _wake(self) -> None:
        if self._pump_call is None:
            self._pump_call = self._clock.callLater(0, self._pump)

    def _pump(self) -> None:
        self._pump_call = None
        for queue in tuple(self._queues.values()):
            queue.pump()

    def _sweep(self) -> None:
        """One timer for all deadlines; it stops when nothing waits."""
        self._sweep_call = self._clock.callLater(SWEEP_S, self._sweep) if self._unconfirmed else None
        now = self._clock.seconds()
        late = [position for position, unconfirmed in self._unconfirmed.items() if unconfirmed.deadline <= now]
        for position in late:
            self._fail(position, PublishTimeout("not every consumer acked in time"))
        if late:
            for queue in self._queues.values():
                queue.forget_abandoned()

    def _set_state(self, state: BrokerState, reason: str) -> None:
        changed = state is not self._state
        self._state, self._reason = state, reason
        if not changed:
            return
        for listener in tuple(self._listeners):
            listener(state)
        if state is BrokerState.UP:
            waiting, self._when_up = self._when_up, []
            for deferred in waiting:
                deferred.callback(None)
