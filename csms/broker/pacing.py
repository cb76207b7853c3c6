"""What goes to the broker goes in few pieces: what comes right behind a piece waits a few milliseconds for more.

Each piece wakes the broker and is read and parsed for itself, and so are the answers to it. A few milliseconds are
nothing to a charger, and make one piece of many when there is much to do. When there is little, nothing waits, nor does
who asks one question after the other (:meth:`PacedConnection.flush`).
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

PACE_S = 0.005
"""Between two pieces, at least."""


class PacedConnection(ProtocolWrapper):
    """Writes what came in one turn of the reactor, and what came since, at most every ``PACE_S``."""

    def __init__(self, factory: Any, wrapped: IProtocol, clock: IReactorTime) -> None:
        super().__init__(factory, wrapped)
        self._clock = clock
        self._pending: list[bytes] = []
        self._written_at = 0.0
        self._writing: IDelayedCall | None = None
        self._lost = False

    def write(self, data: bytes) -> None:
        """Write, soon."""
        if self._lost:
            return
        self._pending.append(data)
        if self._writing is None:
            pause_s = self._written_at + PACE_S - self._clock.seconds()
            self._writing = self._clock.callLater(max(0.0, pause_s), self._flush)

    def writeSequence(self, data: Any) -> None:
        """Write all of it, soon."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close, behind what is to be written."""
        self.flush()
        super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """There is nobody to write to."""
        self._lost = True
        self._pending.clear()
        self.flush()
        super().connectionLost(reason)

    def flush(self) -> None:
        """Write what waits, for somebody who can do nothing before it is answered."""
        if self._writing is not None:
            self._writing.cancel()
            self._flush()

    def _flush(self) -> None:
        self._writing = None
        if self._pending:
            self._written_at = self._clock.seconds()
            pending, self._pending = self._pending, []
            super().write(b"".join(pending))


class _PacingFactory(WrappingFactory):
    noisy = False

    def __init__(self, wrapped: Any, clock: IReactorTime) -> None:
        super().__init__(wrapped)
        self._clock = clock

    def buildProtocol(self, addr: Any) -> Any:
        return PacedConnection(self, self.wrappedFactory.buildProtocol(addr), self._clock)


def paced(factory: Any, clock: IReactorTime) -> WrappingFactory:
    """A factory for the protocols of ``factory``, whose connections are paced."""
    return _PacingFactory(factory, clock)
