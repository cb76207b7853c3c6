"""A scaled-out installation: one gateway and two workers as processes of their own, on RabbitMQ and PostgreSQL."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from tests.integration.chargers import Account
from tests.integration.listener import Listener
from tests.integration.processes import Service, admin
from tests.servers import drop_database, drop_vhost, postgresql_url, rabbitmq_url
from tests.servers.daemon import free_port


class ScaledOut:
    """Everything of it goes when ``test`` ends."""

    def __init__(self, test: unittest.TestCase, settings: dict[str, str] | None = None) -> None:
        directory = tempfile.TemporaryDirectory()
        test.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.broker_url = rabbitmq_url()
        test.addCleanup(drop_vhost, self.broker_url)
        self.database_url = postgresql_url()
        test.addCleanup(drop_database, self.database_url)
        self.gateway_port = free_port()
        self.settings = {
            "CSMS_BROKER_URL": self.broker_url,
            "CSMS_DATABASE_URL": self.database_url,
            "CSMS_GATEWAY_PORT": str(self.gateway_port),
            **(settings or {}),
        }
        self.gateway = Service("csms-gateway", self.directory, self.settings)
        self.workers = [
            Service("csms-worker", self.directory, self.settings, name=f"worker-{number}") for number in (1, 2)
        ]
        for service in self.services:
            test.addCleanup(service.clean_up)
        self._test = test

    @property
    def services(self) -> list[Service]:
        """All processes."""
        return [self.gateway, *self.workers]

    def start(self) -> None:
        """Start all at the same time, as after a power cut, and wait for them."""
        for service in self.services:
            service.launch()
        for service in self.services:
            service.wait_ready()

    def listener(self) -> Listener:
        """A consumer of all notifications from now on."""
        listener = Listener(self.broker_url)
        self._test.addCleanup(listener.close)
        return listener

    def account(self, device_id: str) -> Account:
        """A charger that may connect."""
        password = admin(self.directory, self.settings, "charger", "add", device_id)["password"]
        return Account(device_id, password, self.gateway_port)

    def add_token(self, token: str) -> None:
        """A token that may charge."""
        admin(self.directory, self.settings, "token", "add", token)
