"""Bringing the schema up to date: one process does, the others wait.

PostgreSQL: under an advisory lock, in one transaction. SQLite: in one transaction, which has the whole file for itself.
"""

from __future__ import annotations

import threading
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
_MIGRATIONS = Path(__file__).with_name("migrations")
# Alembic keeps what it is doing in module globals.
_one_at_a_time = threading.Lock()


class SchemaTooNew(DatabaseError):  # noqa: N818 - it names the state
    """The database was written by a newer csms; this one must not touch it."""


def upgrade(connection: Connection) -> list[str]:
    """Run, in the transaction of ``connection``, the migrations that are missing; returns what they did, a line each.

    Raises :class:`SchemaTooNew`.
    """
    _take_lock(connection)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    # A path may hold blanks, colons and semicolons.
    config.set_main_option("path_separator", "newline")
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_heads()
    known = {revision.revision for revision in script.walk_revisions()}
    unknown = [revision for revision in current if revision not in known]
    if unknown:
        raise SchemaTooNew(
            f"the database's schema is at {unknown[0]}, which this version of csms does not know: "
            "a newer version has written it, so run that one (or restore an older backup)"
        )
    if set(current) == set(script.get_heads()):
        return []
    done: list[str] = []

    def applied(step: str) -> None:
        done.append(step)
        _log.info("database schema: {step}", step=step)

    config.attributes["connection"] = connection
    config.attributes["applied"] = applied
    with _one_at_a_time:
        command.upgrade(config, "head")
    return done


def _take_lock(connection: Connection) -> None:
    """Until the transaction ends. SQLite's transaction holds the file already."""
    if connection.dialect.name == "sqlite":
        return
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    taken = connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s)", (SCHEMA_LOCK,)).scalar()
    if not taken:
        _log.info("another process brings the database up to date; waiting for it")
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
