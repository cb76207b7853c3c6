"""The OCPP versions that csms speaks, and the choice among a client's WebSocket subprotocols."""

from __future__ import annotations

import enum
from collections.abc import Sequence


class Version(enum.StrEnum):
    """An OCPP version, by the name that people and messages use."""

    V16 = "1.6"
    V201 = "2.0.1"
    V21 = "2.1"

    @property
    def subprotocol(self) -> str:
        """The name in Sec-WebSocket-Protocol (IANA WebSocket Subprotocol Name Registry)."""
        return f"ocpp{self.value}"

    @property
    def is_16(self) -> bool:
        """Whether the rules of 1.6 hold; else those of 2.x."""
        return self is Version.V16


_BY_SUBPROTOCOL = {version.subprotocol: version for version in Version}


def choose_version(offered: Sequence[str], missing_is_16: bool) -> Version | None:
    """The version to speak with a client that offers these subprotocols; None: no common one.

    The client's order is its order of preference (OCPP-J 1.6 and part 4 of 2.x,
    section 3.1.2), so the
    first known one wins. Some old chargers send no subprotocol at all: ``missing_is_16`` lets those in, but
    never a client that offers only unknown ones.
    """
    if not offered:
        return Version.V16 if missing_is_16 else None
    for name in offered:
        version = _BY_SUBPROTOCOL.get(name)
        if version is not None:
            return version
    return None
