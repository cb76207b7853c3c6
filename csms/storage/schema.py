"""Bringing the schema up to date: one process does, the others wait.

PostgreSQL: under an advisory lock, in one transaction. SQLite: in one transaction, which has the whole file for itself.

Alembic takes ten megabytes and a good part of a start, so it is loaded only where there is something to change
or to tell of (:mod:`csms.storage.migrating`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect
from twisted.logger import Logger

from csms.ports import DatabaseError

_log = Logger(namespace="csms.storage")

# "csms" in ASCII. Held while the schema or the partitions change.
SCHEMA_LOCK = 0x63736D73
TABLE_PATIENCE = "SET LOCAL lock_timeout = '2s'"
MIGRATIONS = Path(__file__).with_name("migrations")
_VERSION_TABLE = "alembic_version"


class SchemaTooNew(DatabaseError):  # noqa: N818 - it names the state
    """The database was written by a newer csms; this one must not touch it."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Where a database's schema stands."""

    current: str
    """Its revision; empty: there is none yet."""
    newest: str
    """The one that this version of csms needs."""
    missing: tuple[str, ...]
    """The steps from one to the other, a line each, in their order."""


def state(connection: Connection | None) -> SchemaState:
    """Look, and change nothing; None: there is no database yet. Raises :class:`SchemaTooNew`."""
    from csms.storage import migrating

    return migrating.state(_revision(connection) if connection is not None else "")


def upgrade(
    connection: Connection, *, to: str = "head", tell: Callable[[str], object] = lambda step: None
) -> list[str]:
    """Run, in the transaction of ``connection``, the migrations that are missing; returns what they did, a line each.

    ``tell`` is told of each when it is done; nothing of it counts before the commit. Raises :class:`SchemaTooNew`.
    """
    _take_lock(connection)
    current = _revision(connection)
    if current == newest():
        return []
    from csms.storage import migrating

    if not migrating.state(current).missing:
        return []
    done: list[str] = []

    def applied(step: str) -> None:
        done.append(step)
        _log.info("database schema: {step}", step=step)
        tell(step)

    migrating.run(connection, to, applied)
    return done


def newest() -> str:
    """The revision that this version of csms needs: files of migrations are named in their order."""
    return max((path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")), default="")


def _revision(connection: Connection) -> str:
    """The one that the database is at; empty: there is no schema yet."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return ""
    return str(connection.exec_driver_sql(f"SELECT version_num FROM {_VERSION_TABLE}").scalar() or "")


def _take_lock(connection: Connection) -> None:
    """Until the transaction ends. SQLite's transaction holds the file already.

    Whoever waits for a table holds up all who come after, so that is not done for long.
    """
    if connection.dialect.name == "sqlite":
        return
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    taken = connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s)", (SCHEMA_LOCK,)).scalar()
    if not taken:
        _log.info("another process brings the database up to date; waiting for it")
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
    connection.exec_driver_sql(TABLE_PATIENCE)
