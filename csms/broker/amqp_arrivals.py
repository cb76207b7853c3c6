"""What arrives most, taken straight from the bytes: deliveries and confirms. All other frames are the library's.

A library builds objects for each frame and each field, and looks through its callbacks for each of them: at thousands
of messages a second that was a third of what a process did.
Source: AMQP 0-9-1, 4.2.3 (frames) and 4.2.6 (content), class basic; RabbitMQ's basic.nack.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from csms.broker.amqp_tables import decode_table
from csms.broker.wire import Received, expiration_s, moment, plain_headers
from csms.ports import NO_HEADERS, Message

_METHOD, _HEADER, _BODY = 1, 2, 3
_FRAME_END = 0xCE
_DELIVER, _ACK, _NACK = (60 << 16 | method for method in (60, 80, 120))
_PERSISTENT = 2

_frame_start = struct.Struct(">BHI").unpack_from
_short = struct.Struct(">H").unpack_from
_long = struct.Struct(">I").unpack_from
_longlong = struct.Struct(">Q").unpack_from
_tag_and_bits = struct.Struct(">QB").unpack_from


class Taker(Protocol):
    """A channel whose deliveries and confirms are taken here."""

    def deliver(self, received: Received) -> None:
        """A whole message."""

    def confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """The broker has, or has not, taken the ``tag``-th publish (``multiple``: and all before)."""


class _Delivery(msgspec.Struct, frozen=True):
    """What a basic.deliver says."""

    tag: int
    redelivered: bool
    exchange: str
    routing_key: str


class _Content:
    """A delivery of which not everything has come yet."""

    __slots__ = ("delivery", "header", "missing", "pieces")

    def __init__(self, delivery: _Delivery) -> None:
        self.delivery = delivery
        self.header = b""
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
        if self._buffer:
            data = self._buffer + data
        at, length = 0, len(data)
        while length - at >= 8:
            kind, number, size = _frame_start(data, at)
            end = at + size + 8
            if end > length:
                break
            taker = self._takers.get(number)
            if taker is None or data[end - 1] != _FRAME_END:
                self._rest(data[at:end])
            elif kind == _METHOD and _long(data, at + 7)[0] == _DELIVER:
                end = self._delivered(data, at + 7, end, number, taker)
            elif not self._taken(kind, number, taker, data[at + 7 : end - 1]):
                self._rest(data[at:end])
            at = end
        self._buffer = data[at:]

    def _delivered(self, data: bytes, at: int, end: int, number: int, taker: Taker) -> int:
        """The end of the delivery whose method ends at ``end``; nearly always all of it has come."""
        delivery = _delivery(data, at)
        whole = _whole_content(data, end, number)
        if whole is None:
            self._contents[number] = _Content(delivery)
            return end
        body, behind = whole
        taker.deliver(_received(delivery, data, end + 7, body))
        return behind

    def _taken(self, kind: int, number: int, taker: Taker, payload: bytes) -> bool:
        """Whether the frame was one of ours; if so, it is done with."""
        if kind == _METHOD:
            (method,) = _long(payload)
            if method in (_ACK, _NACK):
                tag, bits = _tag_and_bits(payload, 4)
                taker.confirm(tag, multiple=bool(bits & 1), taken=method == _ACK)
                return True
            self._contents.pop(number, None)
            return False
        content = self._contents.get(number)
        if content is None:
            return False
        if kind == _HEADER:
            content.header = payload
            (content.missing,) = _longlong(payload, 4)
        elif kind == _BODY:
            content.pieces.append(payload)
            content.missing -= len(payload)
        else:
            return False
        if content.missing <= 0:
            del self._contents[number]
            taker.deliver(_received(content.delivery, content.header, 0, b"".join(content.pieces)))
        return True


def _whole_content(data: bytes, at: int, number: int) -> tuple[bytes, int] | None:
    """The body whose header begins at ``at``, and where it ends; None unless it is there in one frame."""
    length = len(data)
    if length - at < 8:
        return None
    kind, channel, size = _frame_start(data, at)
    end = at + size + 8
    if kind != _HEADER or channel != number or end > length or data[end - 1] != _FRAME_END:
        return None
    (body_size,) = _longlong(data, at + 11)
    if not body_size:
        return b"", end
    if length - end < 8:
        return None
    kind, channel, size = _frame_start(data, end)
    behind = end + size + 8
    if kind != _BODY or channel != number or size != body_size or behind > length or data[behind - 1] != _FRAME_END:
        return None
    return data[end + 7 : behind - 1], behind


def _delivery(data: bytes, at: int) -> _Delivery:
    at += 5 + data[at + 4]
    tag, redelivered = _tag_and_bits(data, at)
    begin = at + 10
    end = begin + data[at + 9]
    return _Delivery(tag, bool(redelivered), _repeated(data[begin:end]), _repeated(data[end + 1 : end + 1 + data[end]]))


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


_repeated = functools.lru_cache(maxsize=2048)(_text)


@functools.lru_cache(maxsize=64)
def _moment(value: bytes) -> datetime | None:
    """AMQP counts seconds: many messages share one."""
    return moment(_longlong(value)[0])


# The properties in the order in which their values stand: the bit of their flag, the length (0: a short string), what
# they are in a message, and how they are read.
_HEADERS = 13
_PROPERTIES: tuple[tuple[int, int, str, Callable[[bytes], object]], ...] = (
    (15, 0, "", _text),  # content type
    (14, 0, "", _text),  # content encoding
    (_HEADERS, 0, "headers", _text),
    (12, 1, "persistent", lambda value: value[0] == _PERSISTENT),
    (11, 1, "", _text),  # priority
    (10, 0, "correlation_id", _text),
    (9, 0, "reply_to", _repeated),
    (8, 0, "expiration_s", lambda value: expiration_s(_text(value))),
    (7, 0, "message_id", _text),
    (6, 8, "timestamp", _moment),
    (5, 0, "type", _repeated),
)


@functools.lru_cache(maxsize=256)
def _present(flags: int) -> tuple[tuple[int, int, str, Callable[[bytes], object]], ...]:
    """The properties that stand in a header with these flags."""
    return tuple(one for one in _PROPERTIES if flags >> one[0] & 1)


def _received(delivery: _Delivery, data: bytes, at: int, body: bytes) -> Received:
    """The message whose content header begins at ``at``."""
    fields: dict[str, Any] = {"message_id": "", "persistent": False}
    headers: Mapping[str, object] = NO_HEADERS
    (flags,) = _short(data, at + 12)
    at += 14
    for bit, length, name, read in _present(flags):
        if bit == _HEADERS:
            length = _long(data, at)[0]
            at += 4
            headers, fields["headers"] = _headers(data[at : at + length])
        else:
            if not length:
                length = data[at]
                at += 1
            if name:
                fields[name] = read(data[at : at + length])
        at += length
    message = Message(body=body, **fields)
    return Received(delivery.tag, delivery.exchange, delivery.routing_key, delivery.redelivered, message, headers)


@functools.lru_cache(maxsize=1024)
def _headers(table: bytes) -> tuple[Mapping[str, object], Mapping[str, str | int]]:
    """All headers, and the plain ones. Whoever published it may have sent nonsense."""
    try:
        headers = decode_table(table)
    except ValueError:
        headers = {}
    return headers, plain_headers(headers)
