"""What arrives most, taken straight from the bytes: deliveries and confirms. All other frames are the library's.

A library builds objects for each frame and each field, and looks through its callbacks for each of them: at thousands
of messages a second that was a third of what a process did.
Source: AMQP 0-9-1, 4.2.3 (frames) and 4.2.6 (content), class basic; RabbitMQ's basic.nack.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping
from typing import Protocol

from csms.broker.amqp_tables import decode_table
from csms.broker.wire import Received, expiration_s, moment, plain_headers
from csms.ports import Message

_METHOD, _HEADER, _BODY = 1, 2, 3
_FRAME_END = 0xCE
_DELIVER, _ACK, _NACK = (60 << 16 | method for method in (60, 80, 120))
_PERSISTENT = 2

_frame_start = struct.Struct(">BHI")
_method_start = struct.Struct(">I").unpack_from
_long = struct.Struct(">I").unpack_from
_longlong = struct.Struct(">Q").unpack_from
_tag_and_bits = struct.Struct(">QB").unpack_from
_header_start = struct.Struct(">QH").unpack_from


class Taker(Protocol):
    """A channel whose deliveries and confirms are taken here."""

    def deliver(self, received: Received) -> None:
        """A whole message."""

    def confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """The broker has, or has not, taken the ``tag``-th publish (``multiple``: and all before)."""


class _Content:
    """A delivery whose body is still to come."""

    __slots__ = ("exchange", "headers", "missing", "pieces", "properties", "redelivered", "routing_key", "tag")

    def __init__(self, tag: int, redelivered: bool, exchange: str, routing_key: str) -> None:
        self.tag = tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routing_key = routing_key
        self.properties: dict[int, bytes] = {}
        self.headers: Mapping[str, object] = {}
        self.missing = 0
        self.pieces: list[bytes] = []


class Arrivals:
    """The bytes of one connection, from the end of its handshake on."""

    def __init__(self, takers: Mapping[int, Taker], rest: Callable[[bytes], None], begun: bytes = b"") -> None:
        """``takers`` by channel number; ``rest`` gets whole frames; ``begun`` is what came behind the handshake."""
        self._takers = takers
        self._rest = rest
        self._buffer = begun
        self._contents: dict[int, _Content] = {}

    def received(self, data: bytes) -> None:
        """The next bytes."""
        data = self._buffer + data
        at, length = 0, len(data)
        while length - at >= 8:
            kind, number, size = _frame_start.unpack_from(data, at)
            end = at + size + 8
            if end > length:
                break
            taker = self._takers.get(number)
            if (
                taker is None
                or data[end - 1] != _FRAME_END
                or not self._taken(kind, number, taker, data[at + 7 : end - 1])
            ):
                self._rest(data[at:end])
            at = end
        self._buffer = data[at:]

    def _taken(self, kind: int, number: int, taker: Taker, payload: bytes) -> bool:
        """Whether the frame was one of ours; if so, it is done with."""
        if kind == _METHOD:
            (method,) = _method_start(payload)
            if method == _DELIVER:
                self._contents[number] = _deliver(payload)
            elif method in (_ACK, _NACK):
                tag, bits = _tag_and_bits(payload, 4)
                taker.confirm(tag, multiple=bool(bits & 1), taken=method == _ACK)
            else:
                self._contents.pop(number, None)
                return False
            return True
        content = self._contents.get(number)
        if content is None:
            return False
        if kind == _HEADER:
            content.missing, flags = _header_start(payload, 4)
            _read_properties(content, flags, payload)
        elif kind == _BODY:
            content.pieces.append(payload)
            content.missing -= len(payload)
        else:
            return False
        if content.missing <= 0:
            del self._contents[number]
            taker.deliver(_finished(content))
        return True


def _deliver(payload: bytes) -> _Content:
    at = 5 + payload[4]
    tag, redelivered = _tag_and_bits(payload, at)
    begin = at + 10
    end = begin + payload[at + 9]
    return _Content(
        tag, bool(redelivered), _repeated(payload[begin:end]), _repeated(payload[end + 1 : end + 1 + payload[end]])
    )


# The properties' flags, in the order in which their values stand, and how long these are: 0 is a short string.
_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _DELIVERY_MODE, _PRIORITY = 15, 14, 13, 12, 11
_CORRELATION_ID, _REPLY_TO, _EXPIRATION, _MESSAGE_ID, _TIMESTAMP, _TYPE = 10, 9, 8, 7, 6, 5
_LENGTHS = {_DELIVERY_MODE: 1, _PRIORITY: 1, _TIMESTAMP: 8}


@functools.lru_cache(maxsize=256)
def _present(flags: int) -> tuple[tuple[int, int], ...]:
    """The properties that stand in a header with these flags, each with its length."""
    return tuple((bit, _LENGTHS.get(bit, 0)) for bit in range(15, 4, -1) if flags >> bit & 1)


def _read_properties(content: _Content, flags: int, payload: bytes) -> None:
    at = 14
    for bit, length in _present(flags):
        if bit == _HEADERS:
            (length,) = _long(payload, at)
            at += 4
            content.headers = _headers(payload[at : at + length])
        else:
            if not length:
                length = payload[at]
                at += 1
            content.properties[bit] = payload[at : at + length]
        at += length


def _finished(content: _Content) -> Received:
    properties = content.properties
    pieces = content.pieces
    timestamp = properties.get(_TIMESTAMP)
    expiration = properties.get(_EXPIRATION)
    return Received(
        tag=content.tag,
        exchange=content.exchange,
        routing_key=content.routing_key,
        redelivered=content.redelivered,
        message=Message(
            body=pieces[0] if len(pieces) == 1 else b"".join(pieces),
            message_id=_text(properties.get(_MESSAGE_ID, b"")),
            type=_repeated(properties.get(_TYPE, b"")),
            headers=plain_headers(content.headers),
            reply_to=_repeated(properties.get(_REPLY_TO, b"")),
            correlation_id=_text(properties.get(_CORRELATION_ID, b"")),
            expiration_s=None if expiration is None else expiration_s(_text(expiration)),
            timestamp=None if timestamp is None else moment(_longlong(timestamp)[0]),
            persistent=properties.get(_DELIVERY_MODE, b"\0")[0] == _PERSISTENT,
        ),
        headers=content.headers,
    )


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


_repeated = functools.lru_cache(maxsize=2048)(_text)


@functools.lru_cache(maxsize=1024)
def _headers(table: bytes) -> Mapping[str, object]:
    """Whoever published it may have sent nonsense."""
    try:
        return decode_table(table)
    except ValueError:
        return {}
