"""The ports for chargers, one for each way in: plain (profiles 0 and 1), TLS (2), TLS with client certificates (3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from csms.config.loading import ConfigError
from csms.config.settings import GatewaySettings
from csms.gateway.charger import ChargerProtocol, Gate
from csms.gateway.charger_factory import ChargerFactory
from csms.gateway.tls import ServerTls
from csms.sockets import listen

BACKLOG = 1024
REFRESH_S = 5.0
"""How often the certificates' files are looked at."""

_log = Logger(namespace="csms.gateway")


@dataclass(slots=True)
class Door:
    """One way in. ``number``: the port of the settings; ``tls``: None for plain WebSockets."""

    name: str
    number: int
    factory: ChargerFactory
    tls: ServerTls | None
    port: IListeningPort | None = field(default=None)


class Listening:
    """Listens, as the settings have it."""

    def __init__(self, settings: GatewaySettings, gate: Gate, reactor: Any, *, operator: str) -> None:
        self._settings = settings
        self._reactor = reactor
        self._operator = operator
        self._refreshed_at = 0.0
        self._doors: list[Door] = []
        if settings.plaintext:
            self._doors.append(Door("plain", settings.port, ChargerFactory(settings, gate, reactor), None))
        for name, number in (("tls", settings.tls_port), ("mtls", settings.mtls_port)):
            if number:
                factory = ChargerFactory(settings, gate, reactor, tls=True)
                self._doors.append(Door(name, number, factory, ServerTls(settings, clients=name == "mtls")))

    def port(self, name: str = "plain") -> int:
        """The port that is listened on; 0 before the start and after the stop."""
        for door in self._doors:
            if door.name == name and door.port is not None:
                return int(door.port.getHost().port)  # type: ignore[attr-defined]
        return 0

    @property
    def open(self) -> bool:
        """Whether chargers can connect."""
        return any(door.port is not None for door in self._doors)

    @property
    def handshakes(self) -> Sequence[ChargerProtocol]:
        """Sockets that are not open yet."""
        return [protocol for door in self._doors for protocol in door.factory.handshakes]

    @property
    def closing(self) -> Sequence[ChargerProtocol]:
        """Sockets that wait for the peer to close."""
        return [protocol for door in self._doors for protocol in door.factory.closing]

    async def start(self) -> None:
        """Open all ports, or none.

        Raises :class:`ConfigError`, and twisted.internet.error.CannotListenError, which names address, port and reason.
        """
        if not self._doors:
            raise ConfigError("[gateway] plaintext is off, so tls_port or mtls_port is needed")
        if self._settings.mtls_port and not self._operator:
            raise ConfigError("[certificates] operator is needed for [gateway] mtls_port")
        for door in self._doors:
            if door.tls is not None:
                door.tls.load()
        try:
            for door in self._doors:
                self._open(door)
        except Exception:
            await self.stop()
            raise

    def _open(self, door: Door) -> None:
        factory = door.factory if door.tls is None else door.tls.wrap(door.factory, self._reactor)
        host = self._settings.listen
        door.port = listen(self._reactor, door.number, factory, interface=host, backlog=BACKLOG)
        _log.info(
            "listening for chargers at {scheme}://{host}:{port}/ocpp/{note}",
            scheme="ws" if door.tls is None else "wss",
            host=host,
            port=self.port(door.name),
            note=" (client certificate needed)" if door.name == "mtls" else "",
        )

    async def stop(self) -> None:
        """Close the ports; connections stay."""
        for door in self._doors:
            port, door.port = door.port, None
            if port is not None:
                await maybeDeferred(port.stopListening)

    def sweep(self, now: float) -> None:
        """Cut what is half-open for too long; look at the certificates' files."""
        for door in self._doors:
            door.factory.sweep(now)
        if now - self._refreshed_at >= REFRESH_S:
            self._refreshed_at = now
            for door in self._doors:
                if door.tls is not None:
                    door.tls.refresh()
