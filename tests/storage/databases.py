"""Databases for tests: each test gets an empty one, of either kind, with its tables made."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
from sqlalchemy import create_engine, event
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from csms.domain.messages import ChargerMessage
from csms.domain.model import Charger, LogEntry, Sample, Session
from csms.domain.retention import Retention
from csms.storage.database import SqlDatabase, open_database
from csms.storage.engines import database_url
from csms.storage.schema import upgrade
from csms.storage.tables import metadata
from csms.storage.unit_of_work import SqlUnitOfWork
from tests.servers import postgresql_url

T = TypeVar("T")
NOW = datetime(2026, 3, 14, 9, 26, 53, 589793, tzinfo=UTC)


class DatabaseCase(TestCase):
    """A test with a started database. Subclasses say which kind."""

    timeout = 60

    def fresh_url(self) -> str:
        """The URL of an empty database with its tables made."""
        raise NotImplementedError

    async def setUp(self) -> None:  # type: ignore[override]
        self.url = self.fresh_url()
        self.database = await self.opened()

    async def opened(self, **options: Any) -> SqlDatabase:
        """Another connection to this test's database, as another process would have; stopped at the test's end."""
        database = open_database(self.url, reactor=reactor, **options)
        self.addCleanup(lambda: Deferred.fromCoroutine(database.stop()))
        await database.start()
        return database

    async def write(self, work: Callable[..., T], *arguments: Any) -> T:
        """The result of a transaction."""
        return await self.database.transact(lambda uow: work(uow, *arguments), name="test")

    async def look(self, work: Callable[..., T], *arguments: Any) -> T:
        """The result of a read."""
        return await self.database.read(lambda uow: work(uow, *arguments), name="test")

    async def race(self, work: Callable[..., T], arguments: Sequence[Any] = range(10)) -> list[T]:
        """What ``work`` gives for each argument, run at once and by two processes in turn."""
        databases = cycle([self.database, await self.opened()])
        racing = [
            Deferred.fromCoroutine(database.transact(partial(_swapped, work, one), name="race"))
            for database, one in zip(databases, arguments, strict=False)
        ]
        return await gatherResults(racing)

    async def refused(self, work: Coroutine[Deferred[Any], Any, Any], kind: type[Exception]) -> Any:
        """The exception of ``kind`` that ``work`` fails with."""
        return await self.assertFailure(Deferred.fromCoroutine(work), kind)

    async def a_charger(self, device_id: str = "CP-1") -> int:
        """The id of a new charger."""
        charger: Charger = await self.write(lambda uow: uow.chargers.add(Charger(device_id=device_id)))
        return charger.id

    def statements(self, database: SqlDatabase | None = None) -> list[str]:
        """A list that every statement is added to from now on, also when several go out in one round trip."""
        seen: list[str] = []
        self._listen(database, lambda text: seen.extend(text.split(";\n")))
        return seen

    def round_trips(self, database: SqlDatabase | None = None) -> list[str]:
        """A list that what goes out in each round trip is added to from now on."""
        seen: list[str] = []
        self._listen(database, seen.append)
        return seen

    def _listen(self, database: SqlDatabase | None, listener: Callable[[str], object]) -> None:
        engines = (database or self.database)._engines
        for engine in {engines.write, engines.read}:
            event.listen(engine, "before_cursor_execute", lambda _c, _cu, statement, *_: listener(statement))


class SqliteCase(DatabaseCase):
    """With SQLite in a directory of its own."""

    def fresh_url(self) -> str:
        directory = Path(tempfile.mkdtemp(prefix="csms-sqlite-"))
        self.addCleanup(shutil.rmtree, directory)
        shutil.copy(_sqlite_template(), directory / "csms.db")
        return f"sqlite:///{directory}/csms.db"


class PostgresqlCase(DatabaseCase):
    """With the run's PostgreSQL; one database for all tests of a process, emptied before each."""

    def fresh_url(self) -> str:
        url = _postgresql()
        connection = psycopg2.connect(url)
        with connection, connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")
        connection.close()
        return url


@cache
def _sqlite_template() -> Path:
    directory = tempfile.TemporaryDirectory(prefix="csms-sqlite-")
    _kept.append(directory)
    path = Path(directory.name, "template.db")
    _make_tables(f"sqlite:///{path}")
    return path


@cache
def _postgresql() -> str:
    url = postgresql_url()
    _make_tables(url)
    return url


_kept: list[Any] = []


def _make_tables(url: str) -> None:
    engine = create_engine(database_url(url))
    with engine.begin() as connection:
        upgrade(connection)
    engine.dispose()


def _swapped(work: Callable[..., T], argument: Any, uow: SqlUnitOfWork) -> T:
    return work(uow, argument)


def kept(days: int) -> Retention:
    """Everything for so many days; 0: for ever."""
    return Retention(**{field.name: days for field in dataclasses.fields(Retention)})


def a_session(charger_id: int, number: int = 1, **values: Any) -> Session:
    """A session that began ``number`` minutes after NOW."""
    start = NOW + timedelta(minutes=number)
    fields: dict[str, Any] = {
        "transaction_id": str(number),
        "start_key": f"start-{number}",
        "started_at": start,
    } | values
    return Session(charger_id=charger_id, start_received_at=start, **fields)


def a_sample(charger_id: int, second: int = 0, **values: Any) -> Sample:
    """A register reading."""
    moment = NOW + timedelta(seconds=second)
    fields: dict[str, Any] = {"sampled_at": moment, "received_at": NOW, "measurand": "Energy", "value": 1.5}
    return Sample(charger_id=charger_id, **(fields | values))


def a_message(charger_id: int, number: int = 1, action: str = "Heartbeat", **payload: Any) -> ChargerMessage:
    """A message that was received ``number`` seconds after NOW."""
    return ChargerMessage(
        device_id=f"CP-{charger_id}",
        charger_id=charger_id,
        message_type=action,
        payload=payload,
        timestamp=NOW + timedelta(seconds=number),
        raw_data="[]",
        message_id=f"message-{charger_id}-{number}",
        connection_id="connection",
        ocpp_version="ocpp1.6",
        gateway="gateway",
    )


def an_entry(message: ChargerMessage, answer: str = "") -> LogEntry:
    """The log entry of a message."""
    return LogEntry(
        charger_id=message.charger_id,
        message_id=message.message_id,
        connection_id=message.connection_id,
        unique_id=message.unique_id,
        action=message.message_type,
        ocpp_version=message.ocpp_version,
        gateway=message.gateway,
        received_at=message.timestamp,
        raw=message.raw_data,
        answer=answer,
    )
