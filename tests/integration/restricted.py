"""A scaled-out installation in which every part has the rights that docs/examples gives it, and no more."""

from __future__ import annotations

import json
import re
import unittest
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2

from tests.integration.processes import ROOT, Service, admin
from tests.integration.site import ScaledOut
from tests.servers import rabbitmq_server

EXAMPLES = ROOT / "docs" / "examples"
ADMIN, GATEWAY, WORKER = "csms-admin", "csms-gateway", "csms-worker"
MIGRATOR, SERVICE = "csms_migrator", "csms_service"


class Restricted(ScaledOut):
    """``secrets`` are the passwords of its users, by name."""

    def __init__(self, test: unittest.TestCase, settings: dict[str, str] | None = None) -> None:
        super().__init__(test, settings)
        # Users and roles are everybody's on the tests' servers, unlike vhosts and databases.
        self.run = uuid.uuid4().hex[:12]
        self.secrets = {name: f"{name}-{uuid.uuid4().hex}" for name in (ADMIN, GATEWAY, WORKER, MIGRATOR, SERVICE)}
        self._make_broker_users(test)
        self._make_database_roles(test)
        self.admin_settings = self._settings(ADMIN, MIGRATOR, CSMS_BROKER_DECLARE="yes")
        admin(self.directory, self.admin_settings, "migrate")
        admin(self.directory, self.admin_settings, "declare")
        self.settings = self._settings(GATEWAY, SERVICE)
        self.gateway = Service("csms-gateway", self.directory, self.settings)
        worker = self._settings(WORKER, SERVICE)
        self.workers = [Service("csms-worker", self.directory, worker, name="worker")]
        for service in self.services:
            test.addCleanup(service.clean_up)

    def broker_user_url(self, user: str) -> str:
        """The broker's URL for one of its users, password and all."""
        parts = urlsplit(self.broker_url)
        return parts._replace(netloc=f"{self._name(user)}:{self.secrets[user]}@{parts.hostname}:{parts.port}").geturl()

    def database_role_url(self, role: str) -> str:
        """The database's URL for one of its roles."""
        parts = urlsplit(self.database_url)
        return parts._replace(netloc=f"{self._name(role)}@{parts.hostname}:{parts.port}").geturl()

    def _settings(self, user: str, role: str, **more: str) -> dict[str, str]:
        parts = urlsplit(self.broker_url)
        without_password = parts._replace(netloc=f"{self._name(user)}@{parts.hostname}:{parts.port}").geturl()
        return {
            **self.settings,
            "CSMS_BROKER_URL": without_password,
            "CSMS_BROKER_PASSWORD": self.secrets[user],
            "CSMS_BROKER_DECLARE": "no",
            "CSMS_DATABASE_URL": self.database_role_url(role),
            "CSMS_DATABASE_PASSWORD": self.secrets[role],
            "CSMS_LOG_LEVEL": "debug",
            **more,
        }

    def _name(self, user: str) -> str:
        return f"{user}_{self.run}"

    def _make_broker_users(self, test: unittest.TestCase) -> None:
        vhost, server = urlsplit(self.broker_url).path[1:], rabbitmq_server()
        rights: list[dict[str, Any]] = json.loads((EXAMPLES / "broker-rights.json").read_text())["permissions"]
        for one in rights:
            name = self._name(one["user"])
            server.manage("PUT", f"users/{name}", {"password": self.secrets[one["user"]], "tags": ""})
            test.addCleanup(server.manage, "DELETE", f"users/{name}")
            given = {kind: one[kind] for kind in ("configure", "write", "read")}
            server.manage("PUT", f"permissions/{vhost}/{name}", given)

    def _make_database_roles(self, test: unittest.TestCase) -> None:
        statements = re.sub(r"csms_\w+", lambda found: self._name(found[0]), _text(EXAMPLES / "database-rights.sql"))
        run_sql(self.database_url, statements)
        test.addCleanup(self._drop_database_roles)

    def _drop_database_roles(self) -> None:
        for role in (SERVICE, MIGRATOR):
            run_sql(self.database_url, f"DROP OWNED BY {self._name(role)} CASCADE; DROP ROLE {self._name(role)}")


def run_sql(url: str, statements: str) -> None:
    """Run them, each committed by itself."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        connection.cursor().execute(statements)
    finally:
        connection.close()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
