"""One reading of the stream of events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from csms.coroutines import spawn
from csms.domain import topology
from csms.domain.identifiers import new_id
from csms.ports import Broker, BrokerError, Delivery, Message

LONGEST_READING_S = 10.0
SETTLE_S = 15.0
"""How late the stream may be. A publisher that waits for it longer publishes anew, to our queue as well."""
MARK = "mark"
"""``type`` of a message that a gateway writes into the stream for itself."""
PREFETCH = 1000

_log = Logger(namespace="csms.gateway")


class StreamReading:
    """One reading of the stream: from a moment in the past to a mark that it writes there itself, and to a second one.

    Nothing else tells where the stream ends: silence may be a slow broker, and an event that waits in our own queue may
    stand in the stream twice, since whoever is not sure that it was published publishes it again. What comes into the
    stream late stands behind the first mark; ``caught_up`` is called there.
    """

    def __init__(
        self, clock: IReactorTime, take: Callable[[Delivery], None], caught_up: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._take = take
        self._caught_up = caught_up
        self._ended = False
        self._step: Deferred[bool] = Deferred()
        self._mark = ""
        self.has_caught_up = False
        """Whether the first mark was reached."""

    async def run(self, broker: Broker, since: datetime) -> bool:
        """Hand what the stream has to ``take``; whether all of it came in time.

        Raises :class:`~csms.ports.BrokerError`.
        """
        consumer = None
        try:
            consumer = await broker.consume(topology.EVENTS_STREAM, self._delivered, prefetch=PREFETCH, since=since)
            if not await self._reach_mark(broker):
                return False
            self.has_caught_up = True
            self._caught_up()
            return await self._wait(SETTLE_S, True) and await self._reach_mark(broker)
        finally:
            self.end()
            if consumer is not None:
                await consumer.cancel()

    def end(self) -> None:
        """Read no further."""
        self._ended = True
        self._step_done(False)

    async def _reach_mark(self, broker: Broker) -> bool:
        """Write a mark and read on to it."""
        self._mark = new_id(int(self._clock.seconds() * 1000))
        writing = spawn(self._write_mark(broker, self._mark), "mark in the stream")
        try:
            return await self._wait(LONGEST_READING_S, False)
        finally:
            self._mark = ""
            writing.cancel()

    async def _wait(self, seconds: float, outcome: bool) -> bool:
        """Wait for the end of this step; after ``seconds``, this is how it ended."""
        if self._ended:
            return False
        deadline = self._clock.callLater(seconds, self._step_done, outcome)
        try:
            return await self._step
        finally:
            self._step = Deferred()
            if deadline.active():
                deadline.cancel()

    def _step_done(self, outcome: bool) -> None:
        if not self._step.called:
            self._step.callback(outcome)

    async def _write_mark(self, broker: Broker, mark_id: str) -> None:
        mark = Message(body=b"{}", message_id=mark_id, type=MARK, persistent=False)
        try:
            await broker.publish(topology.DEFAULT_EXCHANGE, topology.EVENTS_STREAM, mark, deadline_s=LONGEST_READING_S)
        except BrokerError as error:
            _log.warn("the end of the stream cannot be found: {reason}", reason=str(error))
            self._step_done(False)

    def _delivered(self, delivery: Delivery) -> None:
        if self._ended or delivery.message.type == MARK:
            delivery.ack()
            if delivery.message.message_id == self._mark:
                self._step_done(True)
            return
        self._take(delivery)
