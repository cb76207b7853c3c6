"""Waiting for commands to end, or to be queued: by the events that browsers get, never by asking again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from csms.domain.command_model import ON_THE_WAY
from csms.domain.messages import Notification, NotificationType

Watcher = Callable[[Notification | None], None]
"""Called with every notification of the kind that it watches for, and with None when some were missed."""


class Happenings(Protocol):
    """Where notifications of all chargers pass by."""

    def watch(self, kind: str, watcher: Watcher) -> None:
        """Call ``watcher`` with those of ``kind`` from now on."""
        ...


class CommandWaits:
    """Who waits for which command. ``expect`` before the command can get anywhere, ``forget`` always."""

    def __init__(self, happenings: Happenings, clock: IReactorTime) -> None:
        self._clock = clock
        self._waits: dict[str, Wait] = {}
        happenings.watch(NotificationType.COMMAND_CHANGED, self._told)

    def expect(self, command_id: str) -> Wait:
        """From now on it is not missed that this command ends or is queued."""
        wait = self._waits[command_id] = Wait(self._clock)
        return wait

    def forget(self, command_id: str) -> None:
        """Nobody waits for it any more."""
        self._waits.pop(command_id, None)

    def _told(self, notification: Notification | None) -> None:
        if notification is None:
            for wait in tuple(self._waits.values()):
                wait.look()
        else:
            wait_for_it = self._waits.get(str(notification.data.get("commandId")))
            if wait_for_it is not None and notification.data.get("state") not in ON_THE_WAY:
                wait_for_it.look()


class Wait:
    """One command that is waited for."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._look = False
        self._waiting: Deferred[None] | None = None

    def look(self) -> None:
        """It may have come to its end, or be queued."""
        self._look = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def worth_a_look(self, seconds: float) -> bool:
        """Wait until the command may have come to its end or be queued; False when it has not within ``seconds``."""
        if not self._look and seconds > 0:
            waiting = self._waiting = Deferred()
            try:
                await waiting.addTimeout(seconds, self._clock)
            except DeferredTimeout:
                self._waiting = None
        looked, self._look = self._look, False
        return looked
