"""RabbitMQ and PostgreSQL for benchmarks: on loopback, with the settings that a deployment should have."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

import pika

from tests.servers import PostgreSQL, RabbitMQ

POSTGRESQL_SETTINGS = {
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "wal_buffers": "16MB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "shared_preload_libraries": "pg_stat_statements",
    # Counted only where a benchmark asks for it, in its own connections' database.
    "pg_stat_statements.track": "none",
}
RABBITMQ_SETTINGS = {"raft.wal_max_size_bytes": "512000000"}
SCHEDULERS = 1
"""Of RabbitMQ: where it shares two cores with all others, one takes less of them for the same work."""


class Servers:
    """Both servers, and a directory for whoever runs beside them."""

    def __init__(self, directory: Path, rabbitmq: RabbitMQ, postgresql: PostgreSQL) -> None:
        self.directory = directory
        self.rabbitmq = rabbitmq
        self.postgresql = postgresql

    @classmethod
    def start(cls, *, schedulers: int = SCHEDULERS) -> Servers:
        """Servers of our own. :meth:`close` ends them, and so does the end of the program."""
        directory = Path(tempfile.mkdtemp(prefix="csms-bench-"))
        directory.chmod(0o711)
        rabbitmq = RabbitMQ(directory / "rabbitmq", settings=RABBITMQ_SETTINGS, schedulers=schedulers)
        postgresql = PostgreSQL(directory / "postgresql", settings=POSTGRESQL_SETTINGS)
        servers = cls(directory, rabbitmq, postgresql)
        atexit.register(servers.close)
        rabbitmq.start()
        postgresql.start()
        return servers

    @property
    def pids(self) -> dict[str, list[int]]:
        """The roots of both servers' process trees."""
        return {"rabbitmq": [self.rabbitmq.pid], "postgresql": [self.postgresql.pid]}

    def close(self) -> None:
        """End them, and remove what they wrote."""
        for server in (self.rabbitmq, self.postgresql):
            if server.alive:
                server.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class Depths:
    """How many messages wait in queues, as the broker counts them now."""

    def __init__(self, url: str) -> None:
        parameters = pika.URLParameters(url)
        # Nobody reads it between two questions, and that may be long.
        parameters.heartbeat = 0
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()

    def of(self, *queues: str) -> int:
        """The sum over ``queues``; what a consumer holds unacknowledged is not in it."""
        declared = (self._channel.queue_declare(queue, passive=True) for queue in queues)
        return sum(answer.method.message_count for answer in declared)

    def close(self) -> None:
        """Ask no more."""
        self._connection.close()
