"""Time, as the gateway sees it: the reactor's, or a test's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

T = TypeVar("T")


class Clock(Protocol):
    """The two methods of IReactorTime that are used here."""

    def seconds(self) -> float:
        """For durations and deadlines, and for what must not go back; the time of day is :func:`csms.walltime.utc`."""
        ...

    def callLater(self, delay: float, call: Callable[..., Any], /, *args: Any) -> IDelayedCall: ...  # noqa: N802


async def pause(clock: Clock, seconds: float) -> None:
    """Wait."""
    await deferLater(cast(IReactorTime, clock), seconds)


def limit(deferred: Deferred[T], seconds: float, clock: Clock) -> Deferred[T]:
    """Let ``deferred`` fail with twisted.internet.defer.TimeoutError after ``seconds``."""
    return deferred.addTimeout(seconds, cast(IReactorTime, clock))
