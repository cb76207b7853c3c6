"""The broker over AMQP, whichever library speaks it: two connections, each kept up, one to publish, one to consume.

An alarm makes RabbitMQ stop reading from connections that publish: acks must not wait behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from csms.broker.address import Address
from csms.broker.line import Line
from csms.broker.publisher import Publisher
from csms.broker.subscription import Subscription
from csms.broker.wire import Channel, ChannelListener, Connect, Connection, Received
from csms.coroutines import spawn
from csms.domain.topology import PRIVATE_QUEUE_ARGUMENTS, Topology
from csms.ports import BrokerError, BrokerState, Consumer, Delivery, Message

T = TypeVar("T")
_log = Logger(namespace="csms.broker")

STOP_TIMEOUT_S = 10.0
PROBE_TIMEOUT_S = 6.0
REQUESTS_AT_ONCE = 100
"""Bindings and the like between two questions whether they are done."""
STREAM_AGAIN_S = 1.0
"""A node that has just come back serves queues before it has its replica of a stream, and refuses who asks for it."""
_NOT_FOUND = "404"


class AmqpBroker:
    """RabbitMQ (see :class:`csms.ports.Broker`)."""

    def __init__(
        self,
        publish_to: Sequence[Address],
        consume_from: Sequence[Address],
        connect: Connect,
        topology: Topology,
        clock: IReactorTime,
        *,
        declare: bool = True,
    ) -> None:
        """``declare``: whether to make the topology, or only to look whether its queues are there."""
        self._declares = declare
        self._topology = topology
        self._clock = clock
        self._publisher = Publisher(clock, self._publisher_stalls)
        self._publish_line = Line(
            "publish", publish_to, connect, self._prepare_publish, self._publisher.detach, self._changed, clock
        )
        self._consume_line = Line(
            "consume", consume_from, connect, self._prepare_consume, self._release_consumers, self._changed, clock
        )
        self._is_cluster = len(publish_to) > 1
        self._declared = False
        self._control: Channel | None = None
        self._subscriptions: list[Subscription] = []
        self._refused: dict[Subscription, IDelayedCall] = {}
        """Of a stream, until they are tried again."""
        self._private_queues: dict[str, None] = {}
        self._bindings: dict[tuple[str, str, str], None] = {}
        self._asked: list[tuple[Callable[[Channel], None], Deferred[None]]] = []
        """Requests that are not made yet, and who waits for them."""
        self._asking = False
        self._listeners: list[Callable[[BrokerState], None]] = []
        self._state = BrokerState.DOWN
        self._when_up: list[Deferred[None]] = []
        self._streams = frozenset(queue.name for queue in topology.queues if queue.is_stream)

    # --- life --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._publish_line.start()
        self._consume_line.start()

    async def stop(self) -> None:
        """Wait for confirms as long as the broker answers (bounded), give back what is held, close."""
        if self._publish_line.is_up:
            try:
                await self._publisher.when_empty().addTimeout(STOP_TIMEOUT_S, self._clock)
            except DeferredTimeout:
                _log.warn("stopping with {waiting} messages unconfirmed", waiting=self._publisher.waiting)
        self._publisher.close()
        for subscription in self._subscriptions:
            subscription.flush()
            self._forget_refusal(subscription)
        await self._publish_line.stop()
        await self._consume_line.stop()
        waiting, self._when_up = self._when_up, []
        for deferred in waiting:
            deferred.cancel()

    @property
    def state(self) -> BrokerState:
        """UP when both connections are and no alarm is on."""
        return self._state

    @property
    def reason(self) -> str:
        """Why not UP."""
        line = self._consume_line if self._publish_line.is_up else self._publish_line
        return line.reason or self._publish_line.blocked_reason

    def on_state(self, listener: Callable[[BrokerState], None]) -> None:
        """Call ``listener`` at every change."""
        self._listeners.append(listener)

    async def when_up(self) -> None:
        """Wait until UP."""
        if self._state is not BrokerState.UP:
            up: Deferred[None] = Deferred(self._when_up.remove)
            self._when_up.append(up)
            await up

    # --- messages ----------------------------------------------------------------------------------------------

    def publish(
        self, exchange: str, routing_key: str, message: Message, *, deadline_s: float = 8.0, mandatory: bool = True
    ) -> Deferred[None]:
        """Send, and have it confirmed (see the port)."""
        return self._publisher.publish(exchange, routing_key, message, deadline_s=deadline_s, mandatory=mandatory)

    async def consume(
        self, queue: str, on_delivery: Callable[[Delivery], None], *, prefetch: int, since: datetime | None = None
    ) -> Consumer:
        """Subscribe now if the broker is there, and anew after every reconnection."""
        subscription = Subscription(
            queue,
            on_delivery,
            prefetch=prefetch,
            since=since,
            is_stream=queue in self._streams,
            clock=self._clock,
            cancelled=self._cancelled,
        )
        self._subscriptions.append(subscription)
        await self._if_up(lambda connection: Deferred.fromCoroutine(self._subscribe(connection, subscription)))
        return subscription

    # --- private queues ----------------------------------------------------------------------------------------

    async def declare_private(self, queue: str) -> None:
        """Declare now if the broker is there, and anew after every reconnection."""
        self._private_queues[queue] = None
        await self._ask(lambda channel: channel.declare_queue(queue, PRIVATE_QUEUE_ARGUMENTS, private=True))

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Bind now if the broker is there, and anew after every reconnection."""
        self._bindings[queue, exchange, routing_key] = None
        await self._ask(lambda channel: channel.bind_queue(queue, exchange, routing_key, {}))

    async def unbind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Unbind now if the broker is there; do not bind after a reconnection."""
        if self._bindings.pop((queue, exchange, routing_key), self) is None:
            await self._ask(lambda channel: channel.unbind_queue(queue, exchange, routing_key))

    async def depths(self) -> Mapping[str, int]:
        """Messages waiting in each queue of the topology. Raises BrokerError when the broker is away."""
        # A queue whose leader hangs is not counted, and that must cost nothing else.
        return await self._consume_line.call(lambda connection: _apart(connection, self._counted), vital=False)

    async def borrow(self, queue: str) -> Borrowed:
        """Look into ``queue`` by taking messages out of it for a while. Raises BrokerError when the broker is away."""
        channel = await self._consume_line.call(lambda connection: connection.open_channel(None))
        return Borrowed(self._consume_line, channel, queue)

    # --- inside ------------------------------------------------------------------------------------------------

    async def _prepare_publish(self, connection: Connection) -> None:
        channel = await connection.open_channel(self._publisher)
        if self._declares and self._is_cluster and self._declared:
            # While one of its nodes hangs, a cluster takes messages, but for up to a minute no declarations.
            spawn(self._declare_again(connection, streams=False), "topology again")
        elif self._declares:
            self._declare(channel)
        channel.select_confirms()
        await channel.sync()
        self._declared = True
        self._publisher.attach(channel)

    async def _declare_again(self, connection: Connection, *, streams: bool) -> None:
        """On a channel of its own, and nobody waits for it."""

        def declare(channel: Channel) -> Deferred[None]:
            self._declare(channel)
            return channel.sync()

        await _apart(connection, declare)
        if streams:
            await self._declare_streams(connection)

    async def _prepare_consume(self, connection: Connection) -> None:
        control = await connection.open_channel(None)
        if self._declares and self._is_cluster and self._declared:
            spawn(self._declare_again(connection, streams=True), "topology again")
        elif self._declares:
            self._declare(control)
            await control.sync()
            await self._declare_streams(connection)
        else:
            await self._counted(control)  # RabbitMQ names the queue that is missing
        self._control = control
        await self._restore(connection, control)

    async def _restore(self, connection: Connection, control: Channel) -> None:
        """Private queues, bindings and consumers as they are wanted, until nothing is left to do.

        What is asked for while this is under way is only noted, so it has to look again after every wait.
        """
        declared: set[str] = set()
        bound: set[tuple[str, str, str]] = set()
        subscribed: list[Subscription] = []
        while True:
            queues = [queue for queue in self._private_queues if queue not in declared]
            missing = [binding for binding in self._bindings if binding not in bound]
            unwanted = [binding for binding in bound if binding not in self._bindings]
            subscriptions = [one for one in self._subscriptions if one not in subscribed]
            if queues or missing or unwanted:
                for queue in queues:
                    control.declare_queue(queue, PRIVATE_QUEUE_ARGUMENTS, private=True)
                for queue, exchange, routing_key in missing:
                    control.bind_queue(queue, exchange, routing_key, {})
                for queue, exchange, routing_key in unwanted:
                    control.unbind_queue(queue, exchange, routing_key)
                declared.update(queues)
                bound = bound.union(missing).difference(unwanted)
                await control.sync()
            elif subscriptions:
                subscribed.append(subscriptions[0])
                await self._subscribe(connection, subscriptions[0])
            else:
                return

    def _counted(self, channel: Channel) -> Deferred[dict[str, int]]:
        """Messages waiting in each queue but the streams."""
        names = [queue.name for queue in self._topology.queues if not queue.is_stream]
        counted: Deferred[list[int]] = gatherResults([channel.depth(name) for name in names], consumeErrors=True)
        return counted.addCallback(lambda depths: dict(zip(names, depths, strict=True)))

    def _declare(self, channel: Channel) -> None:
        """Everything but the streams."""
        for exchange in self._topology.exchanges:
            channel.declare_exchange(exchange.name, exchange.kind)
        for queue in self._topology.queues:
            if not queue.is_stream:
                channel.declare_queue(queue.name, queue.arguments, private=False)
        for binding in self._topology.bindings:
            bind = channel.bind_exchange if binding.to_exchange else channel.bind_queue
            if binding.target not in self._streams:
                bind(binding.target, binding.source, binding.routing_key, binding.arguments)

    async def _declare_streams(self, connection: Connection) -> None:
        """A stream only spares browsers a reload: one that is out of order must not stop the chargers.

        RabbitMQ 3.10 that is killed in the second of a stream's first declaration never gets it back.
        """

        def declare(channel: Channel) -> None:
            for queue in self._topology.queues:
                if queue.is_stream:
                    channel.declare_queue(queue.name, queue.arguments, private=False)
            for binding in self._topology.bindings:
                if binding.target in self._streams:
                    channel.bind_queue(binding.target, binding.source, binding.routing_key, binding.arguments)

        refusal, channel = await self._attempt(connection, None, declare)
        channel.close()
        if refusal.startswith(_NOT_FOUND):
            # It is there, and its node is not yet: it will be read when it is.
            _log.warn("the stream has to wait: {refusal}", refusal=refusal)
        elif refusal:
            _log.error("going on without the stream: {refusal}", refusal=refusal)

    async def _attempt(
        self, connection: Connection, listener: ChannelListener | None, work: Callable[[Channel], None]
    ) -> tuple[str, Channel]:
        """Do ``work`` on a channel of its own: why the broker refused (or nothing), and the channel."""
        outcome: Deferred[str] = Deferred()

        def refused(reason: str) -> None:
            if outcome.called:
                self._consume_line.drop(reason)
            else:
                outcome.callback(reason)

        channel = await connection.open_channel(listener, refused)
        work(channel)
        channel.sync().addCallback(lambda _: outcome.callback("") if not outcome.called else None)
        return await outcome, channel

    async def _subscribe(self, connection: Connection, subscription: Subscription) -> None:
        if subscription.is_stream:
            refusal, channel = await self._attempt(connection, subscription, subscription.attach)
            if refusal:
                subscription.detach()
                _log.warn("no messages from {queue} for now: {refusal}", queue=subscription.queue, refusal=refusal)
                self._forget_refusal(subscription)
                if subscription in self._subscriptions:
                    self._refused[subscription] = self._clock.callLater(
                        STREAM_AGAIN_S, self._subscribe_again, connection, subscription
                    )
        else:
            channel = await connection.open_channel(subscription)
            subscription.attach(channel)
            await channel.sync()
        if subscription.cancelled:
            channel.close()

    def _subscribe_again(self, refused_by: Connection, subscription: Subscription) -> None:
        del self._refused[subscription]

        async def subscribe(connection: Connection) -> None:
            if connection is refused_by:  # a new one has asked for everything anew
                await self._subscribe(connection, subscription)

        spawn(self._if_up(lambda connection: Deferred.fromCoroutine(subscribe(connection))), "subscription again")

    def _forget_refusal(self, subscription: Subscription) -> None:
        again = self._refused.pop(subscription, None)
        if again is not None:
            again.cancel()

    async def _cancelled(self, subscription: Subscription, channel: Channel | None) -> None:
        self._forget_refusal(subscription)
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        if channel is not None:
            await self._if_up(lambda connection: channel.close())

    async def _ask(self, request: Callable[[Channel], None]) -> None:
        """Have a request made and wait until it is done; what a reconnection would repeat anyway needs no wait."""
        if self._control is None or not self._consume_line.is_up:
            return
        done: Deferred[None] = Deferred()
        self._asked.append((request, done))
        if not self._asking:
            spawn(self._make_requests(), "requests to the broker")
        await done

    async def _make_requests(self) -> None:
        """Make all requests, many at once, with one question behind them that tells when they are done.

        When thousands of chargers come, a question for each would wait for thousands of answers one after the other,
        and one question for all might wait so long that the broker seemed to be lost.

        A cluster answers no declaration while one of its nodes hangs: it will, and the line serves all else.
        """
        self._asking = True
        try:
            while self._asked:
                made, self._asked = self._asked[:REQUESTS_AT_ONCE], self._asked[REQUESTS_AT_ONCE:]
                requests = [request for request, _ in made]
                try:
                    await self._if_up(partial(self._made, requests), vital=not self._is_cluster)
                except Exception as error:
                    for _, done in made:
                        done.errback(error)
                else:
                    for _, done in made:
                        done.callback(None)
        finally:
            self._asking = False

    def _made(self, requests: Sequence[Callable[[Channel], None]], _: Connection) -> Deferred[None]:
        control = self._controlled()
        for request in requests:
            request(control)
        return control.sync()

    async def _if_up(self, make: Callable[[Connection], Deferred[None]], *, vital: bool = True) -> None:
        if self._consume_line.is_up:
            try:
                await self._consume_line.call(make, vital=vital)
            except BrokerError as error:
                if not vital and self._consume_line.is_up:
                    raise
                _log.debug("left to the next connection: {error}", error=error)

    def _release_consumers(self) -> None:
        self._control = None
        for subscription in self._subscriptions:
            subscription.detach()

    def _publisher_stalls(self, reason: str) -> None:
        # Heartbeats may go on: a node that has lost its cluster still speaks.
        self._publish_line.drop(reason)
        spawn(self._probe(), "probe of the broker")

    async def _probe(self) -> None:
        """Give the consumers' connection up, too, if it does not answer: its heartbeats would take half a minute."""
        if self._consume_line.is_up:
            with suppress(BrokerError):
                await self._consume_line.call(
                    lambda connection: _apart(connection, lambda channel: channel.sync()), timeout_s=PROBE_TIMEOUT_S
                )

    def _controlled(self) -> Channel:
        if self._control is None or not self._consume_line.is_up:
            raise BrokerError(self.reason or "not connected")
        return self._control

    def _changed(self) -> None:
        """A line went up, down or was blocked."""
        self._publisher.set_blocked(bool(self._publish_line.blocked_reason))
        if not (self._publish_line.is_up and self._consume_line.is_up):
            state = BrokerState.DOWN
        else:
            state = BrokerState.BLOCKED if self._publish_line.blocked_reason else BrokerState.UP
        if state is self._state:
            return
        self._state = state
        _log.info("broker is {state}: {reason}", state=state.value, reason=self.reason or "connected")
        for listener in tuple(self._listeners):
            listener(state)
        if state is BrokerState.UP:
            waiting, self._when_up = self._when_up, []
            for deferred in waiting:
                deferred.callback(None)


