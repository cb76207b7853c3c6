"""The connections that are in use: one whose server has fallen silent is given up, and a stop ends what is left.

PostgreSQL ends a statement that takes too long, as long as there is a PostgreSQL that runs: one that is frozen, or
behind a network that swallows everything, would keep a thread waiting for ever. libpq has no limit for that.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, event


class Running:
    """Used from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_at: dict[Connection, float] = {}
        self.cancelled = False

    def watch(self, engine: Engine) -> None:
        """Note when the connections of ``engine`` last asked the server for something, or heard from it."""
        for name in ("before_cursor_execute", "after_cursor_execute", "commit", "rollback"):
            event.listen(engine, name, self._note)

    @contextmanager
    def noted(self, connection: Connection) -> Generator[None, None, None]:
        """``connection`` is in use."""
        with self._lock:
            self._asked_at[connection] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._asked_at[connection]

    def give_up(self, silent_s: float) -> int:
        """Cut the connections to PostgreSQL that have waited for longer; how many. Work fails as if it were away."""
        with self._lock:
            now = time.monotonic()
            silent = [connection for connection, asked_at in self._asked_at.items() if now - asked_at > silent_s]
            return sum(_cut(connection) for connection in silent)

    def cancel(self) -> None:
        """End the statements that run now, and let none begin; their work fails as if the database were away."""
        self.cancelled = True
        with self._lock:
            for connection in self._asked_at:
                # It may end just now. sqlite3's interrupt may be called from another thread; psycopg2's cancel keeps
                # all of Python waiting until the server has answered, which one that hangs never does.
                if not _cut(connection):
                    with suppress(Exception):
                        _driver(connection).interrupt()

    def _note(self, connection: Connection, *_: Any) -> None:
        with self._lock:
            if connection in self._asked_at:
                self._asked_at[connection] = time.monotonic()


def _driver(connection: Connection) -> Any:
    """The driver's own connection; None if it is just being closed."""
    with suppress(Exception):
        return connection.connection.driver_connection
    return None


def _cut(connection: Connection) -> bool:
    """Shut the socket down, which wakes the thread that waits for it; whether there was one."""
    driver = _driver(connection)
    if not hasattr(driver, "fileno"):
        return False
    with suppress(Exception):
        # The descriptor belongs to libpq: of the socket object only the shutdown may have an effect.
        wire = socket.socket(fileno=driver.fileno())
        try:
            wire.shutdown(socket.SHUT_RDWR)
        finally:
            wire.detach()
        return True
    return False
