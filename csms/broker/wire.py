"""What an AMQP library's adapter offers: a connection with channels. All else is written once, above it.

Methods without a result do not wait for the broker: AMQP answers in order, so one :meth:`Channel.sync` behind them says
that all were done. What the broker refuses closes the channel, and the listener hears why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred

from csms.broker.address import Address
from csms.ports import BrokerError, Message

CONTENT_TYPE = "application/json"
Argument = str | int | bool | datetime


class ConnectionFailed(BrokerError):  # noqa: N818 - it names what happened
    """No connection to the broker; the text says why."""


class Received(msgspec.Struct):
    """A message as it came from the broker. ``headers`` are all of them; ``message.headers`` only the plain ones."""

    tag: int
    exchange: str
    routing_key: str
    redelivered: bool
    message: Message
    headers: Mapping[str, object]


class ConnectionListener(Protocol):
    """Who uses a connection hears of its fate."""

    def blocked(self, reason: str) -> None:
        """The broker reads no more publishes of this connection."""

    def unblocked(self) -> None:
        """It reads again."""

    def lost(self, reason: str) -> None:
        """The connection, or one of its channels, is gone. Called once at least; may be called again."""


class ChannelListener(Protocol):
    """Who uses a channel hears what the broker says on it. No method may raise."""

    def confirmed(self, tag: int, *, multiple: bool) -> None:
        """The ``tag``-th publish (``multiple``: and all before) is safe."""

    def refused(self, tag: int, *, multiple: bool) -> None:
        """The ``tag``-th publish (``multiple``: and all before) was not taken."""

    def returned(self, exchange: str, routing_key: str, message_id: str) -> None:
        """No queue took this message; its confirm follows."""

    def received(self, received: Received) -> None:
        """A message for the channel's consumer."""


class Channel(Protocol):
    """A channel of a connection, with at most one consumer."""

    def declare_exchange(self, name: str, kind: str) -> None:
        """Declare a durable exchange."""

    def declare_queue(self, name: str, arguments: Mapping[str, Argument], *, private: bool) -> None:
        """Declare a queue: durable, or (``private``) exclusive to this connection and gone with it."""

    def bind_queue(self, queue: str, exchange: str, routing_key: str, arguments: Mapping[str, Argument]) -> None:
        """Have ``exchange`` put into ``queue`` what matches."""

    def bind_exchange(self, target: str, source: str, routing_key: str, arguments: Mapping[str, Argument]) -> None:
        """Have ``source`` hand to ``target`` what matches."""

    def unbind_queue(self, queue: str, exchange: str, routing_key: str) -> None:
        """Undo :meth:`bind_queue`."""

    def select_confirms(self) -> None:
        """Ask for a confirm of every publish from now on."""

    def consume(self, queue: str, prefetch: int, arguments: Mapping[str, Argument]) -> None:
        """Subscribe; at most ``prefetch`` messages come without an outcome."""

    def sync(self) -> Deferred[None]:
        """Fires when the broker has done all that was asked on this channel before."""

    def depth(self, queue: str) -> Deferred[int]:
        """How many messages wait in ``queue``."""

    def get(self, queue: str) -> Deferred[Received | None]:
        """Take one message out of ``queue``; None when it is empty."""

    def publish(self, exchange: str, routing_key: str, message: Message, *, mandatory: bool) -> None:
        """Send a message."""

    def ack(self, tag: int, *, multiple: bool) -> None:
        """Done with the message (``multiple``: and all before)."""

    def requeue(self, tag: int) -> None:
        """Give the message back."""

    def close(self) -> Deferred[None]:
        """Close it: what is unacked goes back to its old place, all at once. Fires when that is done."""


class Connection(Protocol):
    """An open connection."""

    def open_channel(
        self, listener: ChannelListener | None, refused: Callable[[str], None] | None = None
    ) -> Deferred[Channel]:
        """A new channel; ``listener`` may be None when nothing is published or consumed on it.

        ``refused`` hears why the broker closed the channel; without it, the connection counts as lost then.
        """

    def close(self) -> Deferred[None]:
        """Close in good order; fires when the socket is closed."""

    def abort(self) -> None:
        """Drop the socket at once."""


Connect = Callable[[Address, ConnectionListener], Deferred[Connection]]
"""Opens a connection: fires after AMQP's handshake, fails with :class:`ConnectionFailed`. Cancelling aborts."""


def plain_headers(headers: Mapping[Any, object] | None) -> dict[str, str | int]:
    """The headers with plain values; the broker adds others (x-death is a list of tables), strangers any."""
    if not headers:
        return {}
    return {name: value for name, value in headers.items() if isinstance(value, (str, int)) and isinstance(name, str)}


def text(value: object) -> str:
    """A property of a message that should be text; whoever published it may think otherwise."""
    return value if isinstance(value, str) else ""


def moment(timestamp: int | None) -> datetime | None:
    """The time of AMQP's seconds since 1970; None for what is no time."""
    try:
        return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def expiration_s(milliseconds: object) -> float | None:
    """Seconds from AMQP's text of milliseconds; None for what is no number."""
    return int(milliseconds) / 1000 if isinstance(milliseconds, str) and milliseconds.isdecimal() else None


def expiration_ms(seconds: float | None) -> str | None:
    """AMQP's text of milliseconds."""
    return None if seconds is None else str(max(0, int(seconds * 1000)))
