"""One connection to the broker that is kept up: connect, prepare, wait for its loss, pause, again at the next node."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, FirstError
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from csms.broker.address import Address
from csms.broker.wire import Connect, Connection
from csms.coroutines import spawn
from csms.ports import BrokerError

T = TypeVar("T")
_log = Logger(namespace="csms.broker")

CONNECT_TIMEOUT_S = 10.0
IMPATIENT_CONNECT_TIMEOUT_S = 3.0
"""For a node that is not the only one, in the first round: one that hangs shall not use up the publishers' deadline."""
PREPARE_TIMEOUT_S = 30.0
CALL_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0


class Backoff:
    """Pauses that grow from try to try, with jitter, so that many processes do not come back at once."""

    def __init__(self, *, first_s: float = 0.1, factor: float = 1.6, max_s: float = 5.0) -> None:
        self._first_s = first_s
        self._factor = factor
        self._max_s = max_s
        self._pause_s = first_s

    def next_s(self) -> float:
        """The pause before the next try, in seconds."""
        pause = self._pause_s * random.uniform(0.5, 1.0)
        self._pause_s = min(self._max_s, self._pause_s * self._factor)
        return pause

    def reset(self) -> None:
        """A try succeeded: begin anew."""
        self._pause_s = self._first_s


class Line:
    """A connection that is restored whenever it is lost.

    ``prepare`` makes a new one fit for use, ``release`` lets go of one that is gone (twice does no harm).

    ``addresses`` are nodes that can each serve it; the next one has its turn at every try.
    The back-off resets only after ``prepare``: a broker that accepts and drops is not up.
    Whatever goes wrong on a connection, the whole connection is dropped and made anew: one way to recover.
    """

    def __init__(
        self,
        purpose: str,
        addresses: Sequence[Address],
        connect: Connect,
        prepare: Callable[[Connection], Awaitable[None]],
        release: Callable[[], None],
        on_change: Callable[[], None],
        clock: IReactorTime,
    ) -> None:
        self.purpose = purpose
        self.is_up = False
        self.reason = "not started"
        self.blocked_reason = ""
        self._addresses = addresses
        self._turn = 0
        self._failures = 0
        self._connect = connect
        self._prepare = prepare
        self._release = release
        self._on_change = on_change
        self._clock = clock
        self._backoff = Backoff()
        self._connection: Connection | None = None
        self._waiting: set[Deferred[Any]] = set()
        self._running: Deferred[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin to connect, and keep at it until :meth:`stop`."""
        self.reason = f"connecting to {self._address.place}"
        self._running = spawn(self._run(), f"broker line {self.purpose}")

    async def stop(self) -> None:
        """Close the connection in good order, or drop it when that takes too long."""
        self._stopping = True
        connection = self._connection if self.is_up else None
        self._set_down("stopped")
        if connection is not None:
            try:
                await connection.close().addTimeout(CLOSE_TIMEOUT_S, self._clock)
            except DeferredTimeout:
                connection.abort()
        self._cancel_waiting()
        if self._running is not None:
            await self._running

    async def call(
        self, make: Callable[[Connection], Deferred[T]], *, timeout_s: float = CALL_TIMEOUT_S, vital: bool = True
    ) -> T:
        """Ask the broker for something. Raises BrokerError when the line is down, is lost, or takes too long.

        ``vital``: whether a broker that takes too long for this is lost; what depends on others may.
        """
        if self._connection is None or not self.is_up:
            raise BrokerError(self.reason)
        return await self._answer(make(self._connection), timeout_s, vital=vital)

    def drop(self, reason: str) -> None:
        """Give the connection up and make a new one."""
        self.lost(reason)

    # --- what the connection tells -----------------------------------------------------------------------------

    def blocked(self, reason: str) -> None:
        """The broker takes no publishes now."""
        self.blocked_reason = reason or "the broker has an alarm"
        self._on_change()

    def unblocked(self) -> None:
        """The broker takes publishes again."""
        self.blocked_reason = ""
        self._on_change()

    def lost(self, reason: str) -> None:
        """The connection is of no use any more."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._release()
        if not self._stopping:
            self._set_down(f"lost {self._address.place}: {reason}")
        connection.abort()
        self._cancel_waiting()

    # --- the loop ----------------------------------------------------------------------------------------------

    @property
    def _address(self) -> Address:
        """Whose turn it is."""
        return self._addresses[self._turn % len(self._addresses)]

    async def _run(self) -> None:
        while True:
            try:
                await self._live()
            except CancelledError:
                pass
            except BrokerError as error:
                self._set_down(str(error))
            except Exception as error:
                _log.failure("broker, {purpose}: a fault of csms", purpose=self.purpose)
                self._set_down(f"fault: {error!r}")
            if self._stopping:
                return
            self._turn += 1
            self._failures += 1
            pause_s = self._backoff.next_s()
            _log.warn(
                "broker, {purpose}: {reason}; next try in {pause_s:.1f} s",
                purpose=self.purpose,
                reason=self.reason,
                pause_s=pause_s,
            )
            if not await self._pause(pause_s):
                return

    async def _live(self) -> None:
        """One connection from its beginning to its end."""
        is_first_round = self._failures < len(self._addresses) and len(self._addresses) > 1
        self._connection = await self._answer(
            self._connect(self._address, self), IMPATIENT_CONNECT_TIMEOUT_S if is_first_round else CONNECT_TIMEOUT_S
        )
        connection = self._connection
        try:
            await self._answer(Deferred.fromCoroutine(self._prepared(connection)), PREPARE_TIMEOUT_S)
            self._check(connection)
            self._backoff.reset()
            self._failures = 0
            self.is_up, self.reason = True, ""
            _log.info("broker, {purpose}: connected to {place}", purpose=self.purpose, place=self._address.place)
            self._on_change()
            await self._lost()
        finally:
            self._connection = None
            self._release()
            connection.abort()

    async def _prepared(self, connection: Connection) -> None:
        await self._prepare(connection)

    def _check(self, connection: Connection) -> None:
        """Raise BrokerError if the connection was lost while it was prepared."""
        if self._connection is not connection:
            raise BrokerError(self.reason)

    async def _answer(self, deferred: Deferred[T], timeout_s: float, *, vital: bool = True) -> T:
        self._waiting.add(deferred)
        try:
            return await deferred.addTimeout(timeout_s, self._clock)
        except DeferredTimeout as error:
            reason = f"{self._address.place} does not answer"
            if vital:
                self.lost(reason)
            raise BrokerError(reason) from error
        except CancelledError as error:
            raise BrokerError(self.reason) from error
        except FirstError as error:  # of several that were asked for together
            if error.subFailure.check(CancelledError):
                raise BrokerError(self.reason) from error
            raise
        finally:
            self._waiting.discard(deferred)

    async def _lost(self) -> None:
        gone: Deferred[None] = Deferred()
        self._waiting.add(gone)
        try:
            await gone
        finally:
            self._waiting.discard(gone)

    async def _pause(self, seconds: float) -> bool:
        """Wait; False when a stop came first."""
        over: Deferred[None] = Deferred()
        call = self._clock.callLater(seconds, over.callback, None)
        self._waiting.add(over)
        try:
            await over
        except CancelledError:
            call.cancel()
            return False
        finally:
            self._waiting.discard(over)
        return True

    def _cancel_waiting(self) -> None:
        for deferred in tuple(self._waiting):
            deferred.cancel()

    def _set_down(self, reason: str) -> None:
        was_up, self.is_up = self.is_up, False
        changed = was_up or reason != self.reason
        self.reason, self.blocked_reason = reason, ""
        if changed:
            self._on_change()
