"""What errors of the drivers mean."""

from __future__ import annotations

import unittest

import psycopg2
from psycopg2 import errorcodes
from sqlalchemy import exc

from csms.ports import Fenced
from csms.storage.errors import Conflict, Trouble, trouble_of


class _Coded(psycopg2.OperationalError):
    pgcode = ""


def coded(code: str) -> exc.DBAPIError:
    """An error with a SQLSTATE, as SQLAlchemy raises it."""
    error = _Coded(code)
    error.pgcode = code
    return exc.DBAPIError("SELECT", None, error)


class TroubleTests(unittest.TestCase):
    def test_sqlstates(self) -> None:
        expected = {
            Trouble.CONFLICT: (
                errorcodes.SERIALIZATION_FAILURE,
                errorcodes.DEADLOCK_DETECTED,
                errorcodes.UNIQUE_VIOLATION,
                errorcodes.FOREIGN_KEY_VIOLATION,
                errorcodes.CHECK_VIOLATION,
            ),
            Trouble.LOST: (errorcodes.ADMIN_SHUTDOWN, errorcodes.CRASH_SHUTDOWN, errorcodes.CONNECTION_FAILURE),
            Trouble.UNAVAILABLE: (
                errorcodes.DISK_FULL,
                errorcodes.TOO_MANY_CONNECTIONS,
                errorcodes.CANNOT_CONNECT_NOW,
                errorcodes.QUERY_CANCELED,
                errorcodes.LOCK_NOT_AVAILABLE,
                errorcodes.READ_ONLY_SQL_TRANSACTION,
                errorcodes.INSUFFICIENT_PRIVILEGE,
                errorcodes.IO_ERROR,
            ),
            Trouble.FAULT: (
                errorcodes.NUMERIC_VALUE_OUT_OF_RANGE,
                errorcodes.UNTRANSLATABLE_CHARACTER,
                errorcodes.NOT_NULL_VIOLATION,
                errorcodes.PROGRAM_LIMIT_EXCEEDED,
                errorcodes.SYNTAX_ERROR,
            ),
        }
        for trouble, codes in expected.items():
            for code in codes:
                with self.subTest(code=errorcodes.lookup(code)):
                    self.assertIs(trouble_of(coded(code)), trouble)

    def test_silence_of_the_server_is_a_lost_connection(self) -> None:
        for error in (psycopg2.OperationalError("EOF"), psycopg2.InterfaceError("closed"), psycopg2.DatabaseError("?")):
            self.assertIs(trouble_of(exc.DBAPIError("SELECT", None, error)), Trouble.LOST)
        self.assertIs(trouble_of(exc.DBAPIError("SELECT", None, psycopg2.DataError("odd"))), Trouble.FAULT)

    def test_what_work_raises_is_its_own(self) -> None:
        for error in (ValueError(), Fenced(), ZeroDivisionError()):
            self.assertIs(trouble_of(error), Trouble.FAULT)
        self.assertIs(trouble_of(Conflict()), Trouble.CONFLICT)
        self.assertIs(trouble_of(exc.TimeoutError()), Trouble.UNAVAILABLE)
