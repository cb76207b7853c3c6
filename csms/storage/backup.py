"""A copy of an SQLite database that is in use, and what has to be done with a database that was restored."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, text

from csms.ports import DatabaseError
from csms.storage.engines import database_url
from csms.storage.tables import metadata, shards

POSTGRESQL_HINT = "PostgreSQL has tools of its own for this: pg_dump, or a base backup with the archive of its log"


def back_up(url: str, target: Path) -> int:
    """Write what is committed now to the new file ``target``, and check it; its size in bytes.

    Nobody is held up meanwhile. Raises :class:`csms.ports.DatabaseError`, :class:`FileExistsError` and other OSErrors.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() != "sqlite":
        raise DatabaseError(POSTGRESQL_HINT)
    source = Path(parsed.database or "")
    if not source.exists():
        raise DatabaseError(f"there is no database {source}")
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    part = target.with_name(f"{target.name}.part")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        _copy(source, part)
        os.rename(part, target)
    finally:
        part.unlink(missing_ok=True)
    _sync(target.parent)
    return target.stat().st_size


def _copy(source: Path, part: Path) -> None:
    try:
        with closing(sqlite3.connect(source, timeout=30.0)) as origin, closing(sqlite3.connect(part)) as copy:
            # All at once is one snapshot: page by page, it would begin anew with every commit of others.
            origin.backup(copy)
            # One file, without a log beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
            found = copy.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.Error as error:
        raise DatabaseError(f"{source} cannot be copied: {error}") from error
    if found != "ok":
        raise DatabaseError(f"the copy of {source} is damaged: {found}")
    _sync(part)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def skip_ids(connection: Connection, by: int) -> None:
    """Let no id be given out twice that is not in the backup, and fence whoever still works with what is lost."""
    for table in metadata.sorted_tables:
        if "id" not in table.c:
            continue
        if connection.dialect.name == "sqlite":
            _skip_in_sqlite(connection, table.name, by)
        else:
            sequence = f"{table.name}_id_seq"
            connection.execute(
                text("SELECT setval(CAST(:name AS regclass), nextval(CAST(:name AS regclass)) + :by)"),
                {"name": sequence, "by": by},
            )
    connection.execute(shards.update().values(epoch=shards.c.epoch + by))


def _skip_in_sqlite(connection: Connection, table: str, by: int) -> None:
    parameters = {"name": table, "by": by}
    changed = connection.execute(text("UPDATE sqlite_sequence SET seq = seq + :by WHERE name = :name"), parameters)
    if not changed.rowcount:
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :by)"), parameters)
