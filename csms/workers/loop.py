"""The consumer loop: one queue, in batches, in order, each batch in one transaction.

A batch is what is there, up to ``batch_size``; with ``linger_s``, it waits a moment for more, unless somebody waits for
something in it. Failures:

- the database is away: the same batch again after a growing pause, deliveries stay unacked;
- anything else: the batch is halved, in order, until the message that fails alone is found; that one is tried
  ``attempts`` times and dead-lettered, all others commit;
- it conflicts with others, or with what is stored, at every try: the same, but the one alone has ``CONFLICT_TRIES``;
- fenced (somebody else has taken over): the batch is thrown away unacked and the queue is consumed anew;
- this process has lost the database (:mod:`csms.workers.contact`): everything is given back, and the queue is consumed
  anew when the database is back. Others, if they have not lost it, go on meanwhile; if they have, the messages wait in
  the queue. What becomes of the batch that was in the database then, its repeats must find out.

Loops of one process take turns (:mod:`csms.workers.turns`). A loop that pauses leaves its turn to others.

When the broker connection was lost, what it had delivered comes again: older deliveries are dropped, after the batch in
hand, whose acks then do nothing and whose repeats the work must recognise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from csms import metrics
from csms.coroutines import spawn
from csms.domain.identifiers import made_at_ms
from csms.ports import Broker, Delivery, Fenced, LastingConflict, Message
from csms.walltime import wall_s
from csms.workers.contact import Contact
from csms.workers.outcomes import DeadLetter, Outcome, Retry, Settlement, verdict
from csms.workers.pauses import Backoff, Stop
from csms.workers.subscription import Subscription
from csms.workers.turns import Turn, Turns

CONFLICT_TRIES = 10
"""With the pauses between them half a minute: nothing else writes the same for that long."""

_log = Logger(namespace="csms.workers")

T = TypeVar("T")
R = TypeVar("R")


class Work(Protocol[T]):
    """What is done with the messages of a queue."""

    def decode(self, message: Message) -> T:
        """Read ``message``; raises :class:`BadMessage`."""
        ...

    async def begin(self) -> None:
        """Called before the first batch of every subscription, anew after a reconnection."""
        ...

    async def commit(self, batch: Sequence[T]) -> Sequence[Outcome]:
        """Store all effects of ``batch`` in one transaction, or none and raise. One outcome for each message."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """How a queue is served."""

    batch_size: int = 100
    prefetch: int = 200
    attempts: int = 3
    retry_max_s: float = 5.0
    linger_s: float = 0.0
    """How long behind the one before a batch that is not full waits for more, when nothing in it is urgent."""


class _Failed(Exception):  # noqa: N818 - it names what happened
    """A batch failed by itself, not for want of a database."""

    def __init__(self, reason: str, error: Exception) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error


class _Abandoned(Exception):  # noqa: N818 - it names what happened
    """The batch in hand is given up: its messages come again, here or elsewhere."""


class Loop(Generic[T]):
    """Serves one queue until stopped."""

    def __init__(
        self,
        queue: str,
        work: Work[T],
        *,
        broker: Broker,
        clock: IReactorTime,
        settings: LoopSettings | None = None,
        turns: Turns | None = None,
        contact: Contact | None = None,
        is_urgent: Callable[[Delivery], bool] = lambda _: False,
    ) -> None:
        self.queue = queue
        self._trouble = ""
        self._work = work
        self._clock = clock
        self._settings = settings or LoopSettings()
        self._turns = turns or Turns(clock)
        self._contact = contact
        self._is_urgent = is_urgent
        self._calling: Deferred[Any] | None = None
        self._turn: Turn | None = None
        self._stop = Stop(clock)
        self._settlement = Settlement(broker, queue, clock, self._stop)
        self._subscription = Subscription(
            queue, self._arrived, broker=broker, prefetch=self._settings.prefetch, stop=self._stop
        )
        self._waiting: deque[Delivery] = deque()
        self._generation = -1
        self._begun_generation = -1
        self._hurry = False
        """Something that waits is urgent."""
        self._idle: Deferred[None] | None = None
        self._lingering: Deferred[None] | None = None
        self._running: Deferred[None] | None = None

    def start(self) -> None:
        """Begin to consume, as soon as the broker lets us."""
        if self._contact is not None:
            self._contact.on_loss(self._contact_lost)
        self._running = spawn(self._run(), f"loop of {self.queue}")

    async def stop(self) -> None:
        """Finish the batch in hand, give back what is untouched, and consume no more."""
        self._stop.set()
        self._wake()
        if self._running is None:
            return
        if not self._subscription.is_open:
            self._running.cancel()
        await self._running

    @property
    def trouble(self) -> str:
        """Why no batch gets through at the moment, for a person; empty when all is well."""
        return self._trouble or self._subscription.trouble

    # --- deliveries

    def _arrived(self, delivery: Delivery) -> None:
        if delivery.generation > self._generation:
            self._generation = delivery.generation
            self._waiting.clear()
        self._waiting.append(delivery)
        self._hurry = self._hurry or self._is_urgent(delivery)
        if self._lingering is not None and not self._may_linger:
            lingering, self._lingering = self._lingering, None
            self._clock.callLater(0, lingering.callback, None)
        self._turns.more()
        if self._idle is not None:
            # The next turn of the reactor, so that what came in the same read goes into the same batch.
            idle, self._idle = self._idle, None
            self._clock.callLater(0, idle.callback, None)

    def _wake(self) -> None:
        idle, self._idle = self._idle, None
        lingering, self._lingering = self._lingering, None
        for waiting in (idle, lingering):
            if waiting is not None:
                waiting.callback(None)

    @property
    def _may_linger(self) -> bool:
        most = min(self._settings.batch_size, self._settings.prefetch)
        return not self._hurry and len(self._waiting) < most

    async def _linger(self) -> None:
        """Wait for more, until something urgent comes or the batch is full; not at all when the last was long ago."""
        pause_s = self._turns.admitted_at_s + self._settings.linger_s - self._clock.seconds()
        if pause_s <= 0:
            return
        self._lingering = Deferred()
        timer = self._clock.callLater(pause_s, self._wake)
        await self._lingering
        if timer.active():
            timer.cancel()

    @property
    def _is_cut_off(self) -> bool:
        return self._contact is not None and self._contact.lost

    def _contact_lost(self) -> None:
        self._wake()
        if self._calling is not None:
            self._calling.cancel()

    async def _leave_to_others(self) -> None:
        """Give everything back, and begin anew when the database is back."""
        assert self._contact is not None
        self._troubled("the database does not answer this process")
        await self._close()
        await self._contact.when_back()
        self._trouble = ""
        if not self._stop.is_set:
            await self._open()

    async def _open(self) -> None:
        self._generation = self._begun_generation = -1
        await self._subscription.open()

    async def _close(self) -> None:
        """Consume no more, and give back all that is not acked."""
        await self._subscription.close()
        self._waiting.clear()

    # --- batches

    async def _run(self) -> None:
        await self._open()
        while not self._stop.is_set:
            if self._is_cut_off:
                await self._leave_to_others()
                continue
            if not self._waiting:
                self._idle = Deferred()
                await self._idle
                continue
            if self._settings.linger_s and self._may_linger:
                await self._linger()
            try:
                await self._serve_in_turn()
            except _Abandoned:
                continue
            except Fenced:
                _log.warn("another worker has taken {queue}: consuming it anew", queue=self.queue)
                await self._close()
                await self._open()
            except Exception as error:
                # A fault of csms. What is in hand must neither be lost nor stop the queue for ever.
                _log.failure("the loop of {queue} begins anew", queue=self.queue)
                self._troubled(f"{self.queue}: {error!r}")
                await self._close()
                if await self._stop.pause(self._settings.retry_max_s):
                    await self._open()
        await self._settlement.finish()
        await self._close()

    async def _serve_in_turn(self) -> None:
        await self._await_turn()
        try:
            if self._waiting and not self._stop.is_set:
                await self._serve(self._take())
        finally:
            self._leave_turn()

    async def _await_turn(self) -> None:
        self._turn = await self._turns.acquire(self._count)

    def _leave_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.leave()

    def _count(self) -> int:
        return min(self._settings.batch_size, len(self._waiting))

    def _take(self) -> list[Delivery]:
        waiting = self._waiting
        taken = [waiting.popleft() for _ in range(self._count())]
        self._hurry = self._hurry and any(map(self._is_urgent, waiting))
        return taken

    async def _serve(self, batch: list[Delivery]) -> None:
        started_s = self._clock.seconds()
        if self._begun_generation != (generation := batch[0].generation):
            await self._insist(generation, self._work.begin, tries=None)
            self._begun_generation = generation
        tasks = self._decoded(batch)
        groups = [tasks] if tasks else []
        while groups:
            group = groups.pop()
            items = [item for _, item in group]
            try:
                outcomes = await self._insist(
                    generation,
                    partial(self._work.commit, items),
                    tries=self._settings.attempts if len(group) == 1 else 1,
                )
            except _Failed as failed:
                if len(group) > 1:
                    middle = len(group) // 2
                    groups += (group[middle:], group[:middle])
                    continue
                outcomes = [DeadLetter(failed.reason)]
                _log.failure(
                    "message {message_id} of {queue} cannot be handled",
                    failure=Failure(failed.error),
                    message_id=group[0][0].message.message_id,
                    queue=self.queue,
                )
            self._settle(group, outcomes)
        metrics.BATCH_SIZE.labels(self.queue).observe(len(batch))
        metrics.BATCH_SECONDS.labels(self.queue).observe(self._clock.seconds() - started_s)
        # AMQP's timestamps are whole seconds.
        if (made_at := made_at_ms(batch[0].message.message_id)) is not None:
            metrics.SHARD_LAG_SECONDS.labels(self.queue).set(max(0.0, wall_s(self._clock) - made_at / 1000))

    def _decoded(self, batch: list[Delivery]) -> list[tuple[Delivery, T]]:
        tasks: list[tuple[Delivery, T]] = []
        for delivery in batch:
            try:
                tasks.append((delivery, self._work.decode(delivery.message)))
            except Exception as error:
                self._settlement.settle(delivery, DeadLetter(verdict(error).reason))
        return tasks

    def _settle(self, group: list[tuple[Delivery, T]], outcomes: Sequence[Outcome]) -> None:
        for (delivery, _), outcome in zip(group, outcomes, strict=True):
            self._settlement.settle(delivery, outcome)

    async def _insist(self, generation: int, call: Callable[[], Coroutine[Any, Any, R]], *, tries: int | None) -> R:
        """What ``call`` returns, however often the database is away; raises ``_Failed`` after ``tries`` other errors.

        None tries for ever. Raises ``_Abandoned`` when the worker stops, or the broker or the database was lost
        meanwhile.
        """
        backoff = Backoff(first_s=0.1, longest_s=self._settings.retry_max_s)
        failures = conflicts = 0
        while True:
            if self._is_cut_off:
                raise _Abandoned
            try:
                result = await self._unless_cut_off(call())
            except (Fenced, _Abandoned):
                raise
            except Exception as error:
                judged = verdict(error)
                away = isinstance(judged, Retry)
                metrics.BATCH_RETRIES.labels(self.queue, "unavailable" if away else "failed").inc()
                if isinstance(error, LastingConflict):
                    conflicts += 1
                elif not away:
                    failures += 1
                if tries is not None and (failures == tries or conflicts == (1 if tries == 1 else CONFLICT_TRIES)):
                    raise _Failed(judged.reason, error) from error
                if away or tries is None:
                    self._troubled(judged.reason)
            else:
                self._trouble = ""
                return result
            self._leave_turn()
            if not await self._unless_cut_off(self._stop.pause(backoff.next_s())):
                raise _Abandoned
            await self._await_turn()
            if generation != self._generation:
                raise _Abandoned

    async def _unless_cut_off(self, call: Coroutine[Any, Any, R]) -> R:
        """What ``call`` returns; raises ``_Abandoned`` when the database is lost before, however it ends then."""
        self._calling = calling = Deferred.fromCoroutine(call)
        try:
            return await calling
        except CancelledError:
            if self._is_cut_off:
                raise _Abandoned from None
            raise
        finally:
            self._calling = None

    def _troubled(self, reason: str) -> None:
        if not self._trouble:
            _log.warn("{queue} has to wait: {reason}", queue=self.queue, reason=reason)
        self._trouble = reason
