"""What a gateway is called."""

from __future__ import annotations

import os
import socket

from csms.config.settings import GatewaySettings


def gateway_name(settings: GatewaySettings) -> str:
    """The gateway's name: as set, else made of the host's name and the port."""
    return settings.name or f"{socket.gethostname()}-{settings.port or os.getpid()}"
