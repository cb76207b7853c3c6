"""Commands to chargers, and their batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import func, select

from csms.domain.command_model import OPEN_STATES, Command, CommandBatch, CommandState, Priority, Source
from csms.storage.sql import Sql
from csms.storage.tables_commands import command_batches, commands
from csms.storage.tracking import Shape, Tracked

_command = Shape(Command, commands, loaded={"priority": Priority, "state": CommandState, "source": Source})
_batch = Shape(CommandBatch, command_batches)
_table = commands.c
_is_open = _table.state.in_([state.value for state in OPEN_STATES])


class SqlCommands:
    """Implements :class:`csms.domain.repositories_commands.Commands`.

    A command that is read in order to be changed is locked: gateways, workers and callers all change the same rows.
    """

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._by_command_id: dict[str, Command] = {}
        self._open_of: set[int] = set()
        """Chargers whose open commands are all known."""
        self._commands = Tracked(sql, _command, partial(_index, self._by_command_id))
        self._batches = Tracked(sql, _batch)

    def get(self, command_id: str) -> Command | None:
        found = self.several([command_id])
        return found[0] if found else None

    def several(self, command_ids: Iterable[str]) -> Sequence[Command]:
        wanted = set(command_ids)
        unknown = wanted - self._by_command_id.keys()
        if unknown:
            query = _command.query().where(self._sql.any_of(_table.command_id, unknown)).order_by(_table.id)
            self._commands.fetch(self._sql.locked(query))
        return [self._by_command_id[one] for one in sorted(wanted) if one in self._by_command_id]

    def add(self, command: Command) -> Command:
        return self._commands.add(command)

    def unsent(self, charger_id: int) -> Sequence[Command]:
        self.load_open([charger_id])
        mine = (one for one in self._commands.known() if one.charger_id == charger_id and one.state.is_unsent)
        return sorted(mine, key=lambda command: command.id)

    def load_open(self, charger_ids: Iterable[int]) -> None:
        """Fetch the open commands of these chargers, in one query."""
        unknown = set(charger_ids) - self._open_of
        if unknown:
            query = _command.query().where(self._sql.any_of(_table.charger_id, unknown), _is_open).order_by(_table.id)
            self._commands.fetch(self._sql.locked(query))
            self._open_of |= unknown

    def open_counts(self, charger_ids: Iterable[int]) -> Mapping[int, int]:
        self.flush()
        mine = self._sql.any_of(_table.charger_id, charger_ids)
        query = select(_table.charger_id, func.count()).where(mine, _is_open).group_by(_table.charger_id)
        return {row[0]: row[1] for row in self._sql.rows(query)}

    def due(self, now: datetime, *, limit: int) -> Sequence[Command]:
        self.flush()
        query = _command.query().where(_table.look_at <= now, _is_open).order_by(_table.look_at).limit(limit)
        return self._commands.fetch(query.with_for_update(skip_locked=True, key_share=True))

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
        self.flush()
        query = _command.query().order_by(_table.command_id.desc()).limit(limit)
        wanted = {"device_id": device_id, "action": action, "batch_id": batch_id, "state": state and state.value}
        query = query.where(*(_table[name] == value for name, value in wanted.items() if value))
        return self._commands.fetch(query.where(_table.command_id < before) if before else query)

    def add_batch(self, batch: CommandBatch) -> CommandBatch:
        return self._batches.add(batch)

    def batch(self, batch_id: str) -> CommandBatch | None:
        self.flush()
        found = self._batches.fetch(_batch.query().where(command_batches.c.batch_id == batch_id))
        return found[0] if found else None

    def states_of(self, batch_id: str) -> Mapping[CommandState, int]:
        self.flush()
        # The second condition is the index's own.
        query = select(_table.state, func.count()).where(_table.batch_id == batch_id, _table.batch_id != "")
        return {CommandState(row[0]): row[1] for row in self._sql.rows(query.group_by(_table.state))}

    def flush(self) -> None:
        """Write what is new and what changed."""
        self._batches.flush()
        self._commands.flush()


def _index(by_command_id: dict[str, Command], command: Command) -> None:
    by_command_id[command.command_id] = command
