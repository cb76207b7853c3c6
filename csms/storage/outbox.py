"""Notifications and commands on their way to the broker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, or_, select, update

from csms.domain.command_model import Command
from csms.domain.commands import order_of
from csms.domain.messages import Notification, encode, encode_notification
from csms.domain.repositories import OutboxRow
from csms.domain.topology import COMMANDS_EXCHANGE, EVENTS_EXCHANGE, notification_key
from csms.storage.sql import OR_CONFLICT, Sql
from csms.storage.tables import outbox

_New = tuple[str, str, str, bytes, Notification | None]
_COLUMNS = ("id", "exchange", "event_id", "routing_key", "body", "taken_at", "shard")
_rows = select(outbox.c.id, outbox.c.exchange, outbox.c.event_id, outbox.c.routing_key, outbox.c.body)


class SqlOutbox:
    """Implements :class:`csms.domain.repositories.Outbox`.

    Rows belong to whoever wrote or took them last; ``taken_at`` says when, by the storage's own clock. What
    :meth:`waiting` gives out is taken again only when it has grown old anew, so two takers never publish the same.
    Rows of a shard are told in their order, so whoever takes the shard takes them along, young as they are.
    """

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._new: list[tuple[int | None, OutboxRow]] = []
        self._published: list[int] = []

    def add(self, notifications: Iterable[Notification], *, shard: int | None = None) -> Sequence[OutboxRow]:
        return self._add(
            shard,
            [
                (EVENTS_EXCHANGE, one.event_id, notification_key(one.type), encode_notification(one), one)
                for one in notifications
            ],
        )

    def route(self, commands: Iterable[Command], *, shard: int | None = None) -> Sequence[OutboxRow]:
        return self._add(
            shard, [(COMMANDS_EXCHANGE, one.command_id, one.device_id, encode(order_of(one)), None) for one in commands]
        )

    def waiting(self, *, older_than: datetime, limit: int, of_shards: datetime | None = None) -> Sequence[OutboxRow]:
        stale = _rows.where(outbox.c.taken_at < older_than).order_by(outbox.c.id).limit(limit)
        if of_shards is not None:
            stale = stale.where(or_(outbox.c.shard.is_(None), outbox.c.taken_at < of_shards))
        return self._taken(stale.with_for_update(skip_locked=True))

    def of_shard(self, shard: int, *, after: int, limit: int) -> Sequence[OutboxRow]:
        mine = _rows.where(outbox.c.shard == shard, outbox.c.id > after).order_by(outbox.c.id).limit(limit)
        # None is skipped: who has locked one is a sweep, which would tell it too late.
        return self._taken(mine.with_for_update())

    def _taken(self, query: Select[Any]) -> Sequence[OutboxRow]:
        self.flush()
        found = [
            OutboxRow(id=row[0], exchange=row[1], event_id=row[2], routing_key=row[3], body=row[4].encode())
            for row in self._sql.rows(query)
        ]
        if found:
            mine = self._sql.any_of(outbox.c.id, [row.id for row in found])
            self._sql.change(update(outbox).where(mine).values(taken_at=datetime.now(UTC)))
        return found

    def published(self, ids: Sequence[int]) -> None:
        self._published += ids

    def flush(self) -> None:
        """Remove what was published, and write what was added."""
        published, self._published = self._published, []
        self._sql.delete(outbox, published)
        now = datetime.now(UTC)
        rows = [
            (row.id, row.exchange, row.event_id, row.routing_key, row.body.decode(), now, shard)
            for shard, row in self._new
        ]
        self._new.clear()
        self._sql.insert(outbox, _COLUMNS, rows, OR_CONFLICT)

    def _add(self, shard: int | None, messages: Sequence[_New]) -> Sequence[OutboxRow]:
        self._sql.want_ids(outbox, len(messages))
        rows = [
            OutboxRow(
                id=self._sql.new_id(outbox),
                exchange=exchange,
                event_id=message_id,
                routing_key=routing_key,
                body=body,
                notification=notification,
            )
            for exchange, message_id, routing_key, body, notification in messages
        ]
        self._new.extend((shard, row) for row in rows)
        return rows
