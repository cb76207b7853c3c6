"""What the lines of commands of a gateway share: the claims, and the clock that ends waiting."""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

from csms.domain import command_life
from csms.domain.messages import CommandOrder
from csms.gateway.clock import Clock
from csms.ports import Database, DatabaseError
from csms.walltime import utc

_log = Logger(namespace="csms.gateway")


class Waiting(Protocol):
    """A line that waits for its charger's answer."""

    def tick(self, now: float) -> None:
        """Time has passed."""
        ...


class Desk:
    """One for all lines of a gateway."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.clock = clock
        self.stopping = False
        """No further command is begun; what waits is put on its way again by the worker."""
        self.in_hand: set[Waiting] = set()
        """Lines that wait for a charger's answer."""
        self._database = database

    def sweep(self, now: float) -> None:
        """Give up what chargers have not answered in time."""
        for line in tuple(self.in_hand):
            line.tick(now)

    async def claim(self, order: CommandOrder) -> bool:
        """Whether this gateway, and nobody else, is to send it."""
        now = utc(self.clock)
        try:
            return await self._database.transact(
                lambda uow: command_life.claim(uow, order.command_id, now), name="claim command"
            )
        except DatabaseError as error:
            # Whether the claim was stored or not: if it was, its outcome becomes unknown, else it comes again.
            _log.warn("command {id} is not claimed: {error}", id=order.command_id, error=str(error))
            return False

    async def give_back(self, order: CommandOrder) -> None:
        """It was claimed and surely not written."""
        now = utc(self.clock)
        try:
            await self._database.transact(
                lambda uow: command_life.give_back(uow, order.command_id, now), name="give command back"
            )
        except DatabaseError as error:
            _log.warn("command {id} is not given back: {error}", id=order.command_id, error=str(error))
