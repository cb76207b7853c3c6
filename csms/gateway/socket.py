"""A WebSocket as those see it who close it and write to it, and the codes to close it with."""

from __future__ import annotations

from typing import Any, Protocol

GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013
"""WebSocket close codes: RFC 6455 section 7.4, and IANA's registry for the last."""


class Socket(Protocol):
    """The charger's WebSocket. Nothing here raises, whatever state it is in."""

    def send_text(self, text: str) -> None: ...

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""
        ...

    def hold(self, full: bool) -> None:
        """Stop reading, or go on: as much as may wait is waiting."""
        ...


class Silent:
    """In place of Autobahn's logger: it would write what strangers send, and formats lines that nobody reads."""

    def _nothing(self, *args: Any, **kwargs: Any) -> None: ...

    trace = debug = info = warn = error = failure = critical = _nothing
