"""PostgreSQL's partitions by month. What fits in none of them is in the DEFAULT one, so no odd date ever fails."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sqlalchemy import Connection
from twisted.logger import Logger

PARTITIONED = {"meter_values": "sampled_at", "charger_data": "received_at"}
"""Table and the time that it is partitioned by."""
MONTHS_AHEAD = 2
MOST_MOVED = 50_000
"""Rows that may be waiting in the DEFAULT partition for one that is made: nobody reads or writes there meanwhile."""
# Who waits for a lock holds up all who come after.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
_NAME = re.compile(r".*_y(\d{4})m(\d{2})")

_log = Logger(namespace="csms.storage")


def are_ours(connection: Connection) -> bool:
    """Whether this database user owns the tables, or may act as whoever does."""
    owned = "SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class WHERE oid = ANY (%s::regclass[])"
    return bool(connection.exec_driver_sql(owned, (list(PARTITIONED),)).scalar())


def make_one(connection: Connection, now: datetime) -> str:
    """Make one of the partitions from the month before ``now`` on that do not exist yet; its name, or nothing.

    Rows that are in the DEFAULT partition already move along. If they are too many they stay, and that month is no
    partition: it is slower to delete, and that is all.
    """
    month = _month_after(_first_of_month(now), -1)
    for offset in range(2 + MONTHS_AHEAD):
        begin = _month_after(month, offset)
        for table, column in PARTITIONED.items():
            name = f"{table}_y{begin:%Y}m{begin:%m}"
            if not connection.exec_driver_sql("SELECT to_regclass(%s)", (name,)).scalar():
                end = _month_after(begin, 1)
                if _too_many(connection, table, column, begin, end):
                    _log.warn("{name} is not made: too many rows of that month are elsewhere already", name=name)
                    continue
                _make_partition(connection, table, column, name, begin, end)
                return name
    return ""


def drop_one(connection: Connection, table: str, before: datetime) -> str:
    """Drop one partition of ``table`` whose month was over at ``before``; its name, or nothing."""
    for name in _partitions(connection, table):
        match = _NAME.fullmatch(name)
        if match and _month_after(datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC), 1) <= before:
            connection.exec_driver_sql(_LOCK_TIMEOUT)
            connection.exec_driver_sql(f"DROP TABLE {name}")
            return name
    return ""


def _too_many(connection: Connection, table: str, column: str, begin: datetime, end: datetime) -> bool:
    found = f"SELECT FROM {table}_default WHERE {_within(column, begin, end)} LIMIT {MOST_MOVED + 1}"
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM ({found}) AS found").scalar_one()) > MOST_MOVED


def _within(column: str, begin: datetime, end: datetime) -> str:
    return f"{column} >= '{begin.isoformat()}' AND {column} < '{end.isoformat()}'"


def _make_partition(connection: Connection, table: str, column: str, name: str, begin: datetime, end: datetime) -> None:
    within = _within(column, begin, end)
    bounds = f"FROM ('{begin.isoformat()}') TO ('{end.isoformat()}')"
    connection.exec_driver_sql(_LOCK_TIMEOUT)
    # Made by itself and attached, it does not lock the whole table as PARTITION OF would.
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
    connection.exec_driver_sql(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE")
    connection.exec_driver_sql(
        f"WITH moved AS (DELETE FROM {table}_default WHERE {within} RETURNING *) INSERT INTO {name} SELECT * FROM moved"
    )
    connection.exec_driver_sql(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}")


def _partitions(connection: Connection, table: str) -> list[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1"
    return [row[0] for row in connection.exec_driver_sql(query, (table,))]


def _first_of_month(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _month_after(month: datetime, count: int) -> datetime:
    years, index = divmod(month.month - 1 + count, 12)
    return month.replace(year=month.year + years, month=index + 1)
