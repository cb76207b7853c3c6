"""Keeps the event ring filled: from the gateway's own queue, and from the stream with what that queue missed.

The own queue exists only while this process is connected. So at the start, and after every lost connection, the
stream tells what happened meanwhile; until it has, the queue's messages wait, unacked, so that the order stays right.
What comes by both ways is dropped by the ring.

The stream may be late: when its leader dies, an event of before our queue was bound may come into it after our mark.
So for a while the stream alone tells, and what the queue has brought waits until it has come by the stream, too: before
it, then, everything that its publisher has sent earlier has come. A connection that is lost meanwhile has a gap of its
own, and the reading begins anew.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.domain import topology
from csms.domain.identifiers import new_id
from csms.gateway.events import EventRing
from csms.ports import Broker, BrokerError, BrokerState, Consumer, Delivery, Message

PREFILL = timedelta(minutes=10)
"""How far back the first look at the stream goes."""
OVERLAP = timedelta(seconds=60)
"""After a lost connection the stream is read from this long before: the loss is noticed late, clocks differ."""
LONGEST_READING_S = 10.0
SETTLE_S = 15.0
"""How late the stream may be. A publisher that waits for it longer publishes anew, to our queue as well."""
MARK = "mark"
"""``type`` of a message that a gateway writes into the stream for itself."""
RETRY_S = 1.0
PREFETCH = 1000
MOST_HELD = 5 * PREFETCH
"""One connection holds back no more than its prefetch, but many may be lost before the stream is read."""

_log = Logger(namespace="csms.gateway")


class EventFeed:
    """Fills ``ring`` from ``start`` to ``stop``."""

    def __init__(
        self,
        broker: Broker,
        gateway: str,
        ring: EventRing,
        *,
        clock: IReactorTime,
        now: Callable[[], datetime],
    ) -> None:
        self._broker = broker
        self._queue = topology.gateway_events_queue(gateway)
        self._ring = ring
        self._clock = clock
        self._now = now
        self._consumer: Consumer | None = None
        self._running: Deferred[None] | None = None
        self._held: dict[str, Delivery] | None = {}
        """By event id, in order: what the queue has brought while the stream tells; None while the queue does."""
        self._lost_at: datetime | None = None
        self._loss: Deferred[None] | None = None
        self._reading: StreamReading | None = None
        self._ready: Deferred[None] = Deferred()

    @property
    def ready(self) -> bool:
        """Whether the ring was filled once since the start."""
        return self._ready.called

    async def when_ready(self) -> None:
        """Wait until ``ready``."""
        waiter: Deferred[None] = Deferred()
        self._ready.addCallback(waiter.callback)
        await waiter

    def start(self) -> None:
        """Begin; returns at once, whatever the broker does."""
        self._broker.on_state(self._state_changed)
        self._running = spawn(self._run(), "event feed")

    async def stop(self) -> None:
        """Take nothing more."""
        if self._running is not None:
            self._running.cancel()
            self._running = None
        if self._reading is not None:
            # The broker may take it amiss that its answer is not waited for, and we would go on.
            self._reading.end()
        if self._consumer is not None:
            await self._consumer.cancel()

    async def _run(self) -> None:
        since = self._now() - PREFILL
        self._ring.reaches_back_to(since.timestamp())
        await self._subscribe()
        while True:
            await self._broker.when_up()
            self._lost_at = None
            made_up_for = await self._fill(since)
            lost_at = await self._lost()
            if made_up_for:
                since = lost_at - OVERLAP
            self._held = self._held or {}

    async def _subscribe(self) -> None:
        while self._consumer is None:
            await self._broker.when_up()
            try:
                await self._broker.declare_private(self._queue)
                await self._broker.bind(self._queue, topology.EVENTS_EXCHANGE, topology.ALL_NOTIFICATIONS)
                self._consumer = await self._broker.consume(self._queue, self._delivered, prefetch=PREFETCH)
            except BrokerError as error:
                _log.warn("no events for browsers yet: {reason}", reason=str(error))
                await deferLater(self._clock, RETRY_S)

    async def _lost(self) -> datetime:
        """Wait until the connection to the broker is lost; when that was."""
        if self._lost_at is None:
            self._loss = Deferred()
            await self._loss
        assert self._lost_at is not None
        return self._lost_at

    def _state_changed(self, state: BrokerState) -> None:
        if state is BrokerState.DOWN:
            self._lost_at = self._lost_at or self._now()
            if self._reading is not None:
                self._reading.end()
            if self._loss is not None:
                loss, self._loss = self._loss, None
                loss.callback(None)

    async def _fill(self, since: datetime) -> bool:
        """Read the stream from ``since``, then let the queue tell, unless the connection was lost meanwhile.

        False when that was so early that it has to be read from there again.
        """
        self._reading = reading = StreamReading(self._clock, self._take_from_stream, self._tell_ready)
        try:
            complete = await reading.run(self._broker, since)
        except BrokerError as error:
            _log.warn("the stream of events cannot be read: {reason}", reason=str(error))
            complete = False
        if self._lost_at is not None:
            return reading.has_caught_up
        if not complete:
            self._ring.break_off(self._now().timestamp())
        held, self._held = self._held or {}, None
        for delivery in held.values():
            self._delivered(delivery)
        self._tell_ready()
        return True

    def _tell_ready(self) -> None:
        if not self.ready:
            self._ready.callback(None)

    def _take_from_stream(self, delivery: Delivery) -> None:
        self._append(delivery)
        held = self._held.pop(delivery.message.message_id, None) if self._held else None
        if held is not None:
            held.ack()
        delivery.ack()

    def _delivered(self, delivery: Delivery) -> None:
        if self._held is not None:
            event_id = delivery.message.message_id
            if event_id not in self._held and not self._ring.has_had(event_id):
                if len(self._held) >= MOST_HELD:
                    self._drop_held()
                self._held[event_id] = delivery
                return
        else:
            self._append(delivery)
        delivery.ack()

    def _drop_held(self) -> None:
        held, self._held = self._held or {}, {}
        for delivery in held.values():
            delivery.ack()
        self._ring.break_off(self._now().timestamp())

    def _append(self, delivery: Delivery) -> None:
        message = delivery.message
        told_at = message.timestamp or self._now()
        try:
            kind = topology.notification_type(delivery.routing_key)
            self._ring.append(message.message_id, kind, message.body, told_at.timestamp())
        except Exception:
            # What cannot be told must not stay unacked, or the queue would stand still in the end.
            metrics.EVENTS_UNREADABLE.inc()
            _log.failure("event {event_id} reaches no browser", event_id=message.message_id)


class StreamReading:
    """One reading of the stream: from a moment in the past to a mark that it writes there itself, and to a second one.

    Nothing else tells where the stream ends: silence may be a slow broker, and an event that waits in our own queue may
    stand in the stream twice, since whoever is not sure that it was published publishes it again. What comes into the
    stream late stands behind the first mark; ``caught_up`` is called there.
    """

    def __init__(
        self, clock: IReactorTime, take: Callable[[Delivery], None], caught_up: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._take = take
        self._caught_up = caught_up
        self._ended = False
        self._step: Deferred[bool] = Deferred()
        self._mark = ""
        self.has_caught_up = False
        """Whether the first mark was reached."""

    async def run(self, broker: Broker, since: datetime) -> bool:
        """Hand what the stream has to ``take``; whether all of it came in time.

        Raises :class:`~csms.ports.BrokerError`.
        """
        consumer = None
        try:
            consumer = await broker.consume(topology.EVENTS_STREAM, self._delivered, prefetch=PREFETCH, since=since)
            if not await self._reach_mark(broker):
                return False
            self.has_caught_up = True
            self._caught_up()
            return await self._wait(SETTLE_S, True) and await self._reach_mark(broker)
        finally:
            self.end()
            if consumer is not None:
                await consumer.cancel()

    def end(self) -> None:
        """Read no further."""
        self._ended = True
        self._step_done(False)

    async def _reach_mark(self, broker: Broker) -> bool:
        """Write a mark and read on to it."""
        self._mark = new_id(int(self._clock.seconds() * 1000))
        writing = spawn(self._write_mark(broker, self._mark), "mark in the stream")
        try:
            return await self._wait(LONGEST_READING_S, False)
        finally:
            self._mark = ""
            writing.cancel()

    async def _wait(self, seconds: float, outcome: bool) -> bool:
        """Wait for the end of this step; after ``seconds``, this is how it ended."""
        if self._ended:
            return False
        deadline = self._clock.callLater(seconds, self._step_done, outcome)
        try:
            return await self._step
        finally:
            self._step = Deferred()
            if deadline.active():
                deadline.cancel()

    def _step_done(self, outcome: bool) -> None:
        if not self._step.called:
            self._step.callback(outcome)

    async def _write_mark(self, broker: Broker, mark_id: str) -> None:
        mark = Message(body=b"{}", message_id=mark_id, type=MARK, persistent=False)
        try:
            await broker.publish(topology.DEFAULT_EXCHANGE, topology.EVENTS_STREAM, mark, deadline_s=LONGEST_READING_S)
        except BrokerError as error:
            _log.warn("the end of the stream cannot be found: {reason}", reason=str(error))
            self._step_done(False)

    def _delivered(self, delivery: Delivery) -> None:
        if self._ended or delivery.message.type == MARK:
            delivery.ack()
            if delivery.message.message_id == self._mark:
                self._step_done(True)
            return
        self._take(delivery)
