"""The broker's exchanges, queues, keys and headers: every name once, and the declarations as data.

From chargers: ``ocpp_exchange`` (topic) -> ``ocpp_shards`` (headers) -> ``ocpp_messages.<k>``, one queue a shard.
Notifications: ``events_exchange`` (topic) -> ``charging_events``, ``notifications``, ``analytics``,
``events_stream`` and a queue of each gateway. Commands: ``commands_exchange`` (direct) -> the gateway that holds
the charger. What nobody could handle: ``dead_letter_exchange`` (fanout) -> ``dead_letter_queue``.

All arguments are explicit, so that the same declarations mean the same on every RabbitMQ from 3.10 to 4.x.
There is no alternate exchange on purpose: it would swallow what ``mandatory`` has to return to the publisher.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

OCPP_EXCHANGE = "ocpp_exchange"
SHARDS_EXCHANGE = "ocpp_shards"
EVENTS_EXCHANGE = "events_exchange"
COMMANDS_EXCHANGE = "commands_exchange"
DEAD_LETTER_EXCHANGE = "dead_letter_exchange"
DEFAULT_EXCHANGE = ""
"""AMQP's own: its routing key is the name of a queue."""

OCPP_MESSAGES = "ocpp_messages"
CHARGING_EVENTS = "charging_events"
NOTIFICATIONS = "notifications"
ANALYTICS = "analytics"
DEAD_LETTER_QUEUE = "dead_letter_queue"
EVENTS_STREAM = "events_stream"

CONNECTION_OPENED_KEY = "ocpp.connection.opened"
CONNECTION_CLOSED_KEY = "ocpp.connection.closed"
GATEWAY_STARTED_KEY = "ocpp.gateway.started"
CALL_REFUSED_KEY = "ocpp.refused"
ALL_NOTIFICATIONS = "notification.#"
CHARGING_NOTIFICATIONS = "notification.charging.#"

SHARD_HEADER = "shard"
VERSION_HEADER = "version"

# A connection that is lost counts as a delivery of everything it held, innocent or not: the limit must outlive
# many restarts of a worker and still end a message that kills every worker.
DELIVERY_LIMIT = 100
# Browsing takes dead letters and gives them back, which counts too.
BROWSING_LIMIT = 2**31 - 1
STREAM_MAX_AGE = "1D"
STREAM_MAX_BYTES = 1_000_000_000
STREAM_SEGMENT_BYTES = 50_000_000
PRIVATE_QUEUE_MAX_LENGTH = 100_000
"""A gateway that reads its queue too slowly loses the oldest: its browsers resume, its chargers repeat."""

Arguments = Mapping[str, str | int]


def message_key(action: str) -> str:
    """Routing key of a charger's CALL."""
    return f"ocpp.message.{action}"


def result_key(action: str) -> str:
    """Routing key of a charger's answer to a command."""
    return f"ocpp.result.{action}"


@lru_cache(maxsize=256)
def notification_key(type_: str) -> str:
    """Routing key of a notification of ``type_``, e.g. ``charging.started``."""
    return f"notification.{type_}"


@lru_cache(maxsize=256)
def notification_type(routing_key: str) -> str:
    """The type that :func:`notification_key` made this routing key of."""
    return routing_key.removeprefix("notification.")


def shard_of(device_id: str, shards: int) -> int:
    """The shard that takes all messages of a charger: 0 <= shard < ``shards``."""
    return zlib.crc32(device_id.encode()) % shards


def shard_queues(shards: int) -> tuple[str, ...]:
    """The queues of all shards, in the order of the shards' numbers."""
    if shards == 1:
        return (OCPP_MESSAGES,)
    return tuple(f"{OCPP_MESSAGES}.{shard}" for shard in range(shards))


def gateway_queue(gateway: str) -> str:
    """The private queue of a gateway for replies and commands."""
    return f"gateway.{gateway}"


def gateway_events_queue(gateway: str) -> str:
    """The private queue of a gateway for its browsers' notifications."""
    return f"gateway.{gateway}.events"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange; ``kind`` is topic, direct, headers or fanout."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue."""

    name: str
    arguments: Arguments

    @property
    def single_active_consumer(self) -> bool:
        """Only the consumer that came first gets messages; the others stand by."""
        return bool(self.arguments.get("x-single-active-consumer", False))

    @property
    def is_stream(self) -> bool:
        """Reading a stream takes nothing away; it keeps messages by age and size."""
        return self.arguments["x-queue-type"] == "stream"


@dataclass(frozen=True, slots=True)
class Binding:
    """``source``, an exchange, hands what matches to ``target``: a queue or, if ``to_exchange``, an exchange."""

    source: str
    target: str
    routing_key: str = ""
    arguments: Arguments = field(default_factory=dict)
    to_exchange: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """All that is declared on the broker, in the order in which it can be declared."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


EXCHANGES = (
    Exchange(OCPP_EXCHANGE, "topic"),
    Exchange(SHARDS_EXCHANGE, "headers"),
    Exchange(EVENTS_EXCHANGE, "topic"),
    Exchange(COMMANDS_EXCHANGE, "direct"),
    Exchange(DEAD_LETTER_EXCHANGE, "fanout"),
)

_DEAD_LETTERED: Arguments = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
_SHARD: Arguments = {**_DEAD_LETTERED, "x-single-active-consumer": True}
_DEAD: Arguments = {"x-queue-type": "quorum", "x-delivery-limit": BROWSING_LIMIT}
_STREAM: Arguments = {
    "x-queue-type": "stream",
    "x-max-age": STREAM_MAX_AGE,
    "x-max-length-bytes": STREAM_MAX_BYTES,
    "x-stream-max-segment-size-bytes": STREAM_SEGMENT_BYTES,
}
PRIVATE_QUEUE_ARGUMENTS: Arguments = {
    "x-queue-type": "classic",
    "x-max-length": PRIVATE_QUEUE_MAX_LENGTH,
    "x-overflow": "drop-head",
}
"""For queues that are exclusive to a connection and gone with it."""


def topology(shards: int) -> Topology:
    """Everything there is on a broker with that many shards, apart from gateways' private queues."""
    shard_names = shard_queues(shards)
    return Topology(
        exchanges=EXCHANGES,
        queues=(
            *(Queue(name, _SHARD) for name in shard_names),
            *(Queue(name, _DEAD_LETTERED) for name in (CHARGING_EVENTS, NOTIFICATIONS, ANALYTICS)),
            Queue(DEAD_LETTER_QUEUE, _DEAD),
            Queue(EVENTS_STREAM, _STREAM),
        ),
        bindings=(
            Binding(OCPP_EXCHANGE, SHARDS_EXCHANGE, "#", to_exchange=True),
            *(
                Binding(SHARDS_EXCHANGE, name, "", {"x-match": "all", SHARD_HEADER: shard})
                for shard, name in enumerate(shard_names)
            ),
            Binding(EVENTS_EXCHANGE, CHARGING_EVENTS, CHARGING_NOTIFICATIONS),
            Binding(EVENTS_EXCHANGE, NOTIFICATIONS, ALL_NOTIFICATIONS),
            Binding(EVENTS_EXCHANGE, ANALYTICS, ALL_NOTIFICATIONS),
            Binding(EVENTS_EXCHANGE, EVENTS_STREAM, ALL_NOTIFICATIONS),
            Binding(DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE),
        ),
    )
