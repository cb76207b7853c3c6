"""The database and the broker that the settings name, not yet started: for services and ``csms-admin`` alike."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from csms.broker.amqp import AmqpBroker
from csms.broker.factory import MEMORY, open_broker
from csms.broker.memory import MemoryBroker, StoreDeadLetter
from csms.config.loading import ConfigError
from csms.config.settings import BrokerSettings, DatabaseSettings, Settings
from csms.ports import Database, DatabaseError
from csms.storage.database import SqlDatabase, open_database


def is_embedded(settings: BrokerSettings) -> bool:
    """Whether the broker lives in the process of ``twistd csms``."""
    return settings.url.startswith(MEMORY)


def make_database(settings: DatabaseSettings, reactor: Any) -> SqlDatabase:
    """The database. Raises :class:`ConfigError` for a URL that cannot be right."""
    try:
        return open_database(
            settings.url,
            password=settings.password,
            pool_size=settings.pool_size,
            statement_timeout_s=settings.statement_timeout_s,
            reactor=reactor,
        )
    except DatabaseError as error:
        raise ConfigError(f"[database] url: {error}") from error


def make_broker(
    settings: BrokerSettings,
    *,
    shards: int,
    name: str,
    reactor: Any,
    consumed_queues: Collection[str] = (),
    store_dead_letter: StoreDeadLetter | None = None,
) -> MemoryBroker | AmqpBroker:
    """The broker; ``name`` is shown to its operator. Raises :class:`ConfigError` for a URL that cannot be right."""
    try:
        return open_broker(
            settings.url,
            shards=shards,
            amqp_client=settings.amqp_client.value,
            declare=settings.declare,
            password=settings.password,
            ca_file=settings.ca_file,
            heartbeat_s=settings.heartbeat_s,
            name=name,
            consumed_queues=consumed_queues,
            store_dead_letter=store_dead_letter,
            reactor=reactor,
        )
    except ValueError as error:
        raise ConfigError(f"[broker] url cannot be used: {error}") from error


async def shard_count(database: Database, settings: Settings) -> int:
    """The installation's number of shards; that of the settings where there was none yet."""
    return await database.transact(lambda uow: uow.shards.count(default=settings.broker.shards), name="count of shards")
