"""Servers that are away when csms starts: it waits, says so, and goes on when they come."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from tests.integration.processes import Service
from tests.servers import PostgreSQL, RabbitMQ, drop_database, postgresql_url
from tests.servers.daemon import free_port, wait_until

PATIENCE_S = 30.0


class WaitingTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def service(self, plugin: str, settings: dict[str, str]) -> Service:
        service = Service(plugin, self.directory, {"CSMS_GATEWAY_PORT": str(free_port()), **settings})
        self.addCleanup(service.clean_up)
        service.launch()
        return service

    def assert_waits_for(self, part: str, service: Service) -> None:
        def told() -> bool:
            status, answer = service.health()
            return status == 503 and part in answer.get("reasons", {})

        self.assertTrue(wait_until(told, PATIENCE_S), f"{service.health()}\n{service.output()}")

    def test_it_waits_for_the_database_and_goes_on(self) -> None:
        server_directory = self.directory / "postgresql"
        server_directory.mkdir()
        self.directory.chmod(0o755)
        server = PostgreSQL(server_directory, fsync=False)
        service = self.service("csms", {"CSMS_DATABASE_URL": server.url()})
        self.assert_waits_for("database", service)
        self.addCleanup(server.kill)
        server.start()
        service.wait_ready()
        self.assertIn("waiting for the database: ", service.output())

    def test_it_waits_for_the_broker_and_goes_on(self) -> None:
        server_directory = self.directory / "rabbitmq"
        server_directory.mkdir()
        server = RabbitMQ(server_directory)
        database_url = postgresql_url()
        self.addCleanup(drop_database, database_url)
        settings = {"CSMS_BROKER_URL": server.url(), "CSMS_DATABASE_URL": database_url}
        service = self.service("csms-gateway", settings)
        self.assert_waits_for("broker", service)
        self.addCleanup(server.kill)
        server.start()
        service.wait_ready()

    def test_a_wrong_password_is_said(self) -> None:
        database_url = postgresql_url()
        self.addCleanup(drop_database, database_url)
        missing = database_url.replace("csms@", "nobody@")
        service = self.service("csms-worker", {"CSMS_BROKER_URL": "amqp://127.0.0.1:1", "CSMS_DATABASE_URL": missing})
        self.assert_waits_for("database", service)
        self.assertIn('role "nobody" does not exist', service.health()[1]["reason"])
