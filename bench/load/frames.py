"""The little of HTTP and WebSocket (RFC 6455) that a charger needs, as functions of bytes."""

from __future__ import annotations

import base64
import functools

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_FIN, _MASKED = 0x80, 0x80
_MASK = bytes.fromhex("5ac3081f")
"""Fixed, because randomness would cost time; not zero, because some servers skip the unmasking then."""


class Broken(Exception):  # noqa: N818 - it names what the peer's bytes are
    """The peer sent what no server should."""


def basic(user: str, password: str) -> str:
    """The header with HTTP Basic credentials."""
    return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def upgrade(path: str, *headers: str) -> bytes:
    """The request that opens a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: YmVuY2htYXJrIG9mIGNzbQ==",
        "Sec-WebSocket-Version: 13",
    ]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


@functools.cache
def _pad(length: int) -> int:
    return int.from_bytes((_MASK * (length // 4 + 1))[:length], "little")


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A masked frame, as clients have to send them."""
    length = len(payload)
    if length < 126:
        head = bytes((_FIN | opcode, _MASKED | length))
    elif length < 65536:
        head = bytes((_FIN | opcode, _MASKED | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((_FIN | opcode, _MASKED | 127)) + length.to_bytes(8, "big")
    return head + _MASK + (int.from_bytes(payload, "little") ^ _pad(length)).to_bytes(length, "little")


def parse(data: bytes, start: int) -> tuple[int, bytes, int] | None:
    """Opcode and payload of the server's frame at ``start``, and where the next one begins; None: not all there yet."""
    if len(data) < start + 2:
        return None
    first, length = data[start], data[start + 1]
    if not first & _FIN or first & 0x70 or length & _MASKED:
        raise Broken(f"a frame that begins with {data[start : start + 2].hex()}")
    begin = start + 2
    if length >= 126:
        size = 2 if length == 126 else 8
        if len(data) < begin + size:
            return None
        length, begin = int.from_bytes(data[begin : begin + size], "big"), begin + size
    end = begin + length
    return None if len(data) < end else (first & 0x0F, data[begin:end], end)
