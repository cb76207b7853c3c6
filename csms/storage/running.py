"""The connections that are in use, so that a stop can cancel what takes too long."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection


class Running:
    """Used from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self.cancelled = False

    @contextmanager
    def noted(self, connection: Connection) -> Generator[None, None, None]:
        """``connection`` is in use."""
        with self._lock:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)

    def cancel(self) -> None:
        """End the statements that run now, and let none begin; their work fails as if the database were away."""
        self.cancelled = True
        with self._lock:
            for connection in self._connections:
                # It may end just now. psycopg2's cancel and sqlite3's interrupt may be called from another thread.
                with suppress(Exception):
                    driver: Any = connection.connection.driver_connection
                    (driver.interrupt if hasattr(driver, "interrupt") else driver.cancel)()
