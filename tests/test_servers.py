"""The servers that tests run against."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

from tests.servers import PostgreSQL, ServerMissing, drop_database, drop_vhost, postgresql_url, rabbitmq_url
from tests.servers.daemon import answers, find_program


class SharedServers(unittest.TestCase):
    def test_every_vhost_is_fresh_on_one_broker(self) -> None:
        first, second = rabbitmq_url(), rabbitmq_url()
        self.addCleanup(drop_vhost, first)
        self.addCleanup(drop_vhost, second)
        self.assertNotEqual(first, second)
        self.assertEqual(urlsplit(first).netloc, urlsplit(second).netloc)
        self.assertTrue(answers(urlsplit(first).port or 0))

    def test_every_database_is_fresh_and_empty(self) -> None:
        first, second = postgresql_url(), postgresql_url()
        self.addCleanup(drop_database, first)
        self.addCleanup(drop_database, second)
        self.assertNotEqual(first, second)
        connection = psycopg2.connect(first)
        self.addCleanup(connection.close)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            self.assertEqual(cursor.fetchone(), (0,))
            cursor.execute("SHOW fsync")
            self.assertEqual(cursor.fetchone(), ("on",))


class OwnServer(unittest.TestCase):
    def test_a_killed_database_comes_back_with_what_was_committed(self) -> None:
        directory = Path(tempfile.mkdtemp(dir=os.environ["CSMS_TEST_RUN"]))
        directory.chmod(0o755)
        server = PostgreSQL(directory / "postgresql")
        server.start()
        self.addCleanup(server.kill)
        for statement in ("CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1)"):
            connection = psycopg2.connect(server.url())
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
            connection.close()
        server.kill()
        self.assertFalse(answers(server.port))
        server.start()
        connection = psycopg2.connect(server.url())
        self.addCleanup(connection.close)
        with connection.cursor() as cursor:
            cursor.execute("SELECT n FROM kept")
            self.assertEqual(cursor.fetchall(), [(1,)])


class MissingServer(unittest.TestCase):
    def test_a_missing_program_is_told_with_its_package(self) -> None:
        with self.assertRaisesRegex(ServerMissing, "apt-get install rabbitmq-server"):
            find_program("no-such-program", [], "rabbitmq-server")
