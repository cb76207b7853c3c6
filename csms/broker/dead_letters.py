"""``dead_letter_queue`` on RabbitMQ: browsed by taking messages and giving them back."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Sequence

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
        async with _Turn(self._lock):
            taken = await self._broker.take(DEAD_LETTER_QUEUE, limit)
            self._broker.give_back(taken)
            return [_letter(received) for received in taken]

    async def replay(self, ids: Sequence[str]) -> int:
        """Publish these again where they came from, then drop them. Raises BrokerError; then none was dropped."""
        return await self._each(frozenset(ids), self._republish)

    async def drop(self, ids: Sequence[str]) -> int:
        """Forget these."""
        return await self._each(frozenset(ids), None)

    async def _each(self, ids: frozenset[str], act: Callable[[DeadLetter], Awaitable[None]] | None) -> int:
        async with _Turn(self._lock):
            taken: list[Received] = []
            done: set[int] = set()
            missing = set(ids)
            try:
                while missing and len(taken) < SCAN_LIMIT:
                    received = await self._broker.take(DEAD_LETTER_QUEUE, 1)
                    if not received:
                        break
                    taken += received
                    letter = _letter(received[0])
                    if letter.id in missing:
                        if act is not None:
                            await act(letter)
                        missing.discard(letter.id)
                        done.add(received[0].tag)
            finally:
                self._broker.give_back(taken, done=frozenset(done))
            return len(done)

    async def _republish(self, letter: DeadLetter) -> None:
        exchange, routing_key = replay_address(death_of(letter.message.headers))
        if not routing_key:
            raise BrokerError(f"dead letter {letter.id} does not say where it came from")
        message = dataclasses.replace(letter.message, headers=living_headers(letter.message.headers))
        await self._broker.publish(exchange, routing_key, message)


class _Turn:
    """``async with`` for a DeferredLock."""

    def __init__(self, lock: DeferredLock) -> None:
        self._lock = lock

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(self, *failure: object) -> None:
        self._lock.release()


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
