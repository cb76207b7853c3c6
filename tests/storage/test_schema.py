"""The migrations make what the code expects, once, whoever runs them."""

from __future__ import annotations

import itertools
import multiprocessing
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Mapping
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


CONTRACTIONS: dict[str, str] = {}
"""Steps that take away what the released version before them has already stopped using -> which version did."""
_Snapshot = dict[str, dict[str, dict[str, Any]]]


def snapshot(connection: Connection) -> _Snapshot:
    """Of each table its columns, unique keys, foreign keys and conditions."""
    found = inspect(connection)
    tables: _Snapshot = {}
    for table in found.get_table_names():
        uniques: list[Any] = [one["column_names"] for one in found.get_unique_constraints(table)]
        uniques += [one["column_names"] for one in found.get_indexes(table) if one["unique"]]
        tables[table] = {
            "columns": {
                one["name"]: (str(one["type"]), bool(one["nullable"]), one["default"] is not None)
                for one in found.get_columns(table)
            },
            "unique key": {", ".join(map(str, columns)): True for columns in uniques},
            "foreign key": {", ".join(one["constrained_columns"]): True for one in found.get_foreign_keys(table)},
            "condition": {one["sqltext"]: True for one in found.get_check_constraints(table)},
        }
    return tables


def objections(old: _Snapshot, new: _Snapshot) -> list[str]:
    """What a process of the version before would stumble over, since it reads and writes ``old``."""
    found = [f"{table} is gone" for table in old.keys() - new.keys()]
    for table in old.keys() & new.keys():
        before, after = old[table], new[table]
        found += [f"{table}.{name} is gone" for name in before["columns"].keys() - after["columns"].keys()]
        added = after["columns"].keys() - before["columns"].keys()
        for name, (kind, nullable, default) in after["columns"].items():
            if name in added:
                found += [f"{table}.{name} is new and must not be left out"] if not (nullable or default) else []
                continue
            kind_before, nullable_before, _ = before["columns"][name]
            if kind != kind_before:
                found.append(f"{table}.{name} is {kind} instead of {kind_before}")
            if nullable_before and not nullable:
                found.append(f"{table}.{name} must not be empty any more")
        for what in ("unique key", "foreign key", "condition"):
            # What is about new columns is none of the older process's business.
            fresh = {one for one in after[what].keys() - before[what].keys() if not added & set(one.split(", "))}
            found += [f"{table} has a new {what} {one if what == 'condition' else f'({one})'}" for one in fresh]
    return found


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

    def test_tables_are_numbered_and_have_room_as_they_say(self) -> None:
        connection = self.migrated()
        traits = (self.traits_of(connection, name) for name in metadata.tables)
        found = {name: trait for name, trait in zip(metadata.tables, traits, strict=True) if trait}
        said = {name: self.expected_traits(table.info) for name, table in metadata.tables.items()}
        self.assertEqual(found, {name: trait for name, trait in said.items() if trait})
        self.assertGreater(len(found), 2)

    def traits_of(self, connection: Connection, table: str) -> dict[str, Any]:
        """What the database says of a table beyond its columns."""
        raise NotImplementedError

    def expected_traits(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """What it is to say of a table with this ``info``."""
        raise NotImplementedError

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
        newest = re.escape(schema.state(None).newest)
        message = f"at revision 9999, .*only up to {newest}: a newer version has changed it. Run that version, or"
        for act in (upgrade, schema.state):
            with self.assertRaisesRegex(SchemaTooNew, message), self.engine.begin() as connection:
                act(connection)

    def test_the_state_names_what_is_missing_in_its_order_and_each_step_is_told_when_it_is_done(self) -> None:
        steps = schema.state(None).missing
        self.assertEqual(len(steps), STEPS)
        half = steps[1].split()[0]
        told: list[str] = []
        with self.engine.begin() as connection:
            self.assertEqual(schema.state(connection), schema.SchemaState("", steps[-1].split()[0], steps))
            self.assertEqual(upgrade(connection, to=half, tell=told.append), list(steps[:2]))
            self.assertEqual(schema.state(connection), schema.SchemaState(half, steps[-1].split()[0], steps[2:]))
            upgrade(connection, tell=told.append)
            self.assertEqual(schema.state(connection).missing, ())
        self.assertEqual(told, list(steps))

    def test_the_newest_revision_is_that_of_the_last_file(self) -> None:
        self.assertEqual(schema.newest(), schema.state(None).newest)

    def test_a_schema_that_is_current_is_found_so_without_alembic_and_the_other_dialect(self) -> None:
        dialect = self.migrated().dialect.name
        look = (
            "import sys; from csms.storage import *; from csms.storage.engines import *\n"
            "from csms.storage.schema import upgrade\n"
            "engines = open_engines(database_url(sys.argv[1]), pool_size=2, statement_timeout_s=30.0)\n"
            "with engines.write.begin() as connection: print(upgrade(connection), 'alembic' in sys.modules)\n"
            "print(*(one for one in ('sqlite', 'postgresql') if f'sqlalchemy.dialects.{one}' in sys.modules))"
        )
        found = subprocess.run([sys.executable, "-c", look, self.url], capture_output=True, text=True, check=False)
        self.assertEqual((found.stdout, found.stderr), (f"[] False\n{dialect}\n", ""))

    def test_a_step_takes_away_nothing_that_the_version_before_it_uses(self) -> None:
        revisions = [step.split()[0] for step in schema.state(None).missing]
        for before, after in itertools.pairwise(revisions):
            with self.engine.begin() as connection:
                upgrade(connection, to=before)
                old = snapshot(connection)
                upgrade(connection, to=after)
                found = objections(old, snapshot(connection))
            if after not in CONTRACTIONS:
                self.assertEqual(found, [], f"{after} would stop processes of the version before it: see the docs")


class ObjectionsTests(unittest.TestCase):
    """What an additive change is."""

    def changed(self, *statements: str) -> list[str]:
        engine = create_engine("sqlite://")
        self.addCleanup(engine.dispose)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER)"))
            connection.execute(text("CREATE TABLE u (id INTEGER PRIMARY KEY)"))
            old = snapshot(connection)
            for statement in statements:
                connection.execute(text(statement))
            return objections(old, snapshot(connection))

    def test_new_tables_columns_and_indices_are_welcome(self) -> None:
        self.assertEqual(self.changed("CREATE TABLE n (id INTEGER PRIMARY KEY, x TEXT NOT NULL UNIQUE)"), [])
        self.assertEqual(self.changed("ALTER TABLE t ADD COLUMN c TEXT"), [])
        self.assertEqual(self.changed("ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT ''"), [])
        self.assertEqual(self.changed("CREATE INDEX i ON t (b)"), [])
        self.assertEqual(self.changed("ALTER TABLE t ADD COLUMN c TEXT", "CREATE UNIQUE INDEX i ON t (a, c)"), [])

    def test_what_an_older_process_stumbles_over_is_found(self) -> None:
        for change, words in (
            ("DROP TABLE u", "u is gone"),
            ("ALTER TABLE t RENAME TO s", "t is gone"),
            ("ALTER TABLE t DROP COLUMN b", "t.b is gone"),
            ("ALTER TABLE t RENAME COLUMN b TO c", "t.b is gone"),
            ("CREATE UNIQUE INDEX i ON t (b)", "t has a new unique key (b)"),
        ):
            with self.subTest(change):
                self.assertIn(words, self.changed(change))
        again = "CREATE TABLE t (id INTEGER PRIMARY KEY, a {}, b {})"
        for a, b, words in (
            ("TEXT", "INTEGER NOT NULL", "t.b must not be empty any more"),
            ("TEXT NOT NULL", "TEXT", "t.b is TEXT instead of INTEGER"),
            ("TEXT NOT NULL", "INTEGER, c TEXT NOT NULL", "t.c is new and must not be left out"),
            ("TEXT NOT NULL", "INTEGER REFERENCES u (id)", "t has a new foreign key (b)"),
            ("TEXT NOT NULL", "INTEGER, CHECK (b > 0)", "t has a new condition b > 0"),
        ):
            with self.subTest(words):
                self.assertEqual(self.changed("DROP TABLE t", again.format(a, b)), [words])


