"""SQLAlchemy engines: one that writes and one that reads."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from csms.ports import DatabaseError

BUSY_TIMEOUT_S = 10.0
_BUSY_PAUSE_S = 0.02
CONNECT_TIMEOUT_S = 5
IDLE_TIMEOUT_S = 20
"""A process that hangs within a transaction is cut off: others wait for what it has locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Connections are opened when they are first needed, at most as many as there are threads to use them."""

    dialect: str
    write: Engine
    read: Engine
    writers: int
    readers: int
    silence_s: float
    """How long the server may take for a statement."""

    def dispose(self) -> None:
        """Close what is idle, and what is in use once it is given back."""
        self.read.dispose()
        self.write.dispose()


def database_url(url: str, password: str = "") -> URL:
    """``url`` with its driver and ``password``; raises :class:`DatabaseError` for one that csms cannot use."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseError(f"not a database URL: {error}") from error
    dialect = parsed.get_backend_name()
    if dialect == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise DatabaseError("an SQLite database needs a file: sqlite:///path/to/csms.db")
        # Absolute from now on: a daemon changes its directory before it opens anything.
        path = str(Path(parsed.database).absolute())
        return parsed.set(drivername="sqlite+pysqlite", database=path)
    if dialect in ("postgresql", "postgres"):
        if password:
            parsed = parsed.set(password=password)
        return parsed.set(drivername="postgresql+psycopg2")
    raise DatabaseError(f"csms stores in SQLite or PostgreSQL, not in {dialect}")


def open_engines(url: URL, *, pool_size: int, statement_timeout_s: float) -> Engines:
    """Engines for ``url``. Nothing is opened yet. SQLite has no statement timeout, only one for locks."""
    if url.get_backend_name() == "sqlite":
        return Engines(
            dialect="sqlite",
            write=_sqlite(url, pool_size=1, read_only=False),
            read=_sqlite(url, pool_size=pool_size, read_only=True),
            writers=1,
            readers=pool_size,
            silence_s=statement_timeout_s,
        )
    # Reads never queue behind writes: they have threads and connections of their own.
    readers = max(1, pool_size // 3)
    engine = _postgresql(url, pool_size=pool_size, statement_timeout_s=statement_timeout_s)
    return Engines(
        dialect="postgresql",
        write=engine,
        # Each read is a single snapshot anyway, and needs no BEGIN and ROLLBACK around it.
        read=engine.execution_options(isolation_level="AUTOCOMMIT"),
        writers=max(1, pool_size - readers),
        readers=readers,
        silence_s=statement_timeout_s,
    )


def _postgresql(url: URL, *, pool_size: int, statement_timeout_s: float) -> Engine:
    settings = {
        "timezone": "UTC",
        "statement_timeout": round(statement_timeout_s * 1000),
        "idle_in_transaction_session_timeout": IDLE_TIMEOUT_S * 1000,
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return create_engine(
        url,
        pool_size=max(2, pool_size),
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
        hide_parameters=True,
        # It would ask each new connection about a type that csms does not use.
        use_native_hstore=False,
        connect_args={
            "options": options,
            "application_name": "csms",
            "client_encoding": "UTF8",
            "connect_timeout": CONNECT_TIMEOUT_S,
            # A peer that vanished without a word is found within half a minute.
            "keepalives": 1,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30000,
        },
    )


def _sqlite(url: URL, *, pool_size: int, read_only: bool) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
        hide_parameters=True,
        # The connection's thread may change, never while it is in use.
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_S},
    )

    @event.listens_for(engine, "do_connect")
    def make_directory(*_: Any) -> None:
        if read_only or not url.database:
            return
        directory = Path(url.database).parent
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(f"cannot make the directory {directory}: {error.strerror}") from error

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        # The driver's own idea of when to begin is switched off; see begin().
        connection.isolation_level = None
        _write_ahead(connection)
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # To take the write lock at once never fails half-way; a late upgrade of a read lock would.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch the write-ahead log on.

    While another process does that to a new file, SQLite does not wait as it does for other locks, but fails.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_PAUSE_S)
        else:
            return
