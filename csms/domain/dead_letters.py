"""Dead letters: the headers that say why and where a message died; a worker writes them, browsing reads them.

A worker that gives a message up publishes a copy with these headers to ``dead_letter_exchange`` and then acks.
RabbitMQ itself dead-letters a message that was delivered too often; it tells so in ``x-death``, in its own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from csms.domain.topology import (
    ANALYTICS,
    CHARGING_EVENTS,
    DEFAULT_EXCHANGE,
    EVENTS_EXCHANGE,
    NOTIFICATIONS,
    OCPP_EXCHANGE,
)

REASON_HEADER = "x-csms-reason"
QUEUE_HEADER = "x-csms-queue"
EXCHANGE_HEADER = "x-csms-exchange"
ROUTING_KEY_HEADER = "x-csms-routing-key"
DIED_AT_HEADER = "x-csms-died-at"

MAX_REASON_CHARACTERS = 1000
MAX_KEPT_HEADER_BYTES = 32 * 1024
_MAX_NAME_BYTES = 255
_EPOCH = datetime.fromtimestamp(0, UTC)
_EVENT_QUEUES = frozenset({CHARGING_EVENTS, NOTIFICATIONS, ANALYTICS})
_OF_A_DEATH = (
    "x-csms-",
    "x-death",
    "x-first-death-",
    "x-last-death-",
    "x-delivery-count",
    "x-acquired-count",
)
_BROKERS_REASONS = {
    "delivery_limit": "delivered too often without an outcome: it may kill the workers that take it",
    "rejected": "rejected by a worker",
    "expired": "expired before a worker took it",
    "maxlen": "the queue was full",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Where and why a message died. ``exchange`` and ``routing_key`` are what it was once published with."""

    reason: str
    queue: str
    exchange: str
    routing_key: str
    died_at: datetime


def source_exchange(queue: str) -> str:
    """The exchange that feeds a queue of the topology."""
    return EVENTS_EXCHANGE if queue in _EVENT_QUEUES else OCPP_EXCHANGE


def death_headers(*, reason: str, queue: str, routing_key: str, died_at: datetime) -> dict[str, str | int]:
    """Headers to add to a message that was taken from ``queue`` and is given up."""
    return {
        REASON_HEADER: reason[:MAX_REASON_CHARACTERS],
        QUEUE_HEADER: queue,
        EXCHANGE_HEADER: source_exchange(queue),
        ROUTING_KEY_HEADER: routing_key,
        DIED_AT_HEADER: died_at.isoformat(),
    }


def death_of(headers: Mapping[str, object]) -> Death:
    """What a message's headers say of its death: ours first, else the broker's ``x-death``."""
    if REASON_HEADER in headers:
        return Death(
            reason=str(headers[REASON_HEADER]),
            queue=str(headers.get(QUEUE_HEADER, "")),
            exchange=str(headers.get(EXCHANGE_HEADER, "")),
            routing_key=str(headers.get(ROUTING_KEY_HEADER, "")),
            died_at=_moment(headers.get(DIED_AT_HEADER)),
        )
    deaths = headers.get("x-death")
    if isinstance(deaths, Sequence) and deaths and isinstance(deaths[0], Mapping):
        last = deaths[0]
        reason = str(last.get("reason", ""))
        keys = last.get("routing-keys")
        return Death(
            reason=_BROKERS_REASONS.get(reason, reason),
            queue=str(last.get("queue", "")),
            exchange=str(last.get("exchange", "")),
            routing_key=str(keys[0]) if isinstance(keys, Sequence) and keys else "",
            died_at=_moment(last.get("time")),
        )
    return Death(reason="unknown", queue="", exchange="", routing_key="", died_at=_EPOCH)


def living_headers(headers: Mapping[str, str | int]) -> dict[str, str | int]:
    """The headers that the message had before it died."""
    return {name: value for name, value in headers.items() if not name.startswith(_OF_A_DEATH)}


def kept_headers(headers: Mapping[str, str | int]) -> dict[str, str | int]:
    """As many of the living headers as a dead letter can hold beside those of its death: AMQP gives them one frame."""
    kept: dict[str, str | int] = {}
    left = MAX_KEPT_HEADER_BYTES
    for name, value in living_headers(headers).items():
        length = len(name.encode()) + len(value.encode() if isinstance(value, str) else b"12345678")
        if length <= left and len(name.encode()) <= _MAX_NAME_BYTES:
            kept[name] = value
            left -= length
    return kept


def replay_address(death: Death) -> tuple[str, str]:
    """Exchange and routing key that bring the message back to the queue where it died, and to no other.

    A charger's message takes the way through its shard again; an event goes straight to the one queue.
    """
    if death.queue in _EVENT_QUEUES:
        return DEFAULT_EXCHANGE, death.queue
    return death.exchange, death.routing_key


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return _EPOCH
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    if isinstance(value, int | float) and 0 <= value < 2**36:
        return datetime.fromtimestamp(value, UTC)
    return _EPOCH
