"""Answers kept by Idempotency-Key."""

from __future__ import annotations

import msgspec
from sqlalchemy import delete, select, update

from csms.domain.repositories_kept_answers import UNDER_WAY, KeptAnswer
from csms.storage.sql import Sql
from csms.storage.tables_people import idempotency_keys

_table = idempotency_keys.c
_headers = msgspec.json.Decoder(dict[str, str])


class SqlKeptAnswers:
    """Implements :class:`csms.domain.repositories_kept_answers.KeptAnswers`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def begin(self, key_hash: str, answer: KeptAnswer) -> KeptAnswer | None:
        values = {
            "key_hash": key_hash,
            "request_hash": answer.request_hash,
            "status": UNDER_WAY,
            "headers": "{}",
            "body": b"",
            "created_at": answer.created_at,
        }
        row = self._sql.first(select(idempotency_keys).where(_table.key_hash == key_hash))
        if row is None:
            # Of two that begin at once, the second meets a conflict, is tried again and finds the first.
            self._sql.change(idempotency_keys.insert().values(values))
            return None
        return KeptAnswer(
            request_hash=row.request_hash,
            created_at=row.created_at,
            status=row.status,
            headers=_headers.decode(row.headers),
            body=bytes(row.body),
        )

    def finish(self, key_hash: str, answer: KeptAnswer) -> None:
        headers = msgspec.json.encode(dict(answer.headers)).decode()
        values = {"status": answer.status, "headers": headers, "body": answer.body}
        self._sql.change(update(idempotency_keys).where(_table.key_hash == key_hash).values(values))

    def forget(self, key_hash: str) -> None:
        self._sql.change(delete(idempotency_keys).where(_table.key_hash == key_hash))
