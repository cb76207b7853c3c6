"""``dead_letter_queue`` on RabbitMQ: browsed by taking messages and giving them back."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from msgspec.structs import replace
from twisted.internet.defer import DeferredLock

from csms.broker.amqp import AmqpBroker
from csms.broker.wire import Received
from csms.domain.dead_letters import death_of, living_headers, replay_address
from csms.domain.topology import DEAD_LETTER_QUEUE
from csms.ports import BrokerError, DeadLetter

SCAN_LIMIT = 10_000
"""How deep in the queue a letter is looked for."""


class AmqpDeadLetters:
    """Dead letters on RabbitMQ (see :class:`csms.ports.DeadLetters`).

    While one process looks, the letters that it holds are hidden from others for a moment; should it die, they return.
    """

    def __init__(self, broker: AmqpBroker) -> None:
        self._broker = broker
        self._lock = DeferredLock()

    async def browse(self, limit: int) -> Sequence[DeadLetter]:
        """The oldest ``limit`` dead letters."""
        letters: list[DeadLetter] = []

        async def note(letter: DeadLetter) -> bool:
            letters.append(letter)
            return False

        await self._walk(limit, note)
        return letters

    async def replay(self, ids: Sequence[str], body: bytes | None = None) -> int:
        """Publish these again where they came from, then drop them.

        Raises BrokerError at the first that cannot be published; those before it are done.
        """
        return await self._each(ids, partial(self._republish, body))

    async def drop(self, ids: Sequence[str]) -> int:
        """Forget these."""
        return await self._each(ids, None)

    async def _each(self, ids: Sequence[str], act: Callable[[DeadLetter], Awaitable[None]] | None) -> int:
        missing = set(ids)

        async def done_with(letter: DeadLetter) -> bool:
            if letter.id not in missing:
                return False
            if act is not None:
                await act(letter)
            missing.discard(letter.id)
            return True

        await self._walk(SCAN_LIMIT, done_with, until=lambda: not missing)
        return len(set(ids)) - len(missing)

    async def _walk(
        self,
        limit: int,
        done_with: Callable[[DeadLetter], Awaitable[bool]],
        *,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Show the oldest ``limit`` letters to ``done_with`` one by one, and drop those that it is done with."""
        async with self._lock:
            borrowed = await self._broker.borrow(DEAD_LETTER_QUEUE)
            try:
                for _ in range(limit):
                    received = None if until() else await borrowed.take()
                    if received is None:
                        break
                    if await done_with(_letter(received)):
                        borrowed.drop(received)
            finally:
                await borrowed.end()

    async def _republish(self, body: bytes | None, letter: DeadLetter) -> None:
        exchange, routing_key = replay_address(death_of(letter.message.headers))
        if not routing_key:
            raise BrokerError(f"dead letter {letter.id} does not say where it came from")
        dead = letter.message
        alive = living_headers(dead.headers)
        message = replace(dead, headers=alive, body=dead.body if body is None else body)
        await self._broker.publish(exchange, routing_key, message)


def _letter(received: Received) -> DeadLetter:
    death = death_of(received.headers)
    message = received.message
    return DeadLetter(
        id=message.message_id or hashlib.sha256(message.body).hexdigest()[:24],
        message=message,
        exchange=death.exchange,
        routing_key=death.routing_key,
        queue=death.queue,
        reason=death.reason,
        died_at=death.died_at,
    )