def _apart(connection: Connection, work: Callable[[Channel], Deferred[T]]) -> Deferred[T]:
    """Do ``work`` on a channel of its own, which what else is asked for does not wait for."""

    async def done() -> T:
        channel = await connection.open_channel(None)
        try:
            return await work(channel)
        finally:
            channel.close()

    return Deferred.fromCoroutine(done())


class Borrowed:
    """Messages taken out of a queue for a while; all go back to their old places at the end, but what was dropped."""

    def __init__(self, line: Line, channel: Channel, queue: str) -> None:
        self._line = line
        self._channel = channel
        self._queue = queue
        self._held: dict[int, None] = {}

    async def take(self) -> Received | None:
        """The next message; None when there is none left."""
        received = await self._line.call(lambda _: self._channel.get(self._queue))
        if received is not None:
            self._held[received.tag] = None
        return received

    def drop(self, received: Received) -> None:
        """This one shall not go back."""
        self._held.pop(received.tag, None)
        self._channel.ack(received.tag, multiple=False)

    async def end(self) -> None:
        """Give the rest back; a connection that is lost does so by itself.

        One by one, in order: what the end of a channel gives back, the queue gets only some time after the channel's
        close is confirmed, and whoever looks next would see younger letters first.
        """
        if self._line.is_up:
            for tag in self._held:
                self._channel.requeue(tag)
            await self._line.call(lambda _: self._channel.close())
