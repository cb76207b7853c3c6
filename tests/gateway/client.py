"""A WebSocket client of its own making, byte by byte, so that it can also misbehave."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

TIMEOUT_S = 8.0
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0
_MASK = b"\x00\x00\x00\x00"
"""A mask of zeros is a mask, too."""


@dataclass(frozen=True)
class Response:
    """The HTTP answer to a handshake."""

    status: int
    headers: Mapping[str, str]


class Gone(Exception):  # noqa: N818
    """The server has closed the connection."""


class Peer(Protocol):
    """A TCP connection to the gateway."""

    def __init__(self) -> None:
        self.buffer = b""
        self.lost = False
        self.answers_pings = True
        self.pings = 0
        self._waiting: list[Deferred[None]] = []

    def dataReceived(self, data: bytes) -> None:
        self.buffer += data
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self.lost:
                raise Gone
            deferred: Deferred[None] = Deferred()
            self._waiting.append(deferred)
            await deferred.addTimeout(TIMEOUT_S, reactor)

    def send(self, data: bytes) -> None:
        """Raw bytes."""
        assert self.transport is not None
        self.transport.write(data)

    def cut(self) -> None:
        """Drop the connection without a word."""
        self.transport.abortConnection()  # type: ignore[union-attr]

    def stop_reading(self) -> None:
        """As a peer that is stuck."""
        self.transport.pauseProducing()  # type: ignore[union-attr]

    def read_again(self) -> None:
        self.transport.resumeProducing()  # type: ignore[union-attr]

    async def gone(self) -> None:
        """Wait until the server has closed."""
        while True:
            try:
                await self._until(lambda: False)
            except Gone:
                return

    # --- handshake

    def request(self, path: str, **request_: Any) -> None:
        """Send an upgrade request; see :func:`request`."""
        self.send(request(path, **request_))

    async def response(self) -> Response:
        """Read an HTTP header."""
        await self._until(lambda: b"\r\n\r\n" in self.buffer)
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Response(int(status.split()[1]), headers)

    # --- frames

    def send_frame(self, payload: bytes | str, opcode: int = TEXT, *, fin: bool = True, rsv1: bool = False) -> None:
        self.send(frame(payload, opcode, fin=fin, rsv1=rsv1))

    def call(self, unique_id: str, action: str, payload: Mapping[str, Any] | None = None) -> None:
        """Send a CALL."""
        self.send_frame(call(unique_id, action, payload))

    async def frame(self) -> tuple[int, bytes]:
        """The next frame that is no ping; pings are answered."""
        while True:
            await self._until(lambda: len(self.buffer) >= 2)
            opcode, length = self.buffer[0] & 0x0F, self.buffer[1] & 0x7F
            await self._take(2)
            if length == 126:
                length = struct.unpack("!H", await self._take(2))[0]
            payload = await self._take(length)
            if opcode != PING:
                return opcode, payload
            self.pings += 1
            if self.answers_pings:
                self.send_frame(payload, PONG)

    async def _take(self, length: int) -> bytes:
        await self._until(lambda: len(self.buffer) >= length)
        taken, self.buffer = self.buffer[:length], self.buffer[length:]
        return taken

    async def message(self) -> Any:
        """The next text frame as JSON."""
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def close_code(self) -> int:
        """Read on until the close frame, answer it; its code."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                self.send_frame(payload[:2], CLOSE)
                return int.from_bytes(payload[:2])


def request(
    path: str,
    *,
    password: bytes | str | None = None,
    user: bytes | str | None = None,
    protocols: str | None = "ocpp1.6",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """An upgrade request."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: gateway",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    if protocols is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocols}")
    if password is not None:
        pair = _bytes(user if user is not None else path.rsplit("/", 1)[-1]) + b":" + _bytes(password)
        lines.append(f"Authorization: Basic {base64.b64encode(pair).decode()}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def frame(payload: bytes | str, opcode: int = TEXT, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A client's frame."""
    payload = _bytes(payload)
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    if len(payload) < 126:
        head = bytes([first, 0x80 | len(payload)])
    elif len(payload) < 65536:
        head = bytes([first, 0x80 | 126]) + struct.pack("!H", len(payload))
    else:
        head = bytes([first, 0x80 | 127]) + struct.pack("!Q", len(payload))
    return head + _MASK + payload


def call(unique_id: str, action: str, payload: Mapping[str, Any] | None = None) -> str:
    """A CALL's text."""
    return json.dumps([2, unique_id, action, payload or {}])


async def connect(port: int) -> Peer:
    """A TCP connection."""
    return await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Peer())  # type: ignore[no-any-return]


async def open_websocket(port: int, device_id: str, **request: Any) -> Peer:
    """A charger's open WebSocket."""
    peer = await connect(port)
    peer.request(f"/ocpp/{quote(device_id, safe='')}", user=device_id, **request)
    response = await peer.response()
    assert response.status == 101, response
    return peer


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
