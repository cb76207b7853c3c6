"""What a database needs from time to time: partitions ahead, and an end to what is kept.

PostgreSQL drops whole months of the message log and of the meter values. SQLite, and what lies in PostgreSQL's DEFAULT
partitions, loses rows that were *received* before the limit, some in each transaction, so that writers
never wait long; a sample that a charger dated 1970 lives as long as others do.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection
from twisted.logger import Logger

from csms.domain.retention import Retention
from csms.storage import partitions
from csms.storage.schema import SCHEMA_LOCK
from csms.storage.types import time_text

_log = Logger(namespace="csms.storage")

CHUNK = {"sqlite": 1000, "postgresql": 5000}
"""Rows that one transaction deletes, by dialect: SQLite has one writer, and everybody waits for it."""
EVENTS_KEPT = timedelta(days=30)
"""A notification that is delivered a second time after this would have its effect again."""
REGISTERS_KEPT = timedelta(days=90)
ANSWERS_KEPT = timedelta(days=1)
"""How long a request with an Idempotency-Key can be repeated without a second effect."""
TOKENS_SHOWN = timedelta(days=30)
"""How long an API token is listed after its end."""
RECORDS = {
    "transaction_events": "recorded_at",
    "commands": "created_at",
    "command_batches": "created_at",
    "reservations": "ended_at",
    "jobs": "updated_at",
    "certificate_requests": "finished_at",
    "unknown_tokens": "last_seen",
    "deviations": "last_seen",
}
"""Table and the time that counts, of ``Retention.records_days``. What has not ended has no time and stays."""

Step = Callable[[Connection], bool]
"""Does a little, in a transaction of its own; True when there is more to do."""


def steps(dialect: str, now: datetime, kept: Retention) -> list[Step]:
    """What is to be done at the time ``now``."""
    todo = [
        _delete("consumed_events", "consumed_at", now - EVENTS_KEPT),
        _delete("session_registers", "at", now - REGISTERS_KEPT),
        _delete("sign_in_links", "expires_at", now),
        _delete("browser_sessions", "expires_at", now),
        _delete("api_tokens", "expires_at", now - TOKENS_SHOWN),
        _delete("idempotency_keys", "created_at", now - ANSWERS_KEPT),
    ]
    if kept.records_days:
        todo += [_delete(table, column, _before(now, kept.records_days)) for table, column in RECORDS.items()]
    if kept.audit_days:
        todo.append(_delete_first("audit_log", "at", _before(now, kept.audit_days), key="id"))
    if kept.security_events_days:
        todo.append(_delete_first("security_events", "received_at", _before(now, kept.security_events_days), key="id"))
    if dialect == "postgresql":
        todo.append(lambda connection: make_room(connection, now))
    for table, days in {"meter_values": kept.meter_values_days, "charger_data": kept.message_log_days}.items():
        if days:
            todo += _whole_months_first(dialect, table, _before(now, days))
    return todo


def make_room(connection: Connection, now: datetime) -> bool:
    """Make one of PostgreSQL's partitions for the coming months; whether there was one to make.

    Nothing is done while another process is about it.
    """
    if connection.dialect.name != "postgresql" or not _alone(connection):
        return False
    made = partitions.make_one(connection, now)
    if made:
        _log.info("partition made: {made}", made=made)
    return bool(made)


def _whole_months_first(dialect: str, table: str, limit: datetime) -> list[Step]:
    if dialect != "postgresql":
        # SQLite's rows are in the order of their arrival, so that those to delete are the first; no index is needed.
        return [_delete_first(table, "received_at", limit, key="rowid")]

    def drop(connection: Connection) -> bool:
        dropped = partitions.drop_one(connection, table, limit) if _alone(connection) else ""
        if dropped:
            _log.info("partition dropped: {dropped}", dropped=dropped)
        return bool(dropped)

    return [drop, _delete(f"{table}_default", "received_at", limit)]


def _alone(connection: Connection) -> bool:
    """Whether this user may change the partitions and nobody else does; none can until the transaction ends."""
    if not partitions.are_ours(connection):
        _log.debug("this database user owns no tables: whoever does makes and drops partitions (csms-admin migrate)")
        return False
    return bool(connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s)", (SCHEMA_LOCK,)).scalar())


def _before(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days)


def _delete(table: str, column: str, before: datetime) -> Step:
    def step(connection: Connection) -> bool:
        chunk = CHUNK[connection.dialect.name]
        if connection.dialect.name == "sqlite":
            found = f"SELECT rowid FROM {table} WHERE {column} < ? LIMIT {chunk}"
            return _deleted(connection, f"DELETE FROM {table} WHERE rowid IN ({found})", time_text(before))
        found = f"SELECT ctid FROM {table} WHERE {column} < %s LIMIT {chunk}"
        return _deleted(connection, f"DELETE FROM {table} WHERE ctid = ANY (ARRAY({found}))", before)

    return step


def _delete_first(table: str, column: str, before: datetime, *, key: str) -> Step:
    """For rows that are in the order of ``key`` as they came, so that those to delete are the first."""

    def step(connection: Connection) -> bool:
        sqlite = connection.dialect.name == "sqlite"
        chunk = CHUNK[connection.dialect.name]
        first = f"SELECT {key} AS number, {column} AS moment FROM {table} ORDER BY {key} LIMIT {chunk}"
        old = f"SELECT number FROM ({first}) AS first WHERE moment < {'?' if sqlite else '%s'}"
        return _deleted(
            connection, f"DELETE FROM {table} WHERE {key} IN ({old})", time_text(before) if sqlite else before
        )

    return step


def _deleted(connection: Connection, statement: str, before: object) -> bool:
    return connection.exec_driver_sql(statement, (before,)).rowcount >= CHUNK[connection.dialect.name]
