"""Installations that faults are caused in: csms as real processes, on servers that belong to nobody else.

A site is reused by the faults that name it as their layout. Another one is a subclass: it overrides what differs,
mostly ``start_servers`` and the two URLs.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg2

from tests.faults.audit import ORDER_COLUMN, ORDER_STATEMENTS
from tests.integration.people import sign_in
from tests.integration.processes import Service
from tests.integration.scenario import query
from tests.servers import PostgreSQL, RabbitMQ
from tests.servers.daemon import Daemon, ServerMissing, free_port

T = TypeVar("T")
READY_TIMEOUT_S = 120.0
"""Servers may be away all the while, and four processes start at once."""
OPEN = {
    "CSMS_GATEWAY_UNKNOWN_CHARGERS": "accept",
    "CSMS_GATEWAY_REQUIRE_PASSWORD": "no",
    "CSMS_WORKER_UNKNOWN_TOKENS": "accept",
}
"""Chargers and tokens need no preparation."""


class Site:
    """What all installations have in common. The directory, and whatever runs in it, goes with :meth:`close`."""

    order_column = ORDER_COLUMN
    """Of ``charger_data``: counts rows in the order in which they were written."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="csms-faults-"))
        self.directory.chmod(0o755)  # PostgreSQL runs under an account of its own
        self.gateways: list[Service] = []
        self.workers: list[Service] = []
        self.charger_ports: list[int] = []
        self.servers: list[Daemon] = []
        self.cookie = ""

    @property
    def services(self) -> list[Service]:
        """All processes of csms, each once."""
        return list(dict.fromkeys([*self.gateways, *self.workers]))

    @property
    def broker_url(self) -> str:
        """For csms."""
        raise NotImplementedError

    @property
    def database_url(self) -> str:
        """For csms."""
        raise NotImplementedError

    @property
    def audit_url(self) -> str:
        """The database for ourselves, past whatever stands between it and csms."""
        return self.database_url

    def settings(self, name: str) -> dict[str, str]:
        """Of the process of this name."""
        return {"CSMS_BROKER_URL": self.broker_url, "CSMS_DATABASE_URL": self.database_url, **OPEN}

    async def start(self) -> None:
        """Start everything, and wait until it is ready."""
        await asyncio.to_thread(self.start_servers)
        self.make_services()
        await self.launch(*self.services)
        self.cookie = await asyncio.to_thread(sign_in, self.gateways[0].sign_in_link())
        await asyncio.to_thread(self.prepare_database)

    async def launch(self, *services: Service) -> None:
        """Start processes side by side, and wait until they are ready."""
        for service in services:
            service.launch()
        for service in services:
            await asyncio.to_thread(service.wait_ready, READY_TIMEOUT_S)

    def start_servers(self) -> None:
        """Start the broker and the database, if there are any."""

    def make_services(self) -> None:
        """Fill ``gateways``, ``workers`` and ``charger_ports``."""
        raise NotImplementedError

    def prepare_database(self) -> None:
        """Let the database count the rows of the message log."""

    async def close(self) -> None:
        """End everything that was started."""
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """End all processes."""
        for service in self.services:
            service.destroy()
        for server in reversed(self.servers):
            with suppress(ProcessLookupError):
                server.resume()
            server.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def dead_letters(self) -> int:
        """Messages that nobody could handle."""
        raise NotImplementedError

    def busy_worker(self) -> Service | None:
        """The worker that works for the first shard; None while that is not known."""
        raise NotImplementedError

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        return query(self.audit_url, statement)

    def add_gateway(self, name: str) -> None:
        """Another ``csms-gateway``."""
        port = free_port()
        settings = {**self.settings(name), "CSMS_GATEWAY_PORT": str(port), "CSMS_GATEWAY_NAME": name}
        self.charger_ports.append(port)
        self.gateways.append(Service("csms-gateway", self.directory, settings, name=name))

    def add_worker(self, name: str) -> Service:
        """Another ``csms-worker``."""
        worker = Service("csms-worker", self.directory, self.settings(name), name=name)
        self.workers.append(worker)
        return worker


class ScaledOut(Site):
    """Two gateways and two workers on a RabbitMQ and a PostgreSQL of their own."""

    rabbitmq: RabbitMQ
    postgresql: PostgreSQL

    @property
    def broker_url(self) -> str:
        return self.rabbitmq.url()

    @property
    def database_url(self) -> str:
        return self.postgresql.url()

    def start_servers(self) -> None:
        self.rabbitmq = RabbitMQ(self.directory / "rabbitmq")
        self.postgresql = self.make_postgresql()
        self.servers += [self.rabbitmq, self.postgresql]
        self.postgresql.start()
        self.rabbitmq.start()

    def make_postgresql(self) -> PostgreSQL:
        """The database server, not started."""
        return PostgreSQL(self.directory / "postgresql")

    def make_services(self) -> None:
        for number in (1, 2):
            self.add_gateway(f"gateway-{number}")
            self.add_worker(f"worker-{number}")

    def dead_letters(self) -> int:
        return self.rabbitmq.depth("dead_letter_queue")

    def busy_worker(self) -> Service | None:
        port = self.rabbitmq.active_consumer("ocpp_messages.0")
        return next((worker for worker in self.workers if port in self.broker_ports(worker)), None)

    def broker_ports(self, service: Service) -> set[int]:
        """The ports by which the broker knows a process."""
        return service.ports()

    def database_ports(self, service: Service) -> set[int]:
        """The ports by which the database knows a process."""
        return service.ports()

    def prepare_database(self) -> None:
        with psycopg2.connect(self.audit_url) as connection, connection.cursor() as cursor:
            for statement in ORDER_STATEMENTS:
                cursor.execute(statement)
        connection.close()


class Clocked(ScaledOut):
    """The wall clock of csms can be set; that of the servers and the chargers stays right. Needs libfaketime."""

    @property
    def _clock(self) -> Path:
        return self.directory / "clock"

    def settings(self, name: str) -> dict[str, str]:
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        if not libraries:
            raise ServerMissing("libfaketime is not installed: apt-get install libfaketime")
        self.set_clock("+0")
        return {
            **super().settings(name),
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            # The machine's uptime goes on as ever when somebody sets the time.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set_clock(self, offset: str) -> None:
        """Set the clock of all processes ahead (+3600) of the right time or behind it (-3600), in seconds."""
        new = self._clock.with_suffix(".new")
        new.write_text(f"{offset}s\n")
        new.replace(self._clock)


class Embedded(Site):
    """``twistd csms``: everything in one process, with SQLite."""

    order_column = "rowid"

    @property
    def broker_url(self) -> str:
        return "memory:"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.directory}/csms.db"

    def make_services(self) -> None:
        port = free_port()
        self.charger_ports = [port]
        settings = {**self.settings("csms"), "CSMS_GATEWAY_PORT": str(port)}
        self.gateways = [Service("csms", self.directory, settings)]
        self.workers = self.gateways

    def dead_letters(self) -> int:
        return int(self.query("select count(*) from dead_letters")[0][0])

    def busy_worker(self) -> Service | None:
        return self.workers[0]


Layout = Callable[[], Site]
