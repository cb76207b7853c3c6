"""A subscription that insists: asks until the broker grants it, and can be given up and begun anew."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from csms.ports import Broker, BrokerError, Consumer, Delivery
from csms.workers.pauses import Backoff, Stop

_log = Logger(namespace="csms.workers")


class Subscription:
    """One queue, consumed; can be closed and opened again."""

    def __init__(
        self, queue: str, on_delivery: Callable[[Delivery], None], *, broker: Broker, prefetch: int, stop: Stop
    ) -> None:
        self.trouble = ""
        """Why the queue is not consumed, for a person; empty when it is."""
        self._queue = queue
        self._on_delivery = on_delivery
        self._broker = broker
        self._prefetch = prefetch
        self._stop = stop
        self._consumer: Consumer | None = None
        self._number = 0

    @property
    def is_open(self) -> bool:
        """Whether deliveries can come."""
        return self._consumer is not None

    async def open(self) -> None:
        """Consume, however long it takes to be let; returns early at the stop."""
        self._number += 1
        number = self._number

        def arrived(delivery: Delivery) -> None:
            if number == self._number:
                self._on_delivery(delivery)

        backoff = Backoff(first_s=0.5, longest_s=30.0)
        while self._consumer is None:
            try:
                self._consumer = await self._broker.consume(self._queue, arrived, prefetch=self._prefetch)
            except BrokerError as error:
                self.trouble = f"{self._queue} cannot be consumed: {error}"
                _log.warn("{trouble}", trouble=self.trouble)
                if not await self._stop.pause(backoff.next_s()):
                    return
        self.trouble = ""

    async def close(self) -> None:
        """Consume no more, and give back all that is not acked."""
        consumer, self._consumer = self._consumer, None
        self._number += 1
        if consumer is None:
            return
        try:
            await consumer.cancel()
        except BrokerError as error:
            _log.warn("{queue} could not be cancelled: {error}", queue=self._queue, error=error)
