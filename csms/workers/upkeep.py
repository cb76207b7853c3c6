"""What has to be done from time to time, whoever does it: each task on its own clock, never twice at once."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from csms.coroutines import spawn
from csms.domain import command_life
from csms.domain.availability import disconnect_dead
from csms.domain.commands import to_publish
from csms.domain.handling import Notes
from csms.domain.identifiers import new_id
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.domain.reservations import expire_reservations
from csms.ports import BrokerError, DatabaseError
from csms.workers.pauses import Stop

_log = Logger(namespace="csms.workers")

GATEWAY_SILENT_S = 60.0
"""A gateway tells every 15 s that it lives; after this silence its chargers are taken for disconnected."""


class Chore:
    """One recurring task: first at once, then ``interval_s`` (less up to a fifth, at random) after each end."""

    def __init__(
        self, name: str, task: Callable[[], Awaitable[None]], *, interval_s: float, clock: IReactorTime
    ) -> None:
        self._name = name
        self._task = task
        self._interval_s = interval_s
        self._stop = Stop(clock)
        self._running: Deferred[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._running = spawn(self._run(), self._name)

    async def stop(self) -> None:
        """End, after the run that is under way."""
        self._stop.set()
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while not self._stop.is_set:
            try:
                await self._task()
            except (DatabaseError, BrokerError) as error:
                _log.warn("{name} has to wait: {error}", name=self._name, error=error)
            except Exception:
                _log.failure("{name} failed", name=self._name)
            await self._stop.pause(self._interval_s * random.uniform(0.8, 1.0))


def disconnect_silent_gateways(uow: UnitOfWork, now: datetime) -> Sequence[OutboxRow]:
    """Note the chargers of gateways that have died as disconnected; the notifications' outbox rows."""
    dead = uow.gateways.silent_since(now - timedelta(seconds=GATEWAY_SILENT_S))
    notifications = disconnect_dead(uow, dead, now, reason="the gateway is silent")
    return uow.outbox.add(notifications) if notifications else ()


def sweep_reservations(uow: UnitOfWork, now: datetime) -> Sequence[OutboxRow]:
    """End the reservations whose time is over; the notifications' outbox rows."""
    notifications = expire_reservations(uow, now)
    return uow.outbox.add(notifications) if notifications else ()


def sweep_commands(uow: UnitOfWork, now: datetime, limit: int) -> tuple[int, Sequence[OutboxRow]]:
    """Look after commands that do not get on: how many, and the outbox rows of what came of it."""
    notes = Notes(new_id(int(now.timestamp() * 1000)), now)
    looked_at = command_life.sweep(uow, now, notes, limit=limit)
    return looked_at, to_publish(uow, notes)
