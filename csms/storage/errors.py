"""What an exception of a driver means for the work that met it."""

from __future__ import annotations

import sqlite3
import sys
from enum import Enum

from sqlalchemy import exc


class Conflict(Exception):  # noqa: N818 - it names what happened
    """Something was there already that the work had not looked for: run it again, and it will see it."""


class Trouble(Enum):
    """What to do about a failed transaction."""

    CONFLICT = "conflict"
    """Met another transaction, or what it had not looked for: run the same work again at once."""
    LOST = "connection lost"
    """The connection died, perhaps in the commit: run the same work once more on a new one."""
    UNAVAILABLE = "unavailable"
    """Not the work's fault: it may succeed later."""
    FAULT = "fault"
    """The work's own fault: it would fail again."""


# SQLSTATE, whole or its first characters (PostgreSQL manual, appendix A). A missing right, table or column is a matter
# of the installation: it must stop the line rather than send every message to the dead letters.
# 23514: a row was on its way to the DEFAULT partition while the partition of its month was made. There are no CHECKs.
_CONFLICTS = ("40", "23505", "23503", "23514")
_LOST = ("08", "25P03", "25P04", "57P01", "57P02", "57P05")
_UNAVAILABLE = ("53", "55P03", "57", "58", "25006", "42501", "42P01", "42703", "3F000", "XX001", "XX002")

_SQLITE_CONFLICTS = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_FOREIGNKEY")
_SQLITE_UNAVAILABLE = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_PERM",
    "SQLITE_NOMEM",
    "SQLITE_READONLY",
    "SQLITE_INTERRUPT",
    "SQLITE_IOERR",
    "SQLITE_CORRUPT",
    "SQLITE_FULL",
    "SQLITE_CANTOPEN",
    "SQLITE_NOTADB",
)
_SQLITE_SCHEMA = ("no such table", "no such column")


def trouble_of(error: BaseException) -> Trouble:
    """What ``error``, raised by a transaction, means."""
    if isinstance(error, Conflict):
        return Trouble.CONFLICT
    if isinstance(error, exc.TimeoutError):
        return Trouble.UNAVAILABLE
    if isinstance(error, exc.DBAPIError):
        return _of_driver(error.orig, invalidated=error.connection_invalidated)
    if isinstance(error, sqlite3.Error | _psycopg2("Error")):
        return _of_driver(error, invalidated=False)
    return Trouble.FAULT


def _of_driver(error: BaseException | None, *, invalidated: bool) -> Trouble:
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error)
    code = getattr(error, "pgcode", None) or ""
    if code.startswith(_CONFLICTS):
        return Trouble.CONFLICT
    if invalidated or code.startswith(_LOST):
        return Trouble.LOST
    if code.startswith(_UNAVAILABLE):
        return Trouble.UNAVAILABLE
    no_answer = isinstance(error, _psycopg2("OperationalError") | _psycopg2("InterfaceError"))
    if not code and (no_answer or type(error) is _psycopg2("DatabaseError")):
        # No answer from a server at all: a connection that died, or could not be made.
        return Trouble.LOST
    return Trouble.FAULT


def _psycopg2(name: str) -> type[BaseException]:
    """A class of the driver, which is loaded only where there is a PostgreSQL; nothing is of it elsewhere."""
    return getattr(sys.modules.get("psycopg2"), name, _Never)


class _Never(Exception):  # noqa: N818 - it is never raised
    """In the place of a class that is not there."""


def _of_sqlite(error: sqlite3.Error) -> Trouble:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(_SQLITE_CONFLICTS):
        return Trouble.CONFLICT
    if name.startswith(_SQLITE_UNAVAILABLE) or any(text in str(error) for text in _SQLITE_SCHEMA):
        return Trouble.UNAVAILABLE
    return Trouble.FAULT
