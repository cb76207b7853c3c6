"""Messages of a WebSocket collected in one buffer, for chargers and browsers alike."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol


class OneBufferProtocol(WebSocketServerProtocol):
    """Autobahn keeps a list of a message's fragments: 40 bytes for each byte, and with empty ones without end."""

    _collected = bytearray()

    def onMessageBegin(self, isBinary: bool) -> None:  # noqa: N803 - autobahn's name
        super().onMessageBegin(isBinary)
        self._collected = bytearray()

    def onMessageFrameData(self, payload: bytes) -> None:
        if not self.failedByMe:
            self._collected += payload

    def onMessageEnd(self) -> None:
        payload, self._collected = self._collected, bytearray()
        if self.state == self.STATE_OPEN:
            self.onMessage(bytes(payload), self.message_is_binary)

    message_is_binary: Any
