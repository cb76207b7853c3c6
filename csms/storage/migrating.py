"""Alembic: which migrations there are, and running them. :mod:`csms.storage.schema` says when."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from csms.storage.schema import MIGRATIONS, SchemaState, SchemaTooNew

# Alembic keeps what it is doing in module globals.
_one_at_a_time = threading.Lock()


def state(current: str) -> SchemaState:
    """Where a database at revision ``current`` stands, empty: at none. Raises :class:`SchemaTooNew`."""
    script = ScriptDirectory.from_config(_config())
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


def run(connection: Connection, to: str, applied: Callable[[str], object]) -> None:
    """Run the migrations up to revision ``to`` in the transaction of ``connection``; ``applied`` is told of each."""
    config = _config()
    config.attributes["connection"] = connection
    config.attributes["applied"] = applied
    with _one_at_a_time:
        command.upgrade(config, to)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    # A path may hold blanks, colons and semicolons.
    config.set_main_option("path_separator", "newline")
    return config
