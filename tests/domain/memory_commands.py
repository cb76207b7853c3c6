"""Commands in a dictionary, for tests of handlers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from csms.domain.command_model import Command, CommandBatch, CommandState


@dataclass
class MemoryCommands:
    rows: dict[str, Command] = field(default_factory=dict)
    batches: dict[str, CommandBatch] = field(default_factory=dict)

    def get(self, command_id: str) -> Command | None:
        return self.rows.get(command_id)

    def several(self, command_ids: Iterable[str]) -> Sequence[Command]:
        return [self.rows[one] for one in sorted(set(command_ids)) if one in self.rows]

    def add(self, command: Command) -> Command:
        command.id = len(self.rows) + 1
        self.rows[command.command_id] = command
        return command

    def unsent(self, charger_id: int) -> Sequence[Command]:
        return [row for row in self.rows.values() if row.charger_id == charger_id and row.state.is_unsent]

    def open_counts(self, charger_ids: Iterable[int]) -> Mapping[int, int]:
        counts: dict[int, int] = {}
        wanted = set(charger_ids)
        for row in self.rows.values():
            if row.charger_id in wanted and not row.state.is_final:
                counts[row.charger_id] = counts.get(row.charger_id, 0) + 1
        return counts

    def due(self, now: datetime, *, limit: int) -> Sequence[Command]:
        found = [row for row in self.rows.values() if not row.state.is_final and row.look_at <= now]
        return sorted(found, key=lambda row: row.look_at)[:limit]

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
        found = [
            row
            for row in self.rows.values()
            if device_id in ("", row.device_id)
            and action in ("", row.action)
            and state in (None, row.state)
            and batch_id in ("", row.batch_id)
            and (not before or row.command_id < before)
        ]
        return sorted(found, key=lambda row: row.command_id, reverse=True)[:limit]

    def add_batch(self, batch: CommandBatch) -> CommandBatch:
        batch.id = len(self.batches) + 1
        self.batches[batch.batch_id] = batch
        return batch

    def batch(self, batch_id: str) -> CommandBatch | None:
        return self.batches.get(batch_id)

    def states_of(self, batch_id: str) -> Mapping[CommandState, int]:
        counts: dict[CommandState, int] = {}
        for row in self.rows.values():
            if row.batch_id == batch_id:
                counts[row.state] = counts.get(row.state, 0) + 1
        return counts
