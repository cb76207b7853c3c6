"""txAMQP made to keep csms's promises: its specification, codec and generated methods, with our own way of frames.

What is replaced, and why: its calls use a function that Twisted has deprecated; a body that looks like text comes
as str, and one in several frames may lose its beginning; frames are taken off a buffer that is copied for each of
them; a string that is not ASCII is given the wrong length; heartbeats restart a timer at every frame.
"""

from __future__ import annotations

import functools
import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from txamqp import spec as txamqp_spec
from txamqp.client import TwistedDelegate
from txamqp.codec import Codec
from txamqp.connection import Frame, Header, Heartbeat, Method
from txamqp.protocol import AMQChannel, AMQClient

from csms.broker.address import Address
from csms.broker.amqp_tables import encode_table
from csms.broker.wire import ConnectionFailed

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_FRAME_END = 206
_MAX_FRAME_BYTES = 131072
_CAPABILITIES = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "exchange_exchange_bindings": True,
    "publisher_confirms": True,
}


@functools.cache
def specification() -> Any:
    """Our specification, parsed once."""
    return txamqp_spec.load_string(resources.files("csms.broker").joinpath("amqp0-9-1.xml").read_bytes())


@dataclass(slots=True)
class Arrived:
    """A method of the broker, by its name (``basic.deliver``), with its fields and, if it has one, its content."""

    name: str
    fields: Mapping[str, Any]
    properties: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""


class TxamqpChannel(AMQChannel):  # type: ignore[misc]
    """A channel; ``on_method`` hears of what is no answer."""

    def __init__(self, number: int, outgoing: Any, client: TxamqpProtocol) -> None:
        AMQChannel.__init__(self, number, outgoing, client)
        self.on_method: Callable[[Arrived], None] = lambda arrived: None
        self._answers: deque[Deferred[Arrived]] = deque()
        self._arriving: tuple[Method, Header | None, list[bytes], int] | None = None

    def invoke(self, method: Any, args: tuple[Any, ...], content: Any = None) -> Deferred[Arrived]:
        """Send a method; fires with the answer, if there is to be one."""
        # As bytes, because txAMQP takes the length of a str for the length of its encoding.
        encoded = [value.encode() if isinstance(value, str) else value for value in args]
        frame = self.client._pack_frame(Frame(self.id, Method(method, *encoded)))
        answer: Deferred[Arrived] = Deferred()
        nowait = method.fields.byname.get("nowait")
        if method.responses and not (nowait is not None and args[method.fields.index(nowait)]):
            self._answers.append(answer)
        self.client.transport.write(frame)
        return answer

    def method_arrived(self, payload: Method) -> None:
        """The broker says something, perhaps with content to come."""
        if payload.method.content:
            self._arriving = (payload, None, [], 0)
        else:
            self._dispatch(payload, {}, b"")

    def header_arrived(self, header: Header) -> None:
        """The properties of the content."""
        if self._arriving is not None:
            self._arriving = (self._arriving[0], header, [], header.size)
            self._finish_content()

    def body_arrived(self, piece: bytes) -> None:
        """A piece of the content's body."""
        if self._arriving is not None:
            method, header, pieces, missing = self._arriving
            pieces.append(piece)
            self._arriving = (method, header, pieces, missing - len(piece))
            self._finish_content()

    def _finish_content(self) -> None:
        if self._arriving is not None and self._arriving[3] <= 0:
            (method, header, pieces, _), self._arriving = self._arriving, None
            self._dispatch(method, {} if header is None else header.properties, b"".join(pieces))

    def _dispatch(self, payload: Method, properties: Mapping[str, Any], body: bytes) -> None:
        method = payload.method
        names = (each.name for each in method.fields)
        arrived = Arrived(
            f"{method.klass.name}.{method.name}", dict(zip(names, payload.args, strict=True)), properties, body
        )
        if not method.response:
            self.on_method(arrived)
        elif self._answers:
            self._answers.popleft().callback(arrived)


