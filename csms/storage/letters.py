"""Dead letters of the broker that lives in this process: it forgets its queues with the process, so they stay here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, select, update

from csms.ports import DeadLetter, Message
from csms.storage.sql import AnyRow, Sql
from csms.storage.tables import dead_letters

_table = dead_letters.c
_MESSAGE = (
    _table.body,
    _table.message_id,
    _table.type,
    _table.headers,
    _table.reply_to,
    _table.correlation_id,
    _table.expiration_s,
    _table.timestamp,
)
_DEATH = (_table.id, _table.exchange, _table.routing_key, _table.queue, _table.reason, _table.died_at)
_headers = msgspec.json.Decoder(dict[str, str | int])


class SqlLetters:
    """The table ``dead_letters``; ids are decimal text."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def add(self, letter: DeadLetter) -> None:
        """Keep ``letter``; it gets an id of the table's own."""
        message = letter.message
        values = {
            "body": message.body,
            "message_id": message.message_id,
            "type": message.type,
            "headers": msgspec.json.encode(dict(message.headers)).decode(),
            "reply_to": message.reply_to,
            "correlation_id": message.correlation_id,
            "expiration_s": message.expiration_s,
            "timestamp": message.timestamp,
            "exchange": letter.exchange,
            "routing_key": letter.routing_key,
            "queue": letter.queue,
            "reason": letter.reason,
            "died_at": letter.died_at,
        }
        self._sql.change(dead_letters.insert().values(values))

    def oldest(self, limit: int) -> Sequence[DeadLetter]:
        """The oldest, without those that are about to be replayed."""
        return self._find(_table.replay_requested_at.is_(None), limit)

    def to_replay(self, limit: int) -> Sequence[DeadLetter]:
        """Those that somebody, in whichever process, wants to be published again."""
        return self._find(_table.replay_requested_at.is_not(None), limit)

    def request_replay(self, ids: Sequence[str], now: datetime, body: bytes | None = None) -> int:
        """Mark these, with another ``body`` if it was mended; returns how many were found."""
        wanted = _numbers(ids)
        if not wanted:
            return 0
        values = {"replay_requested_at": now} if body is None else {"replay_requested_at": now, "body": body}
        marked = update(dead_letters).where(self._sql.any_of(_table.id, wanted)).values(values)
        return self._sql.change(marked)

    def drop(self, ids: Sequence[str]) -> int:
        """Delete these; returns how many were found."""
        wanted = _numbers(ids)
        return self._sql.change(delete(dead_letters).where(self._sql.any_of(_table.id, wanted))) if wanted else 0

    def _find(self, condition: Any, limit: int) -> Sequence[DeadLetter]:
        query = select(*_MESSAGE, *_DEATH).where(condition).order_by(_table.id).limit(limit)
        return [_letter(row) for row in self._sql.rows(query)]


def _numbers(ids: Sequence[str]) -> list[int]:
    """Ids that could be the table's: at most 18 digits."""
    return [int(text) for text in ids if text.isascii() and text.isdigit() and len(text) <= 18]


def _letter(row: AnyRow) -> DeadLetter:
    return DeadLetter(
        id=str(row.id),
        message=Message(
            body=bytes(row.body),
            message_id=row.message_id,
            type=row.type,
            headers=_headers.decode(row.headers),
            reply_to=row.reply_to,
            correlation_id=row.correlation_id,
            expiration_s=row.expiration_s,
            timestamp=row.timestamp,
        ),
        exchange=row.exchange,
        routing_key=row.routing_key,
        queue=row.queue,
        reason=row.reason,
        died_at=row.died_at,
    )
