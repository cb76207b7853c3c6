"""Brings events to the gateway: all of them to the ring while browsers follow, else only those that somebody awaits.

Every gateway would have to take every event of all chargers. So its queue is bound to all of them only when the first
browser comes, and until a while after the last has gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from csms.coroutines import spawn
from csms.domain import topology
from csms.domain.messages import NotificationType
from csms.gateway.events import EventRing
from csms.gateway.following import Following
from csms.gateway.stream_reading import PREFETCH
from csms.ports import Broker, BrokerError, BrokerState, Consumer, Delivery

IDLE_S = 600.0
"""About how long the ring stays filled without a browser: whoever comes back meanwhile resumes at once."""
LOOK_S = 30.0
"""How often it is looked whether there is one."""
FILL_S = 5.0
"""How long a browser waits for the ring at most; then it has to come again."""
RETRY_S = 1.0

_AWAITED = topology.notification_key(NotificationType.COMMAND_CHANGED)
_log = Logger(namespace="csms.gateway")


class EventFeed:
    """From ``start`` to ``stop``. ``followers``: how many browsers there are."""

    def __init__(
        self,
        broker: Broker,
        gateway: str,
        ring: EventRing,
        *,
        clock: IReactorTime,
        now: Callable[[], datetime],
        followers: Callable[[], int],
    ) -> None:
        self._broker = broker
        self._queue = topology.gateway_events_queue(gateway)
        self._ring = ring
        self._clock = clock
        self._now = now
        self._followers = followers
        self._consumer: Consumer | None = None
        self._subscribing: Deferred[None] | None = None
        self._following: Following | None = None
        self._followed_at_s = 0.0
        self._next_look: IDelayedCall | None = None
        self._stopped = False

    @property
    def ready(self) -> bool:
        """Whether events can come."""
        return self._consumer is not None

    def start(self) -> None:
        """Begin; returns at once, whatever the broker does."""
        self._broker.on_state(self._state_changed)
        self._subscribing = spawn(self._insist(self._take_awaited), "event feed")

    async def stop(self) -> None:
        """Take nothing more."""
        self._stopped = True
        if self._subscribing is not None:
            self._subscribing.cancel()
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        if self._following is not None:
            self._following.end()
        if self._consumer is not None:
            await self._consumer.cancel()

    async def follow(self) -> bool:
        """Fill the ring, unless it is, for a browser that is about to come; whether that was done in time."""
        if self._stopped:
            return False
        following = self._following
        if following is None:
            following = self._following = Following(
                self._broker, self._ring, lambda: self._insist(self._take_all), clock=self._clock, now=self._now
            )
            following.start()
        self._followed_at_s = self._clock.seconds()
        if self._next_look is None:
            self._next_look = self._clock.callLater(LOOK_S, self._look_around)
        filled = spawn(following.when_filled(), "the ring is filled")
        with suppress(DeferredTimeout):
            await filled.addTimeout(FILL_S, self._clock)
        return following.is_filled

    def _look_around(self) -> None:
        now_s = self._clock.seconds()
        if self._followers():
            self._followed_at_s = now_s
        if now_s < self._followed_at_s + IDLE_S:
            self._next_look = self._clock.callLater(LOOK_S, self._look_around)
        else:
            self._next_look = None
            self._rest()

    def _rest(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.end()
        self._ring.break_off(self._now().timestamp())
        spawn(self._unbind(), "no events for browsers")

    async def _take_awaited(self) -> None:
        await self._broker.bind(self._queue, topology.EVENTS_EXCHANGE, _AWAITED)
        self._consumer = await self._broker.consume(self._queue, self._delivered, prefetch=PREFETCH)

    async def _take_all(self) -> None:
        if self._following is not None:
            await self._broker.bind(self._queue, topology.EVENTS_EXCHANGE, topology.ALL_NOTIFICATIONS)

    async def _insist(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Do what needs our queue, as soon as the broker lets us."""
        while True:
            await self._broker.when_up()
            try:
                await self._broker.declare_private(self._queue)
                await attempt()
            except BrokerError as error:
                _log.warn("no events yet: {reason}", reason=str(error))
                await deferLater(self._clock, RETRY_S)
            else:
                return

    async def _unbind(self) -> None:
        with suppress(BrokerError):  # it is noted all the same
            await self._broker.unbind(self._queue, topology.EVENTS_EXCHANGE, topology.ALL_NOTIFICATIONS)

    def _state_changed(self, state: BrokerState) -> None:
        if state is BrokerState.DOWN and self._following is not None:
            self._following.connection_lost()
        elif state is BrokerState.UP:
            # The stream, if it is read, does not go back to every gap.
            self._ring.gap_passes_by()

    def _delivered(self, delivery: Delivery) -> None:
        following = self._following
        if following is None or following.holds_back:
            # Who waits for it must not wait for the stream; to hear of it twice does no harm.
            kind = topology.notification_type(delivery.routing_key)
            self._ring.pass_by(delivery.message.message_id, kind, delivery.message.body)
        if following is None:
            delivery.ack()
        else:
            following.delivered(delivery)