class SqliteSchema(SchemaContract):
    def empty_url(self) -> str:
        directory = tempfile.mkdtemp(prefix="csms-sqlite-")
        self.addCleanup(shutil.rmtree, directory)
        return f"sqlite:///{directory}/csms.db"

    def traits_of(self, connection: Connection, table: str) -> dict[str, Any]:
        made = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name"
        statement = connection.execute(text(made), {"name": table}).scalar_one()
        return {"numbered": True} if "AUTOINCREMENT" in statement else {}

    def expected_traits(self, info: Mapping[str, Any]) -> dict[str, Any]:
        return {"numbered": True} if "numbered" in info else {}


class PostgresqlSchema(SchemaContract):
    def empty_url(self) -> str:
        url = postgresql_url()
        self.addCleanup(drop_database, url)
        return url

    def traits_of(self, connection: Connection, table: str) -> dict[str, Any]:
        query = "SELECT reloptions, pg_get_partkeydef(oid) FROM pg_class WHERE oid = CAST(:name AS regclass)"
        options, partitioned = connection.execute(text(query), {"name": table}).one()
        return {"options": options, "partitioned": partitioned} if options or partitioned else {}

    def expected_traits(self, info: Mapping[str, Any]) -> dict[str, Any]:
        options = [f"fillfactor={info['fillfactor']}"] if "fillfactor" in info else None
        partitioned = f"RANGE ({info['by_month']})" if "by_month" in info else None
        return {"options": options, "partitioned": partitioned} if options or partitioned else {}


class _Ignored:
    def put(self, _: object) -> None:
        pass


def _has_condition(index: ReflectedIndex) -> bool:
    return any(name.endswith("_where") for name in index.get("dialect_options", {}))


def _expected(table: Table) -> dict[str, bool]:
    """Unique constraints and indices by name; whether they have a condition."""
    uniques = {str(one.name): False for one in table.constraints if isinstance(one, UniqueConstraint)}
    return uniques | {str(one.name): "only" in one.info for one in table.indexes}


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
