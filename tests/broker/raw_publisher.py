"""Publishes what no library would: properties as bytes, straight to a queue of RabbitMQ."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingConnection

from csms.broker.amqp_tables import encode_table

HEADERS, CORRELATION_ID, REPLY_TO = 1 << 13, 1 << 10, 1 << 9
MESSAGE_ID, TIMESTAMP, TYPE = 1 << 7, 1 << 6, 1 << 5
"""Flags of properties, in their order: AMQP 0-9-1, 4.2.6.1."""


@dataclass(frozen=True)
class Raw:
    """A message; ``properties`` are flags and, in the order of the flags, the values' bytes."""

    name: str
    body: bytes
    flags: int = 0
    properties: bytes = b""


class _Properties(pika.BasicProperties):  # type: ignore[misc]
    def __init__(self, raw: Raw) -> None:
        super().__init__()
        self._raw = raw

    def encode(self) -> list[bytes]:
        return [struct.pack(">H", self._raw.flags), self._raw.properties]


def publish(url: str, queue: str, messages: Iterable[Raw]) -> None:
    """Publish and wait until the broker has confirmed all; blocks."""
    connection: Any = BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        for raw in messages:
            channel.basic_publish("", queue, raw.body, _Properties(raw), mandatory=True)
    finally:
        connection.close()


def short(text: bytes) -> bytes:
    """A short string."""
    return bytes([len(text)]) + text


def table(contents: bytes) -> bytes:
    """A table of these pairs."""
    return struct.pack(">I", len(contents)) + contents


def pair(name: bytes, kind: bytes, value: bytes) -> bytes:
    """A pair of a table."""
    return short(name) + kind + value


def nested(depth: int) -> bytes:
    """The value of an array in an array in an array ..."""
    inner = b""
    for _ in range(depth):
        inner = b"A" + struct.pack(">I", len(inner)) + inner
    return inner[1:]


def hostile_properties() -> list[tuple[str, int, bytes]]:
    """Name, flags and values of properties that are legal on the wire and were made by nobody sane."""
    long_text = struct.pack(">I", 120_000) + b"h" * 120_000
    return [
        ("a header that is named by no text", HEADERS, table(pair(b"\xff\xfe", b"S", b"\0\0\0\1x"))),
        ("a header with a time in 500 billion years", HEADERS, table(pair(b"t", b"T", b"\x7f" + b"\xff" * 7))),
        ("a header of 120 kB", HEADERS, table(pair(b"long", b"S", long_text))),
        ("a header that is nested 20000 times", HEADERS, table(pair(b"deep", b"A", nested(20_000)))),
        ("headers of a death that never was", HEADERS, table(encode_table({"x-csms-reason": "none", "x-death": "no"}))),
        ("a message id that is no text", MESSAGE_ID, short(b"\xff" * 255)),
        ("a message id of 255 bytes", MESSAGE_ID, short(b"i" * 255)),
        (
            "a type, a reply_to and a correlation id that are no text",
            CORRELATION_ID | REPLY_TO | TYPE,
            short(b"\xff") * 3,
        ),
        ("a timestamp at the end of time", TIMESTAMP, b"\xff" * 8),
    ]