class TxamqpProtocol(AMQClient):  # type: ignore[misc]
    """A connection. ``ready`` fires after the handshake; ``on_lost`` and ``on_method`` (channel 0) hear of the rest."""

    channelClass = TxamqpChannel  # noqa: N815 - txAMQP's name
    noisy = False

    def __init__(self, address: Address, clock: Any) -> None:
        AMQClient.__init__(self, TwistedDelegate(), address.vhost, specification(), clock=clock)
        self.ready: Deferred[None] = Deferred()
        self.on_lost: Callable[[str], None] = lambda reason: None
        self.on_method: Callable[[Arrived], None] = lambda arrived: None
        self._address = address
        self._bytes = b""
        self._reason = ""
        self._alive = True
        self._silent_beats = 0
        self._heart = LoopingCall(self._beat)
        self._heart.clock = clock
        self._control = self.new_channel()
        self._control.on_method = self._controlled

    def new_channel(self) -> Any:
        """A channel with a number of its own, not yet open."""
        number = next(number for number in range(65536) if number not in self.channels)
        channel = self.channelFactory(number, self.outgoing, self)
        self.channels[number] = channel
        return channel

    def forget_channel(self, channel: TxamqpChannel) -> None:
        """Its number may be used again."""
        self.channels.pop(channel.id, None)

    def close_politely(self) -> None:
        """Tell the broker, which then closes the socket."""
        self._control.connection_close(reply_code=200, reply_text="bye").addCallback(
            lambda _: self.transport.loseConnection()
        )

    # --- Twisted's side ----------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Say which protocol this is."""
        self.transport.write(b"AMQP\x00\x00\x09\x01")

    def dataReceived(self, data: bytes) -> None:
        """Take whole frames."""
        self._alive = True
        self._bytes += data
        at = 0
        while len(self._bytes) - at >= 8:
            (size,) = struct.unpack_from(">I", self._bytes, at + 3)
            end = at + 7 + size
            if size > max(self.MAX_LENGTH, _MAX_FRAME_BYTES) or self._bytes.startswith(b"AMQP"):
                self._give_up("the broker does not speak AMQP 0-9-1")
                return
            if end >= len(self._bytes):
                break
            if self._bytes[end] != _FRAME_END:
                self._give_up("a frame of the broker has no end")
                return
            self._take_frame(self._bytes[at], self._bytes[at + 1 : end])
            at = end + 1
        self._bytes = self._bytes[at:]

    def connectionLost(self, reason: Failure) -> None:
        """The socket is closed."""
        if self._heart.running:
            self._heart.stop()
        text = self._reason or str(reason.value)
        if not self.ready.called:
            self.ready.errback(ConnectionFailed(text))
        self.on_lost(text)

    # --- inside ------------------------------------------------------------------------------------------------

    def _take_frame(self, kind: int, contents: bytes) -> None:
        """``contents`` is what stands between the frame's type and its end: channel, size, payload."""
        channel = self.channels.get(struct.unpack_from(">H", contents)[0])
        if kind == _HEARTBEAT or channel is None:
            return
        if kind == _METHOD:
            channel.method_arrived(Method.decode(self.spec, Codec(BytesIO(contents[2:]))))
        elif kind == _HEADER:
            channel.header_arrived(Header.decode(self.spec, Codec(BytesIO(contents[2:]))))
        elif kind == _BODY:
            channel.body_arrived(contents[6:])

    def _controlled(self, arrived: Arrived) -> None:
        if arrived.name == "connection.start":
            self._control.connection_start_ok(
                client_properties=encode_table(
                    {
                        "product": "csms",
                        "connection_name": self._address.connection_name,
                        "capabilities": _CAPABILITIES,
                    }
                ),
                mechanism="PLAIN",
                response=f"\0{self._address.username}\0{self._address.password}",
                locale="en_US",
            )
        elif arrived.name == "connection.tune":
            self._tune(arrived.fields)
        elif arrived.name == "connection.close":
            self._control.connection_close_ok()
            self._give_up(f"{arrived.fields['reply code']} {arrived.fields['reply text']}")
        else:
            self.on_method(arrived)

    def _tune(self, offered: Mapping[str, Any]) -> None:
        self.MAX_LENGTH = min(offered["frame max"] or _MAX_FRAME_BYTES, _MAX_FRAME_BYTES)
        self._control.connection_tune_ok(
            channel_max=offered["channel max"], frame_max=self.MAX_LENGTH, heartbeat=self._address.heartbeat_s
        )
        self._heart.start(self._address.heartbeat_s / 2, now=False).addErrback(
            lambda failure: self._give_up(str(failure.value))
        )
        self._control.connection_open(virtual_host=self._address.vhost).addCallback(self._opened)

    def _opened(self, _: Arrived) -> None:
        if not self.ready.called:
            self.ready.callback(None)

    def _beat(self) -> None:
        """Every half heartbeat: tell that we live. Two whole ones without a sign mean that the broker does not."""
        self.transport.write(self._pack_frame(Frame(0, Heartbeat())))
        self._silent_beats = 0 if self._alive else self._silent_beats + 1
        self._alive = False
        if self._silent_beats >= 4:
            self._reason = "no heartbeat from the broker"
            self.transport.abortConnection()

    def _give_up(self, reason: str) -> None:
        self._reason = self._reason or reason
        self.transport.loseConnection()
