"""A WebSocket client that stands in for a browser."""

from __future__ import annotations

import json
import socket
from collections import deque
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol

reactor: Any = _reactor


class BrowserClient(WebSocketClientProtocol):
    """Collects the frames that it gets after the welcome, which says the ``feed``.

    ``gone`` fires with the close code, None when there was no handshake.
    """

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.frames: deque[dict[str, Any]] = deque()
        self.feed = ""
        self.opened: Deferred[None] = Deferred()
        self.gone: Deferred[int | None] = Deferred()
        self.refusal = ""
        self._waiting: Deferred[None] | None = None

    def onOpen(self) -> None:
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N803
        frame = json.loads(payload)
        if not self.feed:
            assert frame["event"] == "welcome", frame
            self.feed = frame["feed"]
            return
        self.frames.append(frame)
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:  # noqa: N803
        if not self.opened.called:
            self.refusal = reason
            self.opened.callback(None)
        self.gone.callback(code)

    async def frame(self) -> dict[str, Any]:
        """The next frame."""
        while not self.frames:
            self._waiting = Deferred()
            await self._waiting
        return self.frames.popleft()

    async def take(self, count: int) -> list[dict[str, Any]]:
        """The next frames."""
        return [await self.frame() for _ in range(count)]

    def say(self, **request: object) -> None:
        """Send a request."""
        self.sendMessage(json.dumps(request).encode())

    async def leave(self) -> None:
        """Close, if it is still open."""
        self.sendClose()
        await self.gone

    def stop_reading(self) -> None:
        """Read nothing more, with a receive buffer that is soon full."""
        self.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.transport.pauseProducing()

    def read_again(self) -> None:
        """Go on reading."""
        self.transport.resumeProducing()


async def connect(port: int, *, origin: str | None = None, headers: dict[str, str] | None = None) -> BrowserClient:
    """A client for ``/events`` that is open, or was refused."""
    factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}/events", origin=origin, headers=headers or {})
    client = BrowserClient()
    client.factory = factory
    await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", port), client)
    await client.opened
    return client
