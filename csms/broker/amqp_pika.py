"""AMQP by pika.

Importing this module imports pika's Twisted adapter, which installs the reactor: import it late.
pika's ``TwistedChannel`` is not used: it blames the wrong message for a return. Its connection is, with plain channels;
deliveries and confirms do not reach it (:mod:`csms.broker.amqp_arrivals`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pika
import pika.channel
import pika.exceptions
import pika.spec
from pika.adapters.twisted_connection import TwistedProtocolConnection
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from csms.broker.address import Address, endpoint
from csms.broker.amqp_arrivals import Arrivals, Taker
from csms.broker.amqp_frames import publish_frames
from csms.broker.amqp_pika_properties import install as install_properties
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

# What pika would say of a lost connection, csms says itself, once and with the reason.
logging.getLogger("pika").setLevel(logging.CRITICAL)
install_properties()


async def _connect(address: Address, listener: ConnectionListener, reactor: Any) -> Connection:
    parameters = pika.ConnectionParameters(
        virtual_host=address.vhost,
        credentials=pika.PlainCredentials(address.username, address.password),
        heartbeat=address.heartbeat_s,
        client_properties={"product": "csms", "connection_name": address.connection_name},
    )
    protocol: Any = TwistedProtocolConnection(parameters, reactor)
    # pika's own ``ready`` does not tell why it failed, and what the broker said it forgets when the socket closes.
    said: list[str] = []
    protocol._impl.callbacks.add(
        0,
        pika.spec.Connection.Close,
        lambda frame: said.append(f"{frame.method.reply_code} {frame.method.reply_text}"),
        one_shot=False,
    )
    opened: Deferred[None] = Deferred()
    protocol._impl.add_on_open_callback(lambda _: _fire(opened, None))
    protocol._impl.add_on_open_error_callback(lambda _, error: _fire(opened, Failure(error)))
    protocol.ready.addErrback(lambda _: None)
    factory = Factory.forProtocol(lambda: protocol)
    factory.noisy = False
    try:
        await endpoint(address, reactor, timeout_s=CONNECT_TIMEOUT_S).connect(paced(factory, reactor))
        await opened
    except Exception as error:
        if protocol.transport is not None:
            protocol.transport.abortConnection()
        if isinstance(error, CancelledError):
            raise
        raise ConnectionFailed(f"{address.place}: {said[0] if said else _reason(error)}") from error
    return PikaConnection(protocol, listener, said)


def connector(reactor: Any) -> Connect:
    """The function that opens connections with pika."""

    def connect(address: Address, listener: ConnectionListener) -> Deferred[Connection]:
        return Deferred.fromCoroutine(_connect(address, listener, reactor))

    return connect


class PikaConnection:
    """A connection (see :class:`csms.broker.wire.Connection`)."""

    def __init__(self, protocol: Any, listener: ConnectionListener, said: list[str]) -> None:
        self._protocol = protocol
        self._listener = listener
        self._said = said
        self._channels: dict[int, PikaChannel] = {}
        self._closed: Deferred[None] = Deferred()
        impl = protocol._impl
        self._arrivals = Arrivals(self._channels, impl._on_data_available, begun=impl._frame_buffer)
        impl._frame_buffer = b""
        impl.data_received = self._data_received
        protocol._impl.add_on_connection_blocked_callback(lambda _, frame: listener.blocked(frame.method.reason))
        protocol._impl.add_on_connection_unblocked_callback(lambda _, frame: listener.unblocked())
        protocol.closed.addCallbacks(self._lost, self._lost)

    def open_channel(
        self, listener: ChannelListener | None, refused: Callable[[str], None] | None = None
    ) -> Deferred[Channel]:
        """A new channel."""
        opened: Deferred[Channel] = Deferred()

        def is_open(channel: pika.channel.Channel) -> None:
            if not opened.called:
                ours = PikaChannel(channel, listener, refused or self._listener.lost)
                self._channels[channel.channel_number] = ours
                opened.callback(ours)

        try:
            self._protocol._impl.channel(on_open_callback=is_open)
        except pika.exceptions.AMQPError as error:
            opened.errback(ConnectionFailed(_reason(error)))
        return opened

    def close(self) -> Deferred[None]:
        """Close in good order."""
        if self._protocol.is_open:
            for channel in self._channels.values():
                channel.hush()
            self._protocol.close()
        return self._closed

    def abort(self) -> None:
        """Drop the socket."""
        if self._protocol.transport is not None:
            self._protocol.transport.abortConnection()

    def _data_received(self, data: bytes) -> None:
        """In place of pika's own, which sees fewer bytes now: its heartbeat looks whether any came."""
        self._protocol._impl.bytes_received += len(data)
        self._arrivals.received(data)

    def _lost(self, reason: object) -> None:
        if not self._closed.called:
            self._closed.callback(None)
        self._listener.lost(self._said[0] if self._said else _reason(reason))


