"""A PostgreSQL cluster of the tests' own, in a directory, on loopback and a Unix socket there."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2

from tests.servers.daemon import Daemon, ServerMissing, find_program, free_port

_USER = "csms"
_OLDEST = 13


class PostgreSQL(Daemon):
    """A cluster with the superuser ``csms``, who needs no password. fsync is on unless told otherwise."""

    name = "postgresql"
    user = "postgres"

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        pid: int = 0,
        *,
        fsync: bool = True,
        settings: Mapping[str, str] | None = None,
    ):
        super().__init__(directory, pid)
        self.port = port or free_port()
        self.fsync = fsync
        self.settings = dict(settings or {})
        """Of postgresql.conf, beside or instead of those that tests need."""

    def url(self, database: str = "postgres") -> str:
        """The URL of a database that exists."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, or start again with what is on disk, and wait until it serves."""
        programs = _programs()
        account = self.account()
        if account is not None:
            shutil.chown(self.directory, account, account)
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
        data = self.directory / "data"
        if not data.exists():
            options = ["--auth=trust", f"--username={_USER}", "--encoding=UTF8", "--no-sync"]
            self.run([str(programs / "initdb"), "-D", str(data), *options], environment)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "max_connections": "200",
            "shared_buffers": "64MB",
            "fsync": "on" if self.fsync else "off",
            **self.settings,
        }
        command = [str(programs / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.pid = self.launch(command, environment, self.log)
        self.await_start(self._serves)

    def stop(self) -> None:
        """Shut down in good order, ending every session; the data stays for another start."""
        self.send(signal.SIGINT)
        self.await_end()

    def kill(self) -> None:
        """SIGKILL to every process of the cluster."""
        children = self.children() if self.alive else []
        super().kill()
        for pid in children:
            orphan = Daemon(self.directory, pid)
            orphan.send(signal.SIGKILL)
            orphan.await_end()
        # Nobody is left; a dead postmaster that init has not reaped yet would keep its locks.
        for lock in (self.directory / "data" / "postmaster.pid", *self.directory.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)

    def crash(self) -> None:
        """An immediate shutdown: no session is ended, nothing is flushed; a start has to recover."""
        self.send(signal.SIGQUIT)
        self.await_end()

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements outside of transactions, as the superuser; the rows of the last."""
        return _execute(self.url(), *statements)

    def set(self, name: str, value: str) -> None:
        """Change a setting for everybody, in sessions that are open, too; an empty value takes that back."""
        change = f"ALTER SYSTEM SET {name} = '{value}'" if value else f"ALTER SYSTEM RESET {name}"
        self.execute("SET default_transaction_read_only = off", change, "SELECT pg_reload_conf()")

    def end_sessions(self, application: str) -> int:
        """Terminate the backends of everybody who calls himself so; how many."""
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{}'"
        return int(self.execute(ended.format(application))[0][0])

    def new_database(self) -> str:
        """Make a fresh, empty database; its URL."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def _serves(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True


def drop_database(url: str) -> None:
    """Delete the database of a URL that :meth:`PostgreSQL.new_database` gave, whoever is connected."""
    parts = urlsplit(url)
    _execute(parts._replace(path="/postgres").geturl(), f"DROP DATABASE {parts.path[1:]} WITH (FORCE)")


def _execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url, connect_timeout=10)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def _programs() -> Path:
    """The directory with initdb and postgres, of the newest version on this machine."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    newest = sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    found = find_program("initdb", [str(path) for path in newest], "postgresql").resolve().parent
    if found.parent.name.isdigit() and int(found.parent.name) < _OLDEST:
        raise ServerMissing(f"PostgreSQL {found.parent.name} is too old: apt-get install postgresql >= {_OLDEST}")
    return found
