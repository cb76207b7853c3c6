"""Keeps the event ring filled for a while: from the gateway's own queue, and from the stream with what that missed.

The own queue exists only while this process is connected, and has all events only while somebody follows. So at the
start, and after every lost connection, the stream tells what happened meanwhile; until it has, the queue's messages
wait, unacked, so that the order stays right. What comes by both ways is dropped by the ring.

The stream may be late: when its leader dies, an event of before our queue was bound may come into it after our mark.
So for a while the stream alone tells, and what the queue has brought waits until it has come by the stream, too: before
it, then, everything that its publisher has sent earlier has come. A connection that is lost meanwhile has a gap of its
own, and the reading begins anew.

At a thousand events a second the ring keeps ten seconds. Then most of what the first look at the stream finds would
only be read to be dropped, while chargers wait: it goes on where about as many are left as the ring keeps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.domain import topology
from csms.gateway.events import EventRing
from csms.gateway.stream_reading import PREFETCH, StreamReading
from csms.ports import Broker, BrokerError, Delivery

PREFILL = timedelta(minutes=2)
"""How far back the first look at the stream goes."""
OVERLAP = timedelta(seconds=60)
"""After a lost connection the stream is read from this long before: the loss is noticed late, clocks differ."""
PROBE = 4
"""Of so many parts of what the ring keeps one is read to see how many events there are in which time."""
MOST_HELD = 5 * PREFETCH
"""One connection holds back no more than its prefetch, but many may be lost before the stream is read."""

_log = Logger(namespace="csms.gateway")


class Following:
    """Fills ``ring`` from ``start`` to ``end``. ``bind``: lets the own queue have all events."""

    def __init__(
        self,
        broker: Broker,
        ring: EventRing,
        bind: Callable[[], Awaitable[None]],
        *,
        clock: IReactorTime,
        now: Callable[[], datetime],
    ) -> None:
        self._broker = broker
        self._ring = ring
        self._bind = bind
        self._clock = clock
        self._now = now
        self._held: dict[str, Delivery] | None = {}
        """By event id, in order: what the queue has brought while the stream tells; None while the queue does."""
        self._lost_at: datetime | None = None
        self._loss: Deferred[None] | None = None
        self._reading: StreamReading | None = None
        self._running: Deferred[None] | None = None
        self._ended = False
        self._waiting: list[Deferred[None]] = []
        self._taken = 0
        """Events of the first look at the stream."""
        self._taken_since_s = 0.0
        self._skip_to: datetime | None = None
        self.is_filled = False
        """Whether the stream was read once."""

    def start(self) -> None:
        """Begin; returns at once, whatever the broker does."""
        self._running = spawn(self._run(), "events for browsers")

    def end(self) -> None:
        """Take nothing more."""
        self._ended = True
        if self._running is not None:
            self._running.cancel()
        if self._reading is not None:
            # The broker may take it amiss that its answer is not waited for, and we would go on.
            self._reading.end()
        self._drop_held()

    @property
    def holds_back(self) -> bool:
        """Whether what the queue brings waits for the stream."""
        return self._held is not None

    async def when_filled(self) -> None:
        """Wait until ``is_filled``."""
        if not self.is_filled:
            filled: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(filled)
            await filled

    def connection_lost(self) -> None:
        """What happens from now on does not reach the queue."""
        self._lost_at = self._lost_at or self._now()
        if self._reading is not None:
            self._reading.end()
        if self._loss is not None:
            loss, self._loss = self._loss, None
            loss.callback(None)

    def delivered(self, delivery: Delivery) -> None:
        """The queue brings something."""
        if self._held is not None:
            event_id = delivery.message.message_id
            if event_id not in self._held and not self._ring.has_had(event_id):
                if len(self._held) >= MOST_HELD:
                    self._drop_held()
                    self._break_off()
                self._held[event_id] = delivery
                return
        else:
            self._append(delivery)
        delivery.ack()

    async def _run(self) -> None:
        since = self._now() - PREFILL
        self._ring.reaches_back_to(since.timestamp())
        await self._bind()
        while not self._is_over():
            await self._broker.when_up()
            self._lost_at = None
            made_up_for = await self._fill(since)
            if self._is_over():
                return
            if self._skip_to is not None:
                since, self._skip_to = self._skip_to, None
                self._break_off()
                self._ring.reaches_back_to(since.timestamp())
                continue
            lost_at = await self._lost()
            if made_up_for:
                since = lost_at - OVERLAP
            self._held = self._held or {}

    def _is_over(self) -> bool:
        # A method, since an attribute is taken for unchanged by mypy, whatever is awaited in between.
        return self._ended

    async def _lost(self) -> datetime:
        """Wait until the connection to the broker is lost; when that was."""
        if self._lost_at is None:
            self._loss = Deferred()
            await self._loss
        assert self._lost_at is not None
        return self._lost_at

    async def _fill(self, since: datetime) -> bool:
        """Read the stream from ``since``, then let the queue tell, unless the connection was lost meanwhile.

        False when that was so early that it has to be read from there again.
        """
        self._reading = reading = StreamReading(self._clock, self._take_from_stream, self._tell_filled)
        try:
            complete = await reading.run(self._broker, since)
        except BrokerError as error:
            _log.warn("the stream of events cannot be read: {reason}", reason=str(error))
            complete = False
        if self._lost_at is not None or self._skip_to is not None or self._is_over():
            return reading.has_caught_up
        if not complete:
            self._break_off()
        held, self._held = self._held or {}, None
        for delivery in held.values():
            self.delivered(delivery)
        self._tell_filled()
        return True

    def _tell_filled(self) -> None:
        self.is_filled = True
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def _take_from_stream(self, delivery: Delivery) -> None:
        told_at_s = self._append(delivery)
        if not self.is_filled:
            self._look_ahead(told_at_s)
        held = self._held.pop(delivery.message.message_id, None) if self._held else None
        if held is not None:
            held.ack()
        delivery.ack()

    def _look_ahead(self, told_at_s: float) -> None:
        """Skip what the ring would have dropped by the end, if what came so far was so much in so little time."""
        if self._taken == 0:
            self._taken_since_s = told_at_s
        self._taken += 1
        if self._taken * PROBE < self._ring.kept:
            return
        self._taken = 0
        span = timedelta(seconds=PROBE * max(1.0, told_at_s - self._taken_since_s))
        start = self._now() - span
        if start.timestamp() > told_at_s and self._reading is not None:
            self._skip_to = start
            self._reading.end()

    def _break_off(self) -> None:
        self._ring.break_off(self._now().timestamp())

    def _drop_held(self) -> None:
        held, self._held = self._held or {}, {}
        for delivery in held.values():
            delivery.ack()

    def _append(self, delivery: Delivery) -> float:
        """Put it into the ring; when it was told (Unix time)."""
        message = delivery.message
        told_at_s = (message.timestamp or self._now()).timestamp()
        try:
            kind = topology.notification_type(delivery.routing_key)
            self._ring.append(message.message_id, kind, message.body, told_at_s)
        except Exception:
            # What cannot be told must not stay unacked, or the queue would stand still in the end.
            metrics.EVENTS_UNREADABLE.inc()
            _log.failure("event {event_id} reaches no browser", event_id=message.message_id)
        return told_at_s
