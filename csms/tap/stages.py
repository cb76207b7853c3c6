"""A process as a service: its stages start one after the other and stop in the opposite order.

Twisted's MultiService starts its children without waiting and stops them all at once, so the database could be gone
before the last batch is committed.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver, Logger
from zope.interface import implementer

from csms.config.loading import ConfigError
from csms.coroutines import spawn
from csms.ports import BrokerError, DatabaseError

_log = Logger(namespace="csms.tap")

# What these say is enough for a person; a traceback would only hide it.
_PLAIN = (ConfigError, CannotListenError, BrokerError, DatabaseError, OSError)


async def nothing() -> None:
    """For stages that have nothing to do at start or at stop."""


@dataclass(frozen=True, slots=True)
class Stage:
    """``stop`` is called after ``start`` was, even if that failed or was cancelled half-way."""

    name: str
    start: Callable[[], Awaitable[None]] = nothing
    stop: Callable[[], Awaitable[None]] = nothing


class Starter(Protocol):
    """The part of the reactor that a process needs."""

    def callWhenRunning(self, function: Callable[[], Any]) -> Any: ...  # noqa: N802

    def stop(self) -> None: ...


@implementer(IService)
class Process(Service):
    """Runs ``stages``. One that fails to start is named in one line, and the process ends with exit code 1."""

    def __init__(
        self,
        name: str,
        stages: Sequence[Stage],
        *,
        reactor: Starter,
        observer: ILogObserver | None = None,
        leave: Callable[[Starter], None] | None = None,
        stopping: Callable[[], None] | None = None,
    ) -> None:
        """``stopping`` is called when a stop begins, before any stage stops."""
        self.setName(name)
        self._stages = stages
        self._reactor = reactor
        self._observer = observer
        self._leave = leave or leave_with_failure
        self._stopping = stopping
        self._begun: list[Stage] = []
        self._starting: Deferred[None] | None = None

    def setServiceParent(self, parent: Any) -> None:
        """Also makes the log of the twistd application ours, unless it was told another (``--logger``)."""
        super().setServiceParent(parent)
        if self._observer is not None:
            parent.setComponent(ILogObserver, self._observer)

    def startService(self) -> None:
        """Begin as soon as the reactor runs: before that, a failure could not end the process in good order."""
        super().startService()
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[None]:
        """Stop what was started; fires when all of it is down."""
        super().stopService()
        if self._stopping is not None:
            self._stopping()
        if self._starting is not None:
            self._starting.cancel()
        return spawn(self._stop_stages(), "stop")

    def _begin(self) -> None:
        if self.running:
            self._starting = spawn(self._start_stages(), "start")

    async def _start_stages(self) -> None:
        for stage in self._stages:
            self._begun.append(stage)
            try:
                await stage.start()
            except CancelledError:
                raise
            except _PLAIN as error:
                _log.critical("{stage} cannot start: {reason}", stage=stage.name, reason=str(error))
                return self._leave(self._reactor)
            except Exception:
                _log.failure("{stage} cannot start", stage=stage.name)
                return self._leave(self._reactor)
        _log.info("{process} is up", process=self.name)
        return None

    async def _stop_stages(self) -> None:
        while self._begun:
            stage = self._begun.pop()
            try:
                await stage.stop()
            except Exception:
                _log.failure("{stage} did not stop in good order", stage=stage.name)


def end_at_the_next_signal() -> None:
    """Let a second SIGTERM or Ctrl-C end the process at once, whatever the stop still waits for."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def leave_with_failure(reactor: Starter) -> None:
    """Stop the reactor and let the process end with exit code 1, which twistd itself has no way to ask for."""
    atexit.register(os._exit, 1)
    reactor.stop()
