"""The migrations make what the code expects, once, whoever runs them."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Table, UniqueConstraint, create_engine, inspect, text
from sqlalchemy.engine.interfaces import ReflectedIndex
from sqlalchemy.pool import NullPool
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from csms.ports import DatabaseError, DatabaseUnavailable
from csms.storage import SchemaTooNew, open_database, schema
from csms.storage.engines import database_url, open_engines
from csms.storage.partitions import PARTITIONED
from csms.storage.schema import upgrade
from csms.storage.tables import metadata
from tests.servers import drop_database, postgresql_url

STEPS = len(list(Path(schema.__file__).with_name("migrations").glob("versions/0*.py")))


def migrate(url: str, results: Any) -> None:
    """What another process does at its start."""
    engines = open_engines(database_url(url), pool_size=2, statement_timeout_s=30.0)
    with engines.write.begin() as connection:
        results.put(upgrade(connection))
    engines.dispose()


class SchemaContract(unittest.TestCase):
    def setUp(self) -> None:
        self.url = self.empty_url()
        self.engine = create_engine(database_url(self.url), poolclass=NullPool)
        self.addCleanup(self.engine.dispose)

    def empty_url(self) -> str:
        raise NotImplementedError

    def connected(self) -> Connection:
        connection = self.engine.connect()
        self.addCleanup(connection.close)
        return connection

    def migrated(self) -> Connection:
        migrate(self.url, _Ignored())
        return self.connected()

    def test_the_migrated_schema_is_that_of_the_tables(self) -> None:
        def compared(_: Any, name: str | None, kind: str, *__: Any) -> bool:
            return kind != "table" or not any((name or "").startswith(f"{table}_") for table in PARTITIONED)

        options = {"compare_type": True, "include_object": compared}
        context = MigrationContext.configure(self.migrated(), opts=options)
        self.assertEqual(compare_metadata(context, metadata), [])

    def test_keys_constraints_and_conditions_are_those_of_the_tables(self) -> None:
        found = inspect(self.migrated())
        for table in metadata.tables.values():
            with self.subTest(table=table.name):
                key = found.get_pk_constraint(table.name)
                self.assertEqual(set(key["constrained_columns"]), {column.name for column in table.primary_key})
                indices = {one["name"]: _has_condition(one) for one in found.get_indexes(table.name)}
                uniques = {one["name"]: False for one in found.get_unique_constraints(table.name)}
                self.assertEqual(indices | uniques, _expected(table))
                rules = [one["options"] for one in found.get_foreign_keys(table.name)]
                self.assertEqual(rules, [{"ondelete": "CASCADE"}] * len(table.foreign_key_constraints))

    def test_migrating_twice_does_it_once(self) -> None:
        with self.engine.begin() as connection:
            self.assertEqual(len(upgrade(connection)), STEPS)
        with self.engine.begin() as connection:
            self.assertEqual(upgrade(connection), [])

    def test_a_failed_migration_leaves_nothing_behind(self) -> None:
        engines = open_engines(database_url(self.url), pool_size=2, statement_timeout_s=30.0)
        self.addCleanup(engines.dispose)
        with self.assertRaises(ZeroDivisionError), engines.write.begin() as connection:
            upgrade(connection)
            raise ZeroDivisionError
        self.assertEqual(inspect(self.connected()).get_table_names(), [])

    def test_of_two_processes_one_migrates_and_the_other_waits(self) -> None:
        spawning = multiprocessing.get_context("spawn")
        results = spawning.Queue()
        processes = [spawning.Process(target=migrate, args=(self.url, results)) for _ in range(2)]
        for process in processes:
            process.start()
        steps = [results.get(timeout=60) for _ in processes]
        for process in processes:
            process.join(60)
        self.assertEqual([process.exitcode for process in processes], [0, 0])
        self.assertEqual(sorted(map(len, steps)), [0, STEPS])

    def test_a_database_newer_than_the_code_is_refused(self) -> None:
        with self.migrated() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
            connection.commit()
        with self.assertRaisesRegex(SchemaTooNew, "9999.*newer version"), self.engine.begin() as connection:
            upgrade(connection)


class SqliteSchema(SchemaContract):
    def empty_url(self) -> str:
        directory = tempfile.mkdtemp(prefix="csms-sqlite-")
        self.addCleanup(shutil.rmtree, directory)
        return f"sqlite:///{directory}/csms.db"


class PostgresqlSchema(SchemaContract):
    def empty_url(self) -> str:
        url = postgresql_url()
        self.addCleanup(drop_database, url)
        return url


class _Ignored:
    def put(self, _: object) -> None:
        pass


def _has_condition(index: ReflectedIndex) -> bool:
    return any(name.endswith("_where") for name in index.get("dialect_options", {}))


def _expected(table: Table) -> dict[str, bool]:
    """Unique constraints and indices by name; whether they have a condition."""
    uniques = {str(one.name): False for one in table.constraints if isinstance(one, UniqueConstraint)}
    return uniques | {str(one.name): one.dialect_options["sqlite"]["where"] is not None for one in table.indexes}


del SchemaContract


class OpeningTests(TestCase):
    async def test_a_directory_is_made_and_the_path_is_that_of_the_opening(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="csms-sqlite-"))
        self.addCleanup(shutil.rmtree, directory)
        database = open_database(f"sqlite:///{directory}/new/deep/csms.db", reactor=reactor)
        self.assertFalse((directory / "new").exists())
        await database.start()
        await database.stop()
        self.assertTrue((directory / "new/deep/csms.db").exists())
        self.assertEqual(str(database_url("sqlite:///var/csms.db").database), str(Path.cwd() / "var/csms.db"))

    async def test_a_start_without_server_tells_so_and_may_be_repeated(self) -> None:
        database = open_database("postgresql://csms@127.0.0.1:1/csms", password="secret", reactor=reactor)
        for _ in range(2):
            starting: Deferred[Any] = Deferred.fromCoroutine(database.start())
            error = await self.assertFailure(starting, DatabaseUnavailable)
            self.assertIn("127.0.0.1", str(error))
            self.assertNotIn("secret", str(error))
        await database.stop()

    def test_urls_of_no_use_are_refused(self) -> None:
        for url in ("", "csms.db", "mysql://host/db", "sqlite://", "sqlite:///:memory:"):
            with self.assertRaises(DatabaseError, msg=url):
                open_database(url, reactor=reactor)
