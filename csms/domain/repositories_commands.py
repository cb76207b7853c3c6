"""What a unit of work offers for commands. A command that is read in order to be changed is locked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from csms.domain.command_model import Command, CommandBatch, CommandState


class Commands(Protocol):
    """Commands to chargers, and the batches that they belong to."""

    def get(self, command_id: str) -> Command | None: ...

    def several(self, command_ids: Iterable[str]) -> Sequence[Command]:
        """Those of these that there are, oldest first."""
        ...

    def add(self, command: Command) -> Command:
        """Write a new command."""
        ...

    def unsent(self, charger_id: int) -> Sequence[Command]:
        """The charger's commands that it has not seen and still may, oldest first."""
        ...

    def open_counts(self, charger_ids: Iterable[int]) -> Mapping[int, int]:
        """How many commands of each of these chargers are not at their end; chargers without any are left out."""
        ...

    def due(self, now: datetime, *, limit: int) -> Sequence[Command]:
        """Open commands whose ``look_at`` has come and that nobody else looks at just now, the most overdue first."""
        ...

    def page(
        self,
        *,
        device_id: str = "",
        action: str = "",
        state: CommandState | None = None,
        batch_id: str = "",
        before: str = "",
        limit: int = 100,
    ) -> Sequence[Command]:
        """Newest first; ``before`` (a command id) continues a listing. Empty: any."""
        ...

    def add_batch(self, batch: CommandBatch) -> CommandBatch:
        """Write a new batch."""
        ...

    def batch(self, batch_id: str) -> CommandBatch | None: ...

    def states_of(self, batch_id: str) -> Mapping[CommandState, int]:
        """How many commands of a batch are in each state; states without any are left out."""
        ...
