"""What the broker's tests share: messages, an inbox that can be waited for, outcomes of publishes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from csms.domain.topology import SHARD_HEADER
from csms.ports import Delivery, Message


def message(message_id: str, *, body: bytes = b"{}", shard: int = 0, persistent: bool = True) -> Message:
    """A charger's message for a shard."""
    return Message(body=body, message_id=message_id, headers={SHARD_HEADER: shard}, persistent=persistent)


class Inbox:
    """Collects deliveries; ``auto_ack`` acks each at once."""

    def __init__(self, *, auto_ack: bool = True) -> None:
        self.auto_ack = auto_ack
        self.deliveries: list[Delivery] = []
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if self.auto_ack:
            delivery.ack()
        ready = [waiter for waiter in self._waiting if waiter[0]()]
        self._waiting = [waiter for waiter in self._waiting if waiter not in ready]
        for _, deferred in ready:
            deferred.callback(None)

    @property
    def ids(self) -> list[str]:
        """Message ids in the order of arrival."""
        return [delivery.message.message_id for delivery in self.deliveries]

    async def has(self, count: int) -> None:
        """Wait until ``count`` deliveries arrived."""
        await self._when(lambda: len(self.deliveries) >= count)

    async def has_ids(self, ids: Iterable[str]) -> None:
        """Wait until every one of ``ids`` arrived."""
        wanted = set(ids)
        await self._when(lambda: wanted <= set(self.ids))

    async def _when(self, condition: Callable[[], bool]) -> None:
        if not condition():
            arrived: Deferred[None] = Deferred()
            self._waiting.append((condition, arrived))
            await arrived


async def confirmed(published: Iterable[Awaitable[None]]) -> None:
    """Wait until all are confirmed."""
    for each in published:
        await each


async def outcomes(published: Iterable[Awaitable[None]]) -> list[type[BaseException] | None]:
    """How each publish ended: None for a confirm, or the kind of its error."""
    deferreds = [published_one for published_one in published if isinstance(published_one, Deferred)]
    ended = await DeferredList(deferreds, consumeErrors=True)
    return [result.type if isinstance(result, Failure) else None for _, result in ended]


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask the broker again and again, for what it tells nobody by itself."""
    while not await condition():
        await deferLater(reactor, 0.02)


def first_arrivals(ids: Iterable[str]) -> list[str]:
    """``ids`` without the repetitions of what was there before."""
    return list(dict.fromkeys(ids))
