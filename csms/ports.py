"""The protocols between the parts of csms: a broker and a database, each with more than one adapter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Protocol, TypeVar

import msgspec

from csms.domain.repositories import UnitOfWork
from csms.domain.retention import Retention

T = TypeVar("T")


# --- broker ---------------------------------------------------------------------------------------------------------


NO_HEADERS: Mapping[str, str | int] = MappingProxyType({})
"""One for all: thousands of messages are kept."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message for the broker or from it. ``message_id`` is unique and stays the same when it is sent again."""

    body: bytes
    message_id: str
    type: str = ""
    headers: Mapping[str, str | int] = NO_HEADERS
    reply_to: str = ""
    correlation_id: str = ""
    expiration_s: float | None = None
    timestamp: datetime | None = None
    persistent: bool = True


class BrokerError(Exception):
    """The broker did not do what was asked."""


class PublishTimeout(BrokerError):  # noqa: N818 - it names what happened
    """No confirm within the deadline: the message may or may not have arrived. Publish it again or stay silent."""


class Unroutable(BrokerError):  # noqa: N818
    """No queue took the message: surely nobody has it."""


class BrokerState(Enum):
    """How the broker is doing, as seen from this process."""

    DOWN = "down"
    UP = "up"
    BLOCKED = "blocked"
    """Connected, but it accepts no messages now (memory or disk alarm)."""


class Delivery(Protocol):
    """A message that was handed to this process and waits for its outcome."""

    @property
    def message(self) -> Message: ...

    @property
    def routing_key(self) -> str: ...

    @property
    def redelivered(self) -> bool: ...

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for what comes of it: for the reply that it asks for, or for its confirm."""
        ...

    @property
    def generation(self) -> int:
        """Grows whenever the consumer was subscribed anew: deliveries of an older generation will come again."""
        ...

    def ack(self) -> None:
        """Done with it: the broker forgets it. Does nothing when the delivery's channel is gone."""
        ...

    def requeue(self) -> None:
        """Give it back to its old place, for somebody else. Only for a stop: a requeue is never a way to retry."""
        ...


class Consumer(Protocol):
    """A subscription to one queue, which survives reconnections until cancelled."""

    async def cancel(self) -> None:
        """No delivery after this. What is not acked goes back to its old place, before anybody else gets the next.

        So ack first what is done; an outcome after this changes nothing.
        """
        ...


class Broker(Protocol):
    """The message broker. Every call has a deadline; every name comes from ``csms.domain.topology``."""

    async def start(self) -> None:
        """Begin to connect, declare the topology and keep both so. Returns at once, whatever the broker does."""
        ...

    async def stop(self) -> None:
        """Wait for outstanding confirms (bounded), then close. Deliveries not acked go back to their queues."""
        ...

    @property
    def state(self) -> BrokerState: ...

    @property
    def reason(self) -> str:
        """Why the state is not UP, for a person; empty when it is."""
        ...

    def on_state(self, listener: Callable[[BrokerState], None]) -> None:
        """Call ``listener`` at every change of the state."""
        ...

    async def when_up(self) -> None:
        """Wait until the state is UP."""
        ...

    def publish(
        self,
        exchange: str,
        routing_key: str,
        message: Message,
        *,
        deadline_s: float = 8.0,
        mandatory: bool = True,
    ) -> Awaitable[None]:
        """Done when the broker has confirmed ``message``: it is on disk on a majority of its nodes.

        While the broker is away the message waits and is sent (again) with the same message id as soon as it is back,
        until the deadline. Raises :class:`PublishTimeout` then, :class:`Unroutable` when it was returned (at once).
        Messages are sent in the order of the calls. Not awaiting at once is allowed: confirms are pipelined.
        """
        ...

    async def consume(
        self,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        prefetch: int,
        since: datetime | None = None,
    ) -> Consumer:
        """Hand every message of ``queue`` to ``on_delivery``, at most ``prefetch`` of them waiting for their outcome.

        ``since`` is for the stream only: start with what was published at that time.
        """
        ...

    async def declare_private(self, queue: str) -> None:
        """Declare a queue that belongs to this process: exclusive, gone with its connection, declared anew after it."""
        ...

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Bind a private queue; remembered, and bound anew after a reconnection.

        Raises :class:`BrokerError` when a broker that is there does not answer in time: it may be bound, then or later.
        """
        ...

    async def unbind(self, queue: str, exchange: str, routing_key: str) -> None: ...

    async def depths(self) -> Mapping[str, int]:
        """Messages waiting in each queue of the topology."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that could not be handled, as it stands in ``dead_letter_queue``."""

    id: str
    message: Message
    exchange: str
    routing_key: str
    queue: str
    reason: str
    died_at: datetime


class DeadLetters(Protocol):
    """What ended in ``dead_letter_queue``: browse it, send it again, drop it."""

    async def browse(self, limit: int) -> Sequence[DeadLetter]:
        """The oldest ``limit`` dead letters; they stay where they are."""
        ...

    async def replay(self, ids: Sequence[str], body: bytes | None = None) -> int:
        """Publish these again where they came from, then drop them; returns how many were found.

        ``body`` replaces theirs, when somebody has mended it.
        """
        ...

    async def drop(self, ids: Sequence[str]) -> int:
        """Forget these; returns how many were found."""
        ...


# --- database -------------------------------------------------------------------------------------------------------


class DatabaseError(Exception):
    """The database did not do what was asked."""


class DatabaseUnavailable(DatabaseError):  # noqa: N818 - it names the state
    """Not reachable, or too busy: the same work may succeed later."""


class LastingConflict(DatabaseUnavailable):
    """It met another transaction at every try, or what it wants to write can never stand beside what is there."""


class Fenced(DatabaseError):  # noqa: N818 - it names what happened
    """Another worker has taken the shard since: this one's work was rolled back and must be thrown away."""


class Database(Protocol):
    """The database. Work is a plain function of a unit of work and runs in a thread, in one transaction."""

    async def start(self) -> None:
        """Bring the schema up to date (one process does, others wait) and open the pool."""
        ...

    async def stop(self) -> None: ...

    async def transact(self, work: Callable[[UnitOfWork], T], *, name: str) -> T:
        """Run ``work`` in a transaction and commit.

        Serialisation failures, deadlocks and one lost connection are retried, so ``work`` must have no effect beside
        the unit of work. ``name`` is for logs and metrics. Raises :class:`DatabaseUnavailable`, :class:`Fenced`, or
        what ``work`` raised (rolled back).
        """
        ...

    async def read(self, work: Callable[[UnitOfWork], T], *, name: str) -> T:
        """The same for work that changes nothing: it never waits for writers."""
        ...

    async def maintain(self, now: datetime, kept: Retention, *, enough: Callable[[], bool] = ...) -> None:
        """Make room for what comes, and drop what is older than ``kept`` has it, until there is ``enough`` of that."""
        ...