class PikaChannel(Taker):
    """A channel (see :class:`csms.broker.wire.Channel`)."""

    def __init__(
        self, channel: pika.channel.Channel, listener: ChannelListener | None, refused: Callable[[str], None]
    ) -> None:
        self._channel = channel
        self._listener = listener
        self._refused = refused
        self._closed: Deferred[None] = Deferred()
        self._getting: Deferred[Received | None] | None = None
        channel.add_on_close_callback(self._lost)
        channel.add_on_cancel_callback(lambda _: refused("the broker cancelled a consumer"))
        channel.add_callback(self._got_none, [pika.spec.Basic.GetEmpty], one_shot=False)
        if listener is not None:
            channel.add_on_return_callback(self._returned)

    def declare_exchange(self, name: str, kind: str) -> None:
        """Declare an exchange."""
        self._channel.exchange_declare(name, kind, durable=True)

    def declare_queue(self, name: str, arguments: Mapping[str, Argument], *, private: bool) -> None:
        """Declare a queue."""
        self._channel.queue_declare(name, durable=not private, exclusive=private, arguments=dict(arguments))

    def bind_queue(self, queue: str, exchange: str, routing_key: str, arguments: Mapping[str, Argument]) -> None:
        """Bind a queue."""
        self._channel.queue_bind(queue, exchange, routing_key, dict(arguments))

    def bind_exchange(self, target: str, source: str, routing_key: str, arguments: Mapping[str, Argument]) -> None:
        """Bind an exchange to another."""
        self._channel.exchange_bind(target, source, routing_key, dict(arguments))

    def unbind_queue(self, queue: str, exchange: str, routing_key: str) -> None:
        """Unbind a queue."""
        self._channel.queue_unbind(queue, exchange, routing_key)

    def select_confirms(self) -> None:
        """Confirms from now on."""
        self._channel.confirm_delivery(_never_called)

    def consume(self, queue: str, prefetch: int, arguments: Mapping[str, Argument]) -> None:
        """Subscribe."""
        self._channel.basic_qos(prefetch_count=prefetch)
        self._channel.basic_consume(queue, _never_called, arguments=dict(arguments))

    def sync(self) -> Deferred[None]:
        """A question that changes nothing, behind all others."""
        done: Deferred[None] = Deferred()
        if self._channel.is_open:
            self._channel.exchange_declare("amq.direct", passive=True, callback=lambda _: _fire(done, None))
        return done

    def depth(self, queue: str) -> Deferred[int]:
        """Messages that wait."""
        counted: Deferred[int] = Deferred()
        if self._channel.is_open:
            self._channel.queue_declare(
                queue, passive=True, callback=lambda frame: _fire(counted, frame.method.message_count)
            )
        return counted

    def get(self, queue: str) -> Deferred[Received | None]:
        """Take one message; one at a time."""
        self._getting = Deferred()
        if self._channel.is_open:
            self._channel.basic_get(queue, self._got)
            self._channel.connection._transport.flush()
        return self._getting

    def publish(self, exchange: str, routing_key: str, message: Message, *, mandatory: bool) -> None:
        """Send; raises ValueError for what AMQP cannot carry."""
        if not self._channel.is_open:
            return
        connection = self._channel.connection
        frames = publish_frames(
            self._channel.channel_number,
            exchange,
            routing_key,
            message,
            mandatory=mandatory,
            frame_max=connection.params.frame_max,
        )
        connection._output_marshaled_frames([frames])

    def ack(self, tag: int, *, multiple: bool) -> None:
        """Done with it."""
        if self._channel.is_open:
            self._channel.basic_ack(tag, multiple)

    def requeue(self, tag: int) -> None:
        """Give it back."""
        if self._channel.is_open:
            self._channel.basic_reject(tag, requeue=True)

    def close(self) -> Deferred[None]:
        """Close it."""
        if self._channel.is_open:
            self.hush()
            self._channel.close()
        return self._closed

    def hush(self) -> None:
        """Keep pika from cancelling the consumer before it closes the channel.

        After a basic.cancel the next consumer would be served before it gets what this one held.
        """
        self._channel._cancelled.update(self._channel.consumer_tags)

    # --- what the broker says ----------------------------------------------------------------------------------

    def confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """See :class:`csms.broker.amqp_arrivals.Taker`."""
        if self._listener is None:
            return
        if taken:
            self._listener.confirmed(tag, multiple=multiple)
        else:
            self._listener.refused(tag, multiple=multiple)

    def deliver(self, received: Received) -> None:
        """See :class:`csms.broker.amqp_arrivals.Taker`."""
        if self._listener is not None and self._channel.is_open:
            self._listener.received(received)

    def _returned(self, _: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        if self._listener is not None:
            self._listener.returned(method.exchange, method.routing_key, properties.message_id or "")

    def _got(self, _: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        if self._getting is not None:
            _fire(self._getting, _received(method, properties, body))

    def _got_none(self, _: Any) -> None:
        if self._getting is not None:
            _fire(self._getting, None)

    def _lost(self, _: Any, reason: BaseException) -> None:
        _fire(self._closed, None)
        if not isinstance(reason, pika.exceptions.ChannelClosedByClient):
            self._refused(_reason(reason))


def _received(method: Any, properties: pika.BasicProperties, body: bytes) -> Received:
    headers = properties.headers or {}
    return Received(
        tag=method.delivery_tag,
        exchange=method.exchange,
        routing_key=method.routing_key,
        redelivered=method.redelivered,
        message=Message(
            body=body,
            message_id=text(properties.message_id),
            type=text(properties.type),
            headers=plain_headers(headers),
            reply_to=text(properties.reply_to),
            correlation_id=text(properties.correlation_id),
            expiration_s=expiration_s(properties.expiration),
            timestamp=moment(properties.timestamp),
            persistent=properties.delivery_mode == 2,
        ),
        headers=headers,
    )


def _never_called(*_: object) -> None:
    """pika wants a callback where :mod:`csms.broker.amqp_arrivals` is called instead."""


def _fire(deferred: Deferred[Any], result: object) -> None:
    if not deferred.called:
        deferred.callback(result)


def _reason(error: object) -> str:
    if isinstance(error, Failure):
        error = error.value
    if isinstance(error, (pika.exceptions.ConnectionClosed, pika.exceptions.ChannelClosed)):
        return f"{error.reply_code} {error.reply_text}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
