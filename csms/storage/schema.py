"""Bringing the schema up to date: one process does, the others wait.

PostgreSQL: under an advisory lock, in one transaction. SQLite: in one transaction, which has the whole file for itself.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from twisted.logger import Logger

from csms.ports import DatabaseError

_log = Logger(namespace="csms.storage")

# "csms" in ASCII. Held while the schema or the partitions change.
SCHEMA_LOCK = 0x63736D73
TABLE_PATIENCE = "SET LOCAL lock_timeout = '2s'"
_MIGRATIONS = Path(__file__).with_name("migrations")
# Alembic keeps what it is doing in module globals.
_one_at_a_time = threading.Lock()


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
    current = MigrationContext.configure(connection).get_current_revision() if connection is not None else None
    return _state(current or "", ScriptDirectory.from_config(_config()))


def upgrade(
    connection: Connection, *, to: str = "head", tell: Callable[[str], object] = lambda step: None
) -> list[str]:
    """Run, in the transaction of ``connection``, the migrations that are missing; returns what they did, a line each.

    ``tell`` is told of each when it is done; nothing of it counts before the commit. Raises :class:`SchemaTooNew`.
    """
    _take_lock(connection)
    if not state(connection).missing:
        return []
    config = _config()
    done: list[str] = []

    def applied(step: str) -> None:
        done.append(step)
        _log.info("database schema: {step}", step=step)
        tell(step)

    config.attributes["connection"] = connection
    config.attributes["applied"] = applied
    with _one_at_a_time:
        command.upgrade(config, to)
    return done


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    # A path may hold blanks, colons and semicolons.
    config.set_main_option("path_separator", "newline")
    return config


def _state(current: str, script: ScriptDirectory) -> SchemaState:
    newest = script.get_current_head() or ""
    steps = {step.revision: f"{step.revision} ({step.doc})" for step in script.walk_revisions()}
    if current and current not in steps:
        raise SchemaTooNew(
            f"the database's schema is at revision {current}, and this version of csms knows it only up to {newest}: "
            "a newer version has changed it. Run that version, or restore a backup of before into another database"
        )
    # From the newest to the oldest, so that what is missing comes first.
    behind = list(itertools.takewhile(lambda revision: revision != current, steps))
    return SchemaState(current, newest, tuple(steps[revision] for revision in reversed(behind)))


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
