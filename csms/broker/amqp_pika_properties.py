"""Properties that pika cannot read must not cost the connection: the next one would get the same message, and fall.

pika raises for a time beyond the year 9999, for a float that is no number, and for tables that are nested more deeply
than Python's stack. Whoever may publish can send such headers; RabbitMQ passes them on.
"""

from __future__ import annotations

import struct
from typing import Any

import pika.spec

from csms.broker.amqp_tables import decode_table

_BASIC_CLASS = 60
_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS = 1 << 15, 1 << 14, 1 << 13
_NO_TABLE = b"\x00\x00\x00\x00"


class Properties(pika.spec.BasicProperties):  # type: ignore[misc]
    """pika's own, with headers read by us where pika fails."""

    def decode(self, encoded: bytes, offset: int = 0) -> Any:
        """Read the properties that begin at ``offset``."""
        try:
            return super().decode(encoded, offset)
        except Exception:
            (flags,) = struct.unpack_from(">H", encoded, offset)
            if not flags & _HEADERS or flags & 1:
                raise
            begin = offset + 2
            for flag in (_CONTENT_TYPE, _CONTENT_ENCODING):
                begin += 1 + encoded[begin] if flags & flag else 0
            (length,) = struct.unpack_from(">I", encoded, begin)
            end = begin + 4 + length
            decoded = super().decode(encoded[:begin] + _NO_TABLE + encoded[end:], offset)
            try:
                self.headers = decode_table(encoded[begin + 4 : end])
            except ValueError:
                self.headers = {}
            return decoded


def install() -> None:
    """Have pika make these for what it receives."""
    pika.spec.props[_BASIC_CLASS] = Properties
