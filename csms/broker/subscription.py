"""Messages on their way in: a subscription that outlives its channels, its deliveries and their acks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from csms.broker.wire import Argument, Channel, Received
from csms.ports import Delivery, Message

_log = Logger(namespace="csms.broker")
STREAM_OFFSET_HEADER = "x-stream-offset"


class Acks:
    """The deliveries of one channel that wait for an outcome. Acks of one reactor turn go out as few frames."""

    def __init__(self, channel: Channel, clock: IReactorTime) -> None:
        self._channel: Channel | None = channel
        self._clock = clock
        self._held: dict[int, None] = {}
        self._acked: set[int] = set()
        self._flush_planned = False

    def hold(self, tag: int) -> None:
        """A delivery arrived."""
        self._held[tag] = None

    def ack(self, tag: int) -> None:
        """Done with it; told to the broker at the end of this reactor turn."""
        if self._channel is None or tag not in self._held or tag in self._acked:
            return
        self._acked.add(tag)
        if not self._flush_planned:
            self._flush_planned = True
            self._clock.callLater(0, self.flush)

    def requeue(self, tag: int) -> None:
        """Give it back."""
        if self._channel is None or tag not in self._held or tag in self._acked:
            return
        del self._held[tag]
        self._channel.requeue(tag)

    def flush(self) -> None:
        """Send what was acked: everything up to the first unsettled delivery in one frame, the rest one by one."""
        self._flush_planned = False
        if self._channel is None or not self._acked:
            return
        last = 0
        for tag in self._held:
            if tag not in self._acked:
                break
            last = tag
        if last:
            self._channel.ack(last, multiple=True)
        for tag in sorted(tag for tag in self._acked if tag > last):
            self._channel.ack(tag, multiple=False)
        for tag in self._acked:
            del self._held[tag]
        self._acked.clear()

    def forget(self) -> None:
        """The channel is gone: the broker will deliver again whatever was not acked."""
        self._channel = None
        self._held.clear()
        self._acked.clear()


class AmqpDelivery:
    """A delivery over AMQP (see :class:`csms.ports.Delivery`)."""

    __slots__ = ("_acks", "_received", "generation")

    def __init__(self, received: Received, acks: Acks, generation: int) -> None:
        self._received = received
        self._acks = acks
        self.generation = generation

    @property
    def message(self) -> Message:
        """The message."""
        return self._received.message

    @property
    def routing_key(self) -> str:
        """What it was published with."""
        return self._received.routing_key

    @property
    def redelivered(self) -> bool:
        """Whether somebody may have had it before."""
        return self._received.redelivered

    @property
    def awaited(self) -> bool:
        """Whether it asks for a reply; it was confirmed long ago."""
        return bool(self._received.message.reply_to)

    def ack(self) -> None:
        """Done with it."""
        self._acks.ack(self._received.tag)

    def requeue(self) -> None:
        """Give it back to its old place."""
        self._acks.requeue(self._received.tag)


class Subscription:
    """One consumer: it is subscribed anew on every new channel, until cancelled."""

    def __init__(
        self,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        prefetch: int,
        since: datetime | None,
        is_stream: bool,
        clock: IReactorTime,
        cancelled: Callable[[Subscription, Channel | None], Awaitable[None]],
    ) -> None:
        self.queue = queue
        self.prefetch = prefetch
        self.generation = 0
        self.cancelled = False
        self._on_delivery = on_delivery
        self._since = since
        self.is_stream = is_stream
        self._next_offset: int | None = None
        self._clock = clock
        self._cancelled = cancelled
        self._channel: Channel | None = None
        self._acks: Acks | None = None

    async def cancel(self) -> None:
        """No delivery after this; what is not acked goes back.

        By closing the channel: RabbitMQ then puts everything back before the next consumer gets anything. After a
        basic.cancel the next one would be served at once, and what was held come behind it.
        """
        if not self.cancelled:
            self.cancelled = True
            self.flush()
            channel = self._channel
            self.detach()
            await self._cancelled(self, channel)

    def attach(self, channel: Channel) -> None:
        """Subscribe on this new channel, unless cancelled since it was asked for."""
        if self.cancelled:
            return
        self.generation += 1
        self._channel = channel
        self._acks = Acks(channel, self._clock)
        channel.consume(self.queue, self.prefetch, self._arguments())

    def detach(self) -> None:
        """The channel is gone."""
        self._channel = None
        if self._acks is not None:
            self._acks.forget()

    def flush(self) -> None:
        """Send pending acks now."""
        if self._acks is not None:
            self._acks.flush()

    # --- what the channel tells --------------------------------------------------------------------------------

    def received(self, received: Received) -> None:
        """Hand a message on."""
        if self._acks is None or self._channel is None:
            return
        if self.is_stream:
            offset = received.headers.get(STREAM_OFFSET_HEADER)
            self._next_offset = offset + 1 if isinstance(offset, int) else self._next_offset
        self._acks.hold(received.tag)
        try:
            self._on_delivery(AmqpDelivery(received, self._acks, self.generation))
        except Exception:
            _log.failure("consumer of {queue}", queue=self.queue)

    def confirmed(self, tag: int, *, multiple: bool) -> None:
        """Nothing is published on a consumer's channel."""

    def refused(self, tag: int, *, multiple: bool) -> None:
        """Nothing is published on a consumer's channel."""

    def returned(self, exchange: str, routing_key: str, message_id: str) -> None:
        """Nothing is published on a consumer's channel."""

    # --- inside ------------------------------------------------------------------------------------------------

    def _arguments(self) -> dict[str, Argument]:
        if not self.is_stream:
            return {}
        if self._next_offset is not None:
            return {"x-stream-offset": self._next_offset}
        if self._since is not None:
            return {"x-stream-offset": self._since}
        # Should the connection be lost before the first message, go on from here instead of skipping what came.
        self._since = datetime.now(UTC)
        return {"x-stream-offset": "next"}
