"""What a database needs from time to time: partitions ahead, and an end to what is kept.

PostgreSQL drops whole months of the message log and of the meter values. SQLite, and what lies in PostgreSQL's DEFAULT
partitions, loses rows that were *received* before the limit, a few thousand in each transaction, so that writers
never wait long; a sample that a charger dated 1970 lives as long as others do.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection
from twisted.logger import Logger

from csms.storage import partitions
from csms.storage.schema import SCHEMA_LOCK
from csms.storage.types import time_text

_log = Logger(namespace="csms.storage")

CHUNK = 5000
EVENTS_KEPT = timedelta(days=30)
"""A notification that is delivered a second time after this would have its effect again."""
REGISTERS_KEPT = timedelta(days=90)
ANSWERS_KEPT = timedelta(days=1)
"""How long a request with an Idempotency-Key can be repeated without a second effect."""
TOKENS_SHOWN = timedelta(days=30)
"""How long an API token is listed after its end."""

Step = Callable[[Connection], bool]
"""Does a little, in a transaction of its own; True when there is more to do."""


def steps(dialect: str, now: datetime, retention_days: int) -> list[Step]:
    """What is to be done at the time ``now``; with ``retention_days`` 0, log and meter values are kept for ever."""
    todo = [
        _delete("consumed_events", "consumed_at", now - EVENTS_KEPT),
        _delete("session_registers", "at", now - REGISTERS_KEPT),
        _delete("sign_in_links", "expires_at", now),
        _delete("browser_sessions", "expires_at", now),
        _delete("api_tokens", "expires_at", now - TOKENS_SHOWN),
        _delete("idempotency_keys", "created_at", now - ANSWERS_KEPT),
    ]
    limit = now - timedelta(days=retention_days)
    if dialect == "postgresql":
        todo.append(lambda connection: _months(connection, now, limit if retention_days else None))
    if retention_days:
        todo.append(_delete("transaction_events", "recorded_at", limit))
        todo.append(_delete("commands", "created_at", limit))
        todo.append(_delete("command_batches", "created_at", limit))
        todo.append(_delete("unknown_tokens", "last_seen", limit))
        todo.append(_delete("deviations", "last_seen", limit))
        for table in partitions.PARTITIONED:
            if dialect == "postgresql":
                todo.append(_delete(f"{table}_default", "received_at", limit))
            else:
                todo.append(_delete_first_rows(table, limit))
    return todo


def make_room(connection: Connection, now: datetime) -> None:
    """Make PostgreSQL's partitions for the coming months, unless another process is about it."""
    if connection.dialect.name == "postgresql":
        _months(connection, now, None)


def _months(connection: Connection, now: datetime, limit: datetime | None) -> bool:
    if connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s)", (SCHEMA_LOCK,)).scalar():
        made = partitions.make_room(connection, now)
        dropped = partitions.drop_old(connection, limit) if limit is not None else []
        if made or dropped:
            _log.info("partitions made: {made}; dropped: {dropped}", made=made, dropped=dropped)
    return False


def _delete(table: str, column: str, before: datetime) -> Step:
    def step(connection: Connection) -> bool:
        if connection.dialect.name == "sqlite":
            found = f"SELECT rowid FROM {table} WHERE {column} < ? LIMIT {CHUNK}"
            return _deleted(connection, f"DELETE FROM {table} WHERE rowid IN ({found})", time_text(before))
        found = f"SELECT ctid FROM {table} WHERE {column} < %s LIMIT {CHUNK}"
        return _deleted(connection, f"DELETE FROM {table} WHERE ctid = ANY (ARRAY({found}))", before)

    return step


def _delete_first_rows(table: str, before: datetime) -> Step:
    """SQLite's rows are in the order of their arrival, so that those to delete are the first; no index is needed."""
    first = f"SELECT rowid AS number, received_at FROM {table} ORDER BY rowid LIMIT {CHUNK}"
    statement = f"DELETE FROM {table} WHERE rowid IN (SELECT number FROM ({first}) WHERE received_at < ?)"
    return lambda connection: _deleted(connection, statement, time_text(before))


def _deleted(connection: Connection, statement: str, before: object) -> bool:
    return connection.exec_driver_sql(statement, (before,)).rowcount >= CHUNK
