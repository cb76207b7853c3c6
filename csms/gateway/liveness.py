"""A gateway's signs of life in the database, so that chargers of a dead one do not look connected for ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from csms.domain.availability import disconnect_dead
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.gateway.clock import Clock
from csms.ports import Database, DatabaseError
from csms.walltime import utc

Publish = Callable[[Sequence[OutboxRow]], None]
"""Brings rows of the outbox out now, instead of when somebody sweeps it."""
BEAT_S = 15.0
"""Workers take a gateway that was silent for 60 s for dead."""

_log = Logger(namespace="csms.gateway")


class Liveness:
    """Tells every ``BEAT_S`` that this gateway is alive; first of all, that none of its chargers is connected yet."""

    def __init__(self, database: Database, gateway: str, clock: Clock, publish: Publish) -> None:
        self.begun = False
        """The chargers that an earlier process of this name left behind are noted as disconnected."""
        self._database = database
        self._publish = publish
        self._gateway = gateway
        self._clock = clock
        self._started_at = utc(clock)
        self._failing = False

    async def beat(self) -> None:
        """Once; a failure is logged when it is the first, and the next beat tries again."""
        now = utc(self._clock)
        begin = not self.begun

        def work(uow: UnitOfWork) -> Sequence[OutboxRow]:
            uow.gateways.alive(self._gateway, started_at=self._started_at, now=now)
            if not begin:
                return ()
            return uow.outbox.add(disconnect_dead(uow, [self._gateway], now, reason="gateway restarted"))

        try:
            told = await self._database.transact(work, name="gateway alive")
        except DatabaseError as error:
            if not self._failing:
                _log.warn("cannot tell the database that {gateway} is alive: {e}", gateway=self._gateway, e=str(error))
            self._failing = True
        else:
            # Before any of them is let in again: who reads of it later would take them for disconnected.
            self._publish(told)
            self.begun = True
            self._failing = False
