"""The queues of the in-process broker: work queues, gateways' private queues, and the stream."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from twisted.logger import Logger

from csms.ports import Delivery, Message

_log = Logger(namespace="csms.broker")


@dataclass(slots=True, eq=False)
class Held:
    """A message in one queue. ``done`` tells the publisher that this queue needs it no more."""

    position: int
    routing_key: str
    message: Message
    published_at: datetime
    done: Callable[[], None] | None
    redelivered: bool = False
    abandoned: bool = False
    """Its publisher was told that it failed: whoever has not seen it yet never will."""

    def __lt__(self, other: Held) -> bool:
        return self.position < other.position


class MemoryDelivery:
    """A delivery in this process (see :class:`csms.ports.Delivery`)."""

    __slots__ = ("_held", "_subscriber", "redelivered")

    def __init__(self, held: Held, subscriber: Subscriber) -> None:
        self._held = held
        self._subscriber = subscriber
        self.redelivered = held.redelivered

    @property
    def message(self) -> Message:
        """The message."""
        return self._held.message

    @property
    def routing_key(self) -> str:
        """What it was published with."""
        return self._held.routing_key

    @property
    def awaited(self) -> bool:
        """Always: what is in memory only is confirmed when it is acked."""
        return True

    @property
    def generation(self) -> int:
        """Always 1: a process does not lose the connection to itself."""
        return 1

    def ack(self) -> None:
        """Done with it."""
        self._subscriber.settle(self._held, requeue=False)

    def requeue(self) -> None:
        """Give it back to its old place."""
        self._subscriber.settle(self._held, requeue=True)


class Subscriber:
    """A consumer of one queue (see :class:`csms.ports.Consumer`)."""

    def __init__(self, queue: MemoryQueue, on_delivery: Callable[[Delivery], None], prefetch: int, position: int):
        self.position = position
        """For the stream: what it reads next."""
        self._queue = queue
        self._on_delivery = on_delivery
        self._prefetch = prefetch
        self._unsettled: dict[int, Held] = {}

    @property
    def has_room(self) -> bool:
        """Whether it may get another message before it settles one."""
        return len(self._unsettled) < self._prefetch

    def deliver(self, held: Held) -> None:
        """Hand a message over."""
        self._unsettled[held.position] = held
        try:
            self._on_delivery(MemoryDelivery(held, self))
        except Exception:
            _log.failure("consumer of {queue}", queue=self._queue.name)

    def settle(self, held: Held, *, requeue: bool) -> None:
        """An outcome for a message; a second one changes nothing."""
        if self._unsettled.pop(held.position, None) is None:
            return
        if requeue:
            self._queue.give_back(held)
        elif held.done is not None:
            held.done()
        self._queue.wake()

    async def cancel(self) -> None:
        """No delivery after this; what is not acked goes back to its old place."""
        held, self._unsettled = self._unsettled, {}
        self._queue.remove(self, held.values())


class MemoryQueue:
    """Messages that wait for a consumer, in order.

    ``wake`` asks for a call of :meth:`pump` in a later reactor turn, so that no consumer runs inside a publisher.
    With ``max_length`` the oldest give way.
    """

    def __init__(
        self, name: str, wake: Callable[[], None], *, single_active: bool = False, max_length: int | None = None
    ) -> None:
        self.name = name
        self.wake = wake
        self._single_active = single_active
        self._waiting: deque[Held] = deque(maxlen=max_length)
        self._subscribers: deque[Subscriber] = deque()

    @property
    def depth(self) -> int:
        """Messages that wait."""
        return sum(not held.abandoned for held in self._waiting)

    @property
    def consumed(self) -> bool:
        """Whether anybody consumes it now."""
        return bool(self._subscribers)

    def put(self, held: Held) -> None:
        """A new message, behind all others."""
        self._waiting.append(held)
        self.wake()

    def give_back(self, held: Held) -> None:
        """A message that somebody had: to its old place."""
        held.redelivered = True
        if not held.abandoned and len(self._waiting) != self._waiting.maxlen:
            insort(self._waiting, held)

    def subscribe(
        self, on_delivery: Callable[[Delivery], None], prefetch: int, since: datetime | None, next_position: int
    ) -> Subscriber:
        """A new consumer."""
        subscriber = Subscriber(self, on_delivery, prefetch, next_position)
        self._subscribers.append(subscriber)
        self.wake()
        return subscriber

    def remove(self, subscriber: Subscriber, unsettled: Iterable[Held]) -> None:
        """A consumer that has gone, and what it had."""
        for held in unsettled:
            self.give_back(held)
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
            self.wake()

    def forget_abandoned(self) -> None:
        """Make room: nobody relies on these any more."""
        kept = [held for held in self._waiting if not held.abandoned]
        self._waiting.clear()
        self._waiting.extend(kept)

    def pump(self) -> None:
        """Hand out what waits now; what a consumer causes to be published meanwhile has its own turn."""
        for _ in range(len(self._waiting)):
            subscriber = self._ready_subscriber() if self._waiting else None
            if subscriber is None:
                return
            held = self._waiting.popleft()
            if not held.abandoned:
                subscriber.deliver(held)

    def _ready_subscriber(self) -> Subscriber | None:
        if self._single_active:
            return self._subscribers[0] if self._subscribers and self._subscribers[0].has_room else None
        for _ in range(len(self._subscribers)):
            self._subscribers.rotate(-1)
            if self._subscribers[-1].has_room:
                return self._subscribers[-1]
        return None


class MemoryStream(MemoryQueue):
    """The newest messages; every consumer reads all of them, from where it began."""

    def __init__(self, name: str, wake: Callable[[], None], *, max_length: int) -> None:
        super().__init__(name, wake, max_length=max_length)

    def subscribe(
        self, on_delivery: Callable[[Delivery], None], prefetch: int, since: datetime | None, next_position: int
    ) -> Subscriber:
        """A new reader, from ``since`` on or of what comes next."""
        begin = next_position
        if since is not None:
            begin = next((held.position for held in self._waiting if held.published_at >= since), next_position)
        return super().subscribe(on_delivery, prefetch, since, begin)

    def give_back(self, held: Held) -> None:
        """It never left."""

    def pump(self) -> None:
        """Let every reader read on; one that fell behind the oldest goes on with that."""
        for subscriber in tuple(self._subscribers):
            for held in self._from(subscriber.position):
                if not subscriber.has_room:
                    break
                subscriber.position = held.position + 1
                subscriber.deliver(held)

    def _from(self, position: int) -> Iterable[Held]:
        newer = []
        for held in reversed(self._waiting):
            if held.position < position:
                break
            newer.append(held)
        return reversed(newer)
