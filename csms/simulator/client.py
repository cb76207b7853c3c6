"""The WebSocket of a virtual charger, with reconnection."""

from __future__ import annotations

import base64
from random import Random
from typing import Any
from urllib.parse import quote

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from csms.simulator.charger import VirtualCharger
from csms.simulator.link import Link
from csms.simulator.tls import ClientTls

_log = Logger(namespace="csms.simulator")
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_CONNECT_TIMEOUT_S = 20.0
_NORMAL_CLOSURE = 1000


class ChargerProtocol(WebSocketClientProtocol):
    """Carries text frames between the socket and a link."""

    factory: ChargerFactory
    link: Link | None = None

    def onOpen(self) -> None:
        self.link = self.factory.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N803
        if self.link is not None and not isBinary:
            self.link.received(payload.decode("utf-8", "replace"))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: N803
        if self.link is not None:
            link, self.link = self.link, None
            self.factory.charger.offline()
            link.lost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.factory.closed()


class ChargerFactory(WebSocketClientFactory):
    """Keeps one charger connected."""

    protocol = ChargerProtocol  # type: ignore[assignment]
    noisy = False

    def __init__(
        self, url: str, charger: VirtualCharger, reactor: Any, random: Random, *, password: str, tls: ClientTls
    ) -> None:
        headers = {}
        if password:
            credentials = f"{charger.device_id}:{password}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode("ascii")
        super().__init__(
            f"{url}/{quote(charger.device_id, safe='')}",
            protocols=[charger.version.subprotocol],
            headers=headers,
            useragent="csms-simulator",
            reactor=reactor,
        )
        self.setProtocolOptions(openHandshakeTimeout=20, autoPingInterval=60, autoPingTimeout=20, tcpNoDelay=True)
        endpoint = HostnameEndpoint(reactor, str(self.host), int(self.port), timeout=_CONNECT_TIMEOUT_S)
        self._endpoint: IStreamClientEndpoint = (
            wrapClientTLS(tls.options(str(self.host), charger.device_id), endpoint) if self.isSecure else endpoint
        )
        self.charger = charger
        self._reactor: Any = reactor
        self._random = random
        self._pause_s = _FIRST_PAUSE_S
        self._stopped: Deferred[None] | None = None
        self._timer: Any = None
        self._protocol: ChargerProtocol | None = None

    def connect(self) -> None:
        """Try once; a failure is followed by the next try after a pause."""
        self._timer = None
        self._endpoint.connect(self).addErrback(self._not_connected)

    def buildProtocol(self, addr: Any) -> Any:
        self._protocol = super().buildProtocol(addr)  # type: ignore[assignment]
        return self._protocol

    def opened(self, protocol: ChargerProtocol) -> Link:
        """The handshake is done."""
        self._pause_s = _FIRST_PAUSE_S

        def send(text: str) -> None:
            protocol.sendMessage(text.encode())

        clock: IReactorTime = self._reactor
        link = Link(self.charger.version, send, self.charger.obey, clock, timeout_s=30.0)
        self.charger.hang_up = protocol.sendClose
        self.charger.online(link)
        return link

    def closed(self) -> None:
        """The connection is gone: try again, with jitter, ever less eagerly."""
        self._protocol = None
        if self._stopped is not None:
            self._stopped.callback(None)
            return
        pause_s = self._random.uniform(0.5, 1.5) * self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._timer = self._reactor.callLater(pause_s, self.connect)

    def _not_connected(self, reason: Failure) -> None:
        _log.debug("{charger} cannot connect: {reason}", charger=self.charger.device_id, reason=reason.value)
        self.closed()

    async def stop(self) -> None:
        """Close for good."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._protocol is not None:
            self._stopped = Deferred()
            if self._protocol.state == WebSocketClientProtocol.STATE_OPEN:
                self._protocol.sendClose(_NORMAL_CLOSURE)
            else:
                self._protocol.dropConnection(abort=True)
            await self._stopped
