"""AMQP's tables (headers and arguments) to bytes and back. txAMQP knows too few of their types.

A table is an 32-bit length and pairs of a short string, a letter for the type, and the value.
Source: AMQP 0-9-1, 4.2.5; the letters are those that RabbitMQ uses.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime

MAX_DEPTH = 16
"""What is nested more deeply in a table is not looked at: whoever publishes decides, and Python's stack is finite."""

_FIXED = {
    b"t": "?",
    b"b": "b",
    b"B": "B",
    b"s": "h",
    b"u": "H",
    b"I": "i",
    b"i": "I",
    b"l": "q",
    b"f": "f",
    b"d": "d",
}


def encode_table(table: Mapping[str, object]) -> bytes:
    """The contents of ``table``, without its length. Raises ValueError for what a table cannot hold."""
    pieces: list[bytes] = []
    for name, value in table.items():
        encoded = name.encode()
        if len(encoded) > 255:
            raise ValueError(f"header {name[:40]}... is longer than 255 bytes")
        pieces += (bytes((len(encoded),)), encoded, _encode_value(value))
    return b"".join(pieces)


def decode_table(contents: bytes) -> dict[str, object]:
    """The table in ``contents`` (without its length). Raises ValueError when it is none."""
    try:
        return _decode_pairs(contents, 0)
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"not a table: {error}") from error


def _encode_value(value: object) -> bytes:
    if isinstance(value, bool):
        return b"t" + bytes((value,))
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return struct.pack(">ci", b"I", value)
        if -(2**63) <= value < 2**63:
            return struct.pack(">cq", b"l", value)
        raise ValueError(f"{value} has more than 64 bits")
    if isinstance(value, str):
        text = value.encode()
        return struct.pack(">cI", b"S", len(text)) + text
    if isinstance(value, datetime):
        return struct.pack(">cQ", b"T", int(value.timestamp()))
    if isinstance(value, Mapping):
        contents = encode_table(value)
        return struct.pack(">cI", b"F", len(contents)) + contents
    raise ValueError(f"a header cannot be a {type(value).__name__}")


def _decode_pairs(contents: bytes, depth: int) -> dict[str, object]:
    table: dict[str, object] = {}
    at = 0
    while at < len(contents):
        end = at + 1 + contents[at]
        name = contents[at + 1 : end].decode(errors="replace")
        table[name], at = _decode_value(contents, end, depth)
    return table


def _decode_value(contents: bytes, at: int, depth: int) -> tuple[object, int]:
    """The value whose type letter stands at ``at``, and where it ends; None for what is nested too deeply."""
    kind = contents[at : at + 1]
    at += 1
    fixed = _FIXED.get(kind)
    if fixed is not None:
        (value,) = struct.unpack_from(f">{fixed}", contents, at)
        return value, at + struct.calcsize(f">{fixed}")
    if kind == b"V":
        return None, at
    if kind == b"T":
        (seconds,) = struct.unpack_from(">Q", contents, at)
        return (datetime.fromtimestamp(seconds, UTC) if seconds < 2**36 else None), at + 8
    if kind == b"D":
        scale, unscaled = struct.unpack_from(">Bi", contents, at)
        return unscaled / 10**scale, at + 5
    if kind not in b"SxFA" or not kind:
        raise ValueError(f"type {kind!r} in a table")
    (length,) = struct.unpack_from(">I", contents, at)
    at += 4
    raw = contents[at : at + length]
    if len(raw) < length:
        raise ValueError("a table ends too early")
    if kind == b"S":
        return raw.decode(errors="replace"), at + length
    if kind == b"x":
        return raw, at + length
    if depth == MAX_DEPTH:
        return None, at + length
    if kind == b"F":
        return _decode_pairs(raw, depth + 1), at + length
    items: list[object] = []
    inner = 0
    while inner < length:
        item, inner = _decode_value(raw, inner, depth + 1)
        items.append(item)
    return items, at + length
