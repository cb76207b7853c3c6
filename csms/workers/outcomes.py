"""What can become of a delivery, and the one place that turns it into acts on the broker.

``Ack``: its effect is stored. ``Retry``: the same again, in place and unacked, after a pause; never a requeue, which
would change the order. ``DeadLetter``: it can never be handled; a copy with the reason goes to the dead letters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.domain import topology
from csms.domain.dead_letters import death_headers, kept_headers
from csms.domain.messages import BadMessage
from csms.logs import TRAIL
from csms.ports import Broker, BrokerError, DatabaseUnavailable, Delivery
from csms.walltime import utc
from csms.workers.pauses import Backoff, Stop

_MAX_ID_BYTES = 255
_log = Logger(namespace="csms.workers")


@dataclass(frozen=True, slots=True)
class Ack:
    """The effect is stored: the broker may forget the message."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may succeed later: keep the message, pause, try again."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """It will never succeed. ``headers`` are added to the copy; ``message_id`` replaces the copy's if not empty."""

    reason: str
    headers: Mapping[str, str | int] = field(default_factory=dict)
    message_id: str = ""


Outcome = Ack | DeadLetter
"""What a delivery can end with."""

ACK = Ack()


def verdict(error: Exception) -> Retry | DeadLetter:
    """What a failure means for the messages that were being handled."""
    if isinstance(error, DatabaseUnavailable | BrokerError):
        return Retry(f"{type(error).__name__}: {error}")
    if isinstance(error, BadMessage):
        return DeadLetter(str(error))
    return DeadLetter(f"{type(error).__name__}: {error}")


def _short(message_id: str) -> str:
    """The id, or what stands for it when AMQP has no room for it: 255 bytes."""
    encoded = message_id.encode()
    return message_id if len(encoded) <= _MAX_ID_BYTES else hashlib.sha256(encoded).hexdigest()


class Settlement:
    """Ends the deliveries of one queue."""

    def __init__(self, broker: Broker, queue: str, clock: IReactorTime, stop: Stop) -> None:
        self._broker = broker
        self._queue = queue
        self._clock = clock
        self._stop = stop
        self._burials: set[Deferred[None]] = set()
        self._done = metrics.DELIVERIES.labels(queue, "done")

    def settle(self, delivery: Delivery, outcome: Outcome) -> None:
        """Act on ``outcome``. A dead letter takes a moment; nobody has to wait for it."""
        if isinstance(outcome, Ack):
            delivery.ack()
            self._done.inc()
            if TRAIL.on:
                _log.debug(
                    "{action} {message_id} of {queue} is done",
                    action=delivery.message.type,
                    message_id=delivery.message.message_id,
                    queue=self._queue,
                )
        else:
            self.bury(delivery, outcome).addCallback(lambda buried: delivery.ack() if buried else None)

    def bury(self, delivery: Delivery, outcome: DeadLetter) -> Deferred[bool | None]:
        """Publish a copy to the dead letters, however long it takes; fires with False when a stop came first."""
        burial = spawn(self._bury(delivery, outcome), f"dead letter of {self._queue}")
        done: Deferred[None] = Deferred()
        self._burials.add(done)

        def buried(result: bool | None) -> bool | None:
            self._burials.discard(done)
            done.callback(None)
            return result

        return burial.addCallback(buried)

    async def finish(self) -> None:
        """Wait for dead letters that are under way. Ends soon after the stop."""
        if self._burials:
            await DeferredList(list(self._burials))

    async def _bury(self, delivery: Delivery, outcome: DeadLetter) -> bool:
        original = delivery.message
        _log.warn(
            "message {message_id} of {queue} is dead-lettered: {reason}",
            message_id=original.message_id,
            queue=self._queue,
            reason=outcome.reason,
        )
        death = death_headers(
            reason=outcome.reason,
            queue=self._queue,
            routing_key=delivery.routing_key,
            died_at=utc(self._clock),
        )
        copy = replace(
            original,
            message_id=_short(outcome.message_id or original.message_id),
            headers={**kept_headers(original.headers), **outcome.headers, **death},
            expiration_s=None,
            persistent=True,
        )
        backoff = Backoff(first_s=0.5, longest_s=30.0)
        while True:
            try:
                await self._broker.publish(topology.DEAD_LETTER_EXCHANGE, delivery.routing_key, copy)
            except BrokerError as error:
                _log.error("no dead letter could be written, trying again: {error}", error=error)
                if not await self._stop.pause(backoff.next_s()):
                    return False
            else:
                metrics.DELIVERIES.labels(self._queue, "dead_lettered").inc()
                return True
