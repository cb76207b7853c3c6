"""AMQP by txAMQP: the same promise as with pika, over our own specification file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory

from csms.broker.address import Address, endpoint
from csms.broker.amqp_frames import publish_frames
from csms.broker.amqp_tables import decode_table, encode_table
from csms.broker.amqp_txamqp_protocol import Arrived, TxamqpProtocol
from csms.broker.pacing import paced
from csms.broker.wire import (
    Argument,
    Channel,
    ChannelListener,
    Connect,
    Connection,
    ConnectionFailed,
    ConnectionListener,
    Received,
    expiration_s,
    moment,
    plain_headers,
    text,
)
from csms.ports import Message

CONNECT_TIMEOUT_S = 10.0
_TAG = "csms"


async def _connect(address: Address, listener: ConnectionListener, reactor: Any) -> Connection:
    protocol = TxamqpProtocol(address, reactor)
    factory = Factory.forProtocol(lambda: protocol)
    factory.noisy = False
    try:
        await endpoint(address, reactor, timeout_s=CONNECT_TIMEOUT_S).connect(paced(factory, reactor))
        await protocol.ready
    except Exception as error:
        if protocol.transport is not None:
            protocol.transport.abortConnection()
        if isinstance(error, CancelledError):
            raise
        raise ConnectionFailed(f"{address.place}: {error}") from error
    return TxamqpConnection(protocol, listener)


def connector(reactor: Any) -> Connect:
    """The function that opens connections with txAMQP."""

    def connect(address: Address, listener: ConnectionListener) -> Deferred[Connection]:
        return Deferred.fromCoroutine(_connect(address, listener, reactor))

    return connect


class TxamqpConnection:
    """A connection (see :class:`csms.broker.wire.Connection`)."""

    def __init__(self, protocol: TxamqpProtocol, listener: ConnectionListener) -> None:
        self._protocol = protocol
        self._listener = listener
        self._closed: Deferred[None] = Deferred()
        protocol.on_lost = self._lost
        protocol.on_method = self._method

    def open_channel(
        self, listener: ChannelListener | None, refused: Callable[[str], None] | None = None
    ) -> Deferred[Channel]:
        """A new channel."""
        raw = self._protocol.new_channel()
        channel = TxamqpChannelOf(raw, self._protocol, listener, refused or self._listener.lost)
        opened: Deferred[Channel] = raw.channel_open().addCallback(lambda _: channel)
        return opened

    def close(self) -> Deferred[None]:
        """Close in good order."""
        self._protocol.close_politely()
        return self._closed

    def abort(self) -> None:
        """Drop the socket."""
        self._protocol.transport.abortConnection()

    def _method(self, arrived: Arrived) -> None:
        if arrived.name == "connection.blocked":
            self._listener.blocked(text(arrived.fields["reason"]))
        elif arrived.name == "connection.unblocked":
            self._listener.unblocked()

    def _lost(self, reason: str) -> None:
        if not self._closed.called:
            self._closed.callback(None)
        self._listener.lost(reason)


class TxamqpChannelOf:
    """A channel (see :class:`csms.broker.wire.Channel`)."""

    def __init__(
        self,
        raw: Any,
        protocol: TxamqpProtocol,
        listener: ChannelListener | None,
        refused: Callable[[str], None],
    ) -> None:
        self._raw = raw
        self._protocol = protocol
        self._listener = listener
        self._refused = refused
        self._is_open = True
        raw.on_method = self._method

    def declare_exchange(self, name: str, kind: str) -> None:
        """Declare an exchange."""
        self._raw.exchange_declare(exchange=name, type=kind, durable=True, nowait=True)

    def declare_queue(self, name: str, arguments: Mapping[str, Argument], *, private: bool) -> None:
        """Declare a queue."""
        self._raw.queue_declare(
            queue=name, durable=not private, exclusive=private, nowait=True, arguments=encode_table(arguments)
        )

    def bind_queue(self, queue: str, exchange: str, routing_key: str, arguments: Mapping[str, Argument]) -> None:
        """Bind a queue."""
        self._raw.queue_bind(
            queue=queue, exchange=exchange, routing_key=routing_key, nowait=True, arguments=encode_table(arguments)
        )

    def bind_exchange(self, target: str, source: str, routing_key: str, arguments: Mapping[str, Argument]) -> None:
        """Bind an exchange to another."""
        self._raw.exchange_bind(
            destination=target, source=source, routing_key=routing_key, nowait=True, arguments=encode_table(arguments)
        )

    def unbind_queue(self, queue: str, exchange: str, routing_key: str) -> None:
        """Unbind a queue."""
        self._raw.queue_unbind(queue=queue, exchange=exchange, routing_key=routing_key)

    def select_confirms(self) -> None:
        """Confirms from now on."""
        self._raw.confirm_select(nowait=True)

    def consume(self, queue: str, prefetch: int, arguments: Mapping[str, Argument]) -> None:
        """Subscribe."""
        self._raw.basic_qos(prefetch_count=prefetch)
        self._raw.basic_consume(queue=queue, consumer_tag=_TAG, nowait=True, arguments=encode_table(arguments))

    def sync(self) -> Deferred[None]:
        """A question that changes nothing, behind all others."""
        if not self._is_open:
            return Deferred()
        done: Deferred[None] = self._raw.exchange_declare(exchange="amq.direct", type="direct", passive=True)
        return done.addCallback(lambda _: None)

    def depth(self, queue: str) -> Deferred[int]:
        """Messages that wait."""
        if not self._is_open:
            return Deferred()
        answer: Deferred[Arrived] = self._raw.queue_declare(queue=queue, passive=True)
        return answer.addCallback(lambda arrived: int(arrived.fields["message count"]))

    def get(self, queue: str) -> Deferred[Received | None]:
        """Take one message."""
        if not self._is_open:
            return Deferred()
        answer: Deferred[Arrived] = self._raw.basic_get(queue=queue)
        self._protocol.transport.flush()
        return answer.addCallback(lambda arrived: _received(arrived) if arrived.name == "basic.get ok" else None)

    def publish(self, exchange: str, routing_key: str, message: Message, *, mandatory: bool) -> None:
        """Send; raises ValueError for what AMQP cannot carry."""
        if not self._is_open:
            return
        frames = publish_frames(
            self._raw.id, exchange, routing_key, message, mandatory=mandatory, frame_max=self._protocol.MAX_LENGTH
        )
        self._protocol.transport.write(frames)

    def ack(self, tag: int, *, multiple: bool) -> None:
        """Done with it."""
        if self._is_open:
            self._raw.basic_ack(delivery_tag=tag, multiple=multiple)

    def requeue(self, tag: int) -> None:
        """Give it back."""
        if self._is_open:
            self._raw.basic_reject(delivery_tag=tag, requeue=True)

    def close(self) -> Deferred[None]:
        """Close it."""
        closed: Deferred[None] = Deferred()
        if self._is_open:
            self._is_open = False

            def is_closed(_: Arrived) -> None:
                self._protocol.forget_channel(self._raw)
                closed.callback(None)

            self._raw.channel_close(reply_code=200, reply_text="bye").addCallback(is_closed)
        return closed

    # --- what the broker says ----------------------------------------------------------------------------------

    def _method(self, arrived: Arrived) -> None:
        fields = arrived.fields
        match arrived.name:
            case "channel.close":
                self._is_open = False
                self._raw.channel_close_ok()
                self._refused(f"{fields['reply code']} {fields['reply text']}")
            case "channel.flow":
                self._raw.channel_flow_ok(active=fields["active"])
            case "basic.cancel":
                self._refused("the broker cancelled a consumer")
            case _ if self._listener is not None and self._is_open:
                self._tell(self._listener, arrived)

    def _tell(self, listener: ChannelListener, arrived: Arrived) -> None:
        fields = arrived.fields
        match arrived.name:
            case "basic.deliver":
                listener.received(_received(arrived))
            case "basic.ack":
                listener.confirmed(fields["delivery tag"], multiple=fields["multiple"])
            case "basic.nack":
                listener.refused(fields["delivery tag"], multiple=fields["multiple"])
            case "basic.return":
                message_id = text(arrived.properties.get("message id"))
                listener.returned(text(fields["exchange"]), text(fields["routing key"]), message_id)


def _received(arrived: Arrived) -> Received:
    fields, properties = arrived.fields, arrived.properties
    headers = _headers(properties.get("headers"))
    return Received(
        tag=fields["delivery tag"],
        exchange=text(fields["exchange"]),
        routing_key=text(fields["routing key"]),
        redelivered=fields["redelivered"],
        message=Message(
            body=arrived.body,
            message_id=text(properties.get("message id")),
            type=text(properties.get("type")),
            headers=plain_headers(headers),
            reply_to=text(properties.get("reply to")),
            correlation_id=text(properties.get("correlation id")),
            expiration_s=expiration_s(properties.get("expiration")),
            timestamp=moment(properties.get("timestamp")),
            persistent=properties.get("delivery mode") == 2,
        ),
        headers=headers,
    )


def _headers(table: object) -> dict[str, object]:
    """The headers; txAMQP hands bytes that look like text out as text."""
    contents = table.encode() if isinstance(table, str) else table
    try:
        return decode_table(contents) if isinstance(contents, bytes) else {}
    except ValueError:
        return {}
