"""The installation that the settings name, opened as far as a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater

from csms.admin.output import CommandError
from csms.broker.amqp import AmqpBroker
from csms.broker.dead_letters import AmqpDeadLetters
from csms.config.settings import Settings
from csms.parts import is_embedded, make_broker, make_database, shard_count
from csms.ports import BrokerError, DeadLetters
from csms.storage.database import SqlDatabase
from csms.storage.dead_letters import StoredDeadLetters
from csms.storage.schema import SchemaState

BROKER_PATIENCE_S = 10.0


class Site:
    """Opens what is asked for, once; :meth:`close` closes it."""

    def __init__(
        self, settings: Settings, reactor: Any, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.settings = settings
        self.now = now
        self._reactor = reactor
        self._database: SqlDatabase | None = None
        self._started = False
        self._broker: AmqpBroker | None = None

    async def database(self, *, tell: Callable[[str], object] = lambda step: None) -> SqlDatabase:
        """The database, its tables up to date; ``tell`` is told of the steps.

        Raises :class:`csms.ports.DatabaseError`.
        """
        if not self._started:
            await self._made_database().start(tell=tell)
            self._started = True
        return self._made_database()

    async def schema(self) -> SchemaState:
        """Where the database's schema stands. Raises :class:`csms.ports.DatabaseError`."""
        return await self._made_database().look_at_schema()

    def _made_database(self) -> SqlDatabase:
        if self._database is None:
            self._database = make_database(self.settings.database, self._reactor)
        return self._database

    async def dead_letters(self) -> DeadLetters:
        """Where dead letters are: in RabbitMQ, or in the database when the broker lives in the service's process."""
        database = await self.database()
        if is_embedded(self.settings.broker):
            return StoredDeadLetters(database)
        return AmqpDeadLetters(await self.broker())

    async def broker(self) -> AmqpBroker:
        """RabbitMQ, connected. Raises :class:`csms.ports.BrokerError`."""
        if self._broker is None:
            database = await self.database()
            shards = await shard_count(database, self.settings)
            broker = make_broker(self.settings.broker, shards=shards, name="csms-admin", reactor=self._reactor)
            assert isinstance(broker, AmqpBroker)
            self._broker = broker
            await broker.start()
            await self._up(broker)
        return self._broker

    async def pause(self, seconds: float) -> None:
        """Wait."""
        await deferLater(self._reactor, seconds)

    async def close(self) -> None:
        """Close what was opened."""
        if self._broker is not None:
            await self._broker.stop()
        if self._database is not None:
            await self._database.stop()

    async def _up(self, broker: AmqpBroker) -> None:
        try:
            await Deferred.fromCoroutine(broker.when_up()).addTimeout(BROKER_PATIENCE_S, self._reactor)
        except DeferredTimeout as error:
            raise BrokerError(broker.reason or f"no answer within {BROKER_PATIENCE_S:g} s") from error


def read_input(file: str) -> str:
    """The text of ``file``, or of standard input for ``-``. Raises :class:`CommandError`."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise CommandError(f"cannot read {file}: {reason}") from error
