"""Keeps the event ring filled: from the gateway's own queue, and from the stream with what that queue missed.

The own queue exists only while this process is connected. So at the start, and after every lost connection, the
stream tells what happened meanwhile; until it has, the queue's messages wait, unacked, so that the order stays right.
What comes by both ways is dropped by the ring.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.domain import topology
from csms.domain.identifiers import new_id
from csms.domain.messages import BadMessage, Notification, decode_notification
from csms.gateway.events import EventRing
from csms.ports import Broker, BrokerError, BrokerState, Consumer, Delivery, Message

PREFILL = timedelta(minutes=10)
"""How far back the first look at the stream goes."""
OVERLAP = timedelta(seconds=60)
"""After a lost connection the stream is read from this long before: the loss is noticed late, clocks differ."""
LONGEST_READING_S = 10.0
MARK = "mark"
"""``type`` of a message that a gateway writes into the stream for itself."""
RETRY_S = 1.0
PREFETCH = 1000

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
        self._held: list[Delivery] | None = []
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
            self._reading.end(False)
        if self._consumer is not None:
            await self._consumer.cancel()

    async def _run(self) -> None:
        since = self._now() - PREFILL
        await self._subscribe()
        while True:
            self._lost_at = None
            await self._fill(since)
            if not self.ready:
                self._ready.callback(None)
            since = await self._lost() - OVERLAP
            self._held = []
            await self._broker.when_up()

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
        if state is BrokerState.DOWN and self._consumer is not None:
            self._lost_at = self._lost_at or self._now()
            if self._loss is not None:
                loss, self._loss = self._loss, None
                loss.callback(None)

    async def _fill(self, since: datetime) -> None:
        """Read the stream from ``since``, then let the held deliveries follow."""
        self._reading = reading = StreamReading(self._clock, self._take_from_stream)
        try:
            complete = await reading.run(self._broker, since)
        except BrokerError as error:
            _log.warn("the stream of events cannot be read: {reason}", reason=str(error))
            complete = False
        if not complete:
            self._ring.break_off()
        held, self._held = self._held or [], None
        for delivery in held:
            self._delivered(delivery)

    def _take_from_stream(self, delivery: Delivery) -> None:
        notification = _notification(delivery)
        if notification is not None:
            self._append(notification)
        delivery.ack()

    def _delivered(self, delivery: Delivery) -> None:
        notification = _notification(delivery)
        if notification is not None and self._held is not None:
            self._held.append(delivery)
            return
        if notification is not None:
            self._append(notification)
        delivery.ack()

    def _append(self, notification: Notification) -> None:
        """Tell the browsers. What cannot be told must not stay unacked, or the queue would stand still in the end."""
        try:
            self._ring.append(notification)
        except Exception:
            metrics.EVENTS_UNREADABLE.inc()
            _log.failure("event {event_id} reaches no browser", event_id=notification.event_id)


class StreamReading:
    """One reading of the stream, from a moment in the past to a mark that it writes there itself.

    Nothing else tells where the stream ends: silence may be a slow broker, and an event that waits in our own queue may
    stand in the stream twice, since whoever is not sure that it was published publishes it again.
    """

    def __init__(self, clock: IReactorTime, take: Callable[[Delivery], None]) -> None:
        self._clock = clock
        self._take = take
        self._ended: Deferred[bool] = Deferred()
        self._deadline: IDelayedCall | None = None
        self._mark = new_id(int(clock.seconds() * 1000))

    async def run(self, broker: Broker, since: datetime) -> bool:
        """Hand what the stream has to ``take``; whether all of it came in time.

        Raises :class:`~csms.ports.BrokerError`.
        """
        self._deadline = self._clock.callLater(LONGEST_READING_S, self.end, False)
        consumer = None
        try:
            consumer = await broker.consume(topology.EVENTS_STREAM, self._delivered, prefetch=PREFETCH, since=since)
            marking = spawn(self._write_mark(broker), "mark in the stream")
            try:
                return await self._ended
            finally:
                marking.cancel()
        finally:
            self.end(False)
            if consumer is not None:
                await consumer.cancel()

    def end(self, complete: bool) -> None:
        """Read no further."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if not self._ended.called:
            self._ended.callback(complete)

    async def _write_mark(self, broker: Broker) -> None:
        mark = Message(body=b"{}", message_id=self._mark, type=MARK, persistent=False)
        try:
            await broker.publish(topology.DEFAULT_EXCHANGE, topology.EVENTS_STREAM, mark, deadline_s=LONGEST_READING_S)
        except BrokerError as error:
            _log.warn("the end of the stream cannot be found: {reason}", reason=str(error))
            self.end(False)

    def _delivered(self, delivery: Delivery) -> None:
        if self._ended.called or delivery.message.type == MARK:
            delivery.ack()
            if delivery.message.message_id == self._mark:
                self.end(True)
            return
        self._take(delivery)


def _notification(delivery: Delivery) -> Notification | None:
    try:
        return decode_notification(delivery.message.body)
    except BadMessage as error:
        metrics.EVENTS_UNREADABLE.inc()
        _log.warn("an event that cannot be read: {reason}", reason=str(error), message_id=delivery.message.message_id)
        return None
