"""Who is alive, and who holds which shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select, update

from csms.ports import Fenced
from csms.storage.sql import IGNORE, Clauses, Sql, replace
from csms.storage.tables import gateways, installation, shards

_SHARD_COUNT = "shards"


class SqlGateways:
    """Implements :class:`csms.domain.repositories.Gateways`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def alive(self, name: str, *, started_at: datetime, now: datetime) -> None:
        columns = ("name", "started_at", "seen_at")
        self._sql.insert(gateways, columns, [(name, started_at, now)], replace(columns, ("name",)))

    def silent_since(self, moment: datetime) -> Sequence[str]:
        query = select(gateways.c.name).where(gateways.c.seen_at < moment).order_by(gateways.c.name)
        names = [row[0] for row in self._sql.rows(query.with_for_update(skip_locked=True))]
        if names:
            self._sql.change(delete(gateways).where(self._sql.any_of(gateways.c.name, names)))
        return names


class SqlShards:
    """Implements :class:`csms.domain.repositories.Shards`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def count(self, *, default: int) -> int:
        query = select(installation.c.value).where(installation.c.name == _SHARD_COUNT)
        row = self._sql.first(query)
        if row is None:
            self._sql.insert(installation, ("name", "value"), [(_SHARD_COUNT, str(default))], IGNORE)
            # Somebody else may have been quicker.
            row = self._sql.first(query)
        return int(row[0]) if row is not None else default

    def take(self, shard: int) -> int:
        self._sql.insert(shards, ("shard", "epoch"), [(shard, 0)], IGNORE)
        self._sql.change(update(shards).where(shards.c.shard == shard).values(epoch=shards.c.epoch + 1))
        row = self._sql.first(select(shards.c.epoch).where(shards.c.shard == shard))
        if row is None:
            raise Fenced(f"shard {shard} was removed")
        # What is written for the shard from now on comes behind what its last holder has written.
        self._sql.forget_ids()
        return int(row[0])

    def fence(self, epochs: Mapping[int, int]) -> None:
        newest = {row[0]: row[1] for row in self._sql.rows(self._sql.made(_held_epochs), shards=list(epochs))}
        for shard, epoch in epochs.items():
            if (known := newest.get(shard, 0)) != epoch:
                raise Fenced(f"shard {shard} is in epoch {known}; this worker held it in epoch {epoch}")


def _held_epochs(clauses: Clauses) -> Select[Any]:
    mine = clauses.any_of(shards.c.shard, "shards")
    return clauses.locked(select(shards.c.shard, shards.c.epoch).where(mine).order_by(shards.c.shard))
