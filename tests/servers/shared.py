"""One server of each kind for all processes of a test run.

The run's directory stands in the environment. Whoever needs a server first starts it, under a lock, and notes in that
directory where it is; the run's owner (the pytest controller, or the only process) stops what was noted.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.servers.postgresql import PostgreSQL
from tests.servers.rabbitmq import RabbitMQ

RUN_DIRECTORY = "CSMS_TEST_RUN"
Server = TypeVar("Server", RabbitMQ, PostgreSQL)


def rabbitmq_url() -> str:
    """The URL of a fresh vhost on the run's RabbitMQ."""
    return rabbitmq_server().new_vhost()


def postgresql_url() -> str:
    """The URL of a fresh, empty database on the run's PostgreSQL."""
    return postgresql_server().new_database()


def postgresql_server() -> PostgreSQL:
    """The run's PostgreSQL. It is everybody's: do not stop it."""
    return _shared("postgresql", PostgreSQL, _postgresql_from, lambda server: {"port": server.port})


def rabbitmq_server() -> RabbitMQ:
    """The run's RabbitMQ. It is everybody's: do not stop it."""
    return _shared(
        "rabbitmq", RabbitMQ, _rabbitmq_from, lambda server: {"ports": server.ports, "epmd_pid": server.epmd.pid}
    )


def own_run() -> None:
    """Make this process the owner of a run, unless it works for another: its servers end by :func:`end_run`."""
    if RUN_DIRECTORY not in os.environ:
        directory = Path(tempfile.mkdtemp(prefix="csms-tests-"))
        directory.chmod(0o711)
        os.environ[RUN_DIRECTORY] = str(directory)
        atexit.register(end_run, os.getpid())


def end_run(owner: int) -> None:
    """Stop the run's servers and remove its directory, when this process is the ``owner``; twice does nothing."""
    directory = os.environ.get(RUN_DIRECTORY)
    if directory is None or os.getpid() != owner:
        return
    del os.environ[RUN_DIRECTORY]
    for name, revive in (("rabbitmq", _rabbitmq_from), ("postgresql", _postgresql_from)):
        note = Path(directory, f"{name}.json")
        if note.exists():
            revive(Path(directory, name), json.loads(note.read_text())).kill()
    shutil.rmtree(directory, ignore_errors=True)


def _rabbitmq_from(directory: Path, note: dict[str, Any]) -> RabbitMQ:
    return RabbitMQ(directory, note["ports"], note["pid"], note["epmd_pid"])


def _postgresql_from(directory: Path, note: dict[str, Any]) -> PostgreSQL:
    return PostgreSQL(directory, note["port"], note["pid"])


def _shared(
    name: str,
    make: Callable[[Path], Server],
    revive: Callable[[Path, dict[str, Any]], Server],
    describe: Callable[[Server], dict[str, Any]],
) -> Server:
    own_run()
    run = Path(os.environ[RUN_DIRECTORY])
    note = run / f"{name}.json"
    with _lock(run / f"{name}.lock"):
        if note.exists():
            return revive(run / name, json.loads(note.read_text()))
        server = make(run / name)
        server.start()
        note.write_text(json.dumps({"pid": server.pid, **describe(server)}))
        return server


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
