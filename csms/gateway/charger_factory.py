"""Autobahn's factory for chargers: its options, and the connections that are half-open or half-closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept

from csms import metrics
from csms.addresses import TrustedProxies
from csms.config.settings import GatewaySettings, MissingSubprotocol
from csms.gateway.charger import ChargerProtocol, Gate
from csms.gateway.clock import Clock
from csms.gateway.socket import Silent

CLOSE_TIMEOUT_S = 5.0
"""How long a peer may take to answer our close frame."""


class ChargerFactory(WebSocketServerFactory):
    """Makes the protocols, and knows those that are not open yet or not closed yet."""

    log = Silent()
    noisy = False

    def __init__(self, settings: GatewaySettings, gate: Gate, reactor: Any, *, tls: bool = False) -> None:
        super().__init__(reactor=reactor, server=None)
        self.tls = tls
        self.clock: Clock = reactor
        self.gate = gate
        self.proxies = TrustedProxies(settings.trusted_proxies)
        self.missing_is_16 = settings.missing_subprotocol is MissingSubprotocol.OCPP16
        self.handshakes: dict[ChargerProtocol, float] = {}
        """Not open yet -> since when; the oldest first."""
        self.closing: dict[ChargerProtocol, float] = {}
        """Waiting for the peer to close -> since when; the oldest first."""
        self._max_handshakes = settings.max_handshakes
        self._handshake_timeout_s = settings.handshake_timeout_s
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            maxFramePayloadSize=settings.max_message_bytes,
            maxMessagePayloadSize=settings.max_message_bytes,
            failByDrop=False,
            echoCloseCodeReason=True,
            perMessageCompressionAccept=accept_deflate,
            # One sweep does what these timers would: see ``sweep``.
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            autoPingInterval=0,
        )
        # Options as attributes of a class of our own, where Autobahn would copy 29 of them into every connection.
        options = {name: getattr(self, name) for name in ChargerProtocol.CONFIG_ATTRS}
        options["perMessageCompressionAccept"] = staticmethod(accept_deflate)
        self.protocol: Any = type("ConfiguredChargerProtocol", (ChargerProtocol,), {**options, "CONFIG_ATTRS": ()})

    def begin_handshake(self, protocol: ChargerProtocol) -> None:
        """A socket was accepted. When too many are in this state, the oldest that has said the least goes."""
        if len(self.handshakes) >= self._max_handshakes:
            idle = next((other for other in self.handshakes if not other.admitting), None)
            if idle is None:
                self.handshakes[protocol] = self.clock.seconds()
                protocol.failHandshake("too many handshakes", 503)
                return
            metrics.HANDSHAKES.labels("displaced").inc()
            del self.handshakes[idle]
            idle.fail()
        self.handshakes[protocol] = self.clock.seconds()

    def end_handshake(self, protocol: ChargerProtocol) -> None:
        """The WebSocket is open."""
        self.handshakes.pop(protocol, None)

    def begin_close(self, protocol: ChargerProtocol) -> None:
        """A close frame was sent."""
        self.closing.setdefault(protocol, self.clock.seconds())

    def forget(self, protocol: ChargerProtocol) -> None:
        """The socket is gone."""
        self.handshakes.pop(protocol, None)
        self.closing.pop(protocol, None)
        self.gate.closed(protocol)

    def sweep(self, now: float) -> None:
        """Cut what has been half-open or half-closed for too long."""
        for protocol in _older(self.handshakes, now - self._handshake_timeout_s):
            if protocol.state == protocol.STATE_CONNECTING:
                metrics.HANDSHAKES.labels("timeout").inc()
            protocol.fail()
        for protocol in _older(self.closing, now - CLOSE_TIMEOUT_S):
            protocol.fail()


def _older(since: dict[ChargerProtocol, float], limit: float) -> list[ChargerProtocol]:
    """Take out of ``since``, which is in the order of time, what began before ``limit``."""
    older = []
    for protocol, began in since.items():
        if began > limit:
            break
        older.append(protocol)
    for protocol in older:
        del since[protocol]
    return older


def accept_deflate(offers: Sequence[Any]) -> PerMessageDeflateOfferAccept | None:
    """Take permessage-deflate (OCPP 2.x part 4 section 3.4 wants it), but keep no window between two messages.

    What a message inflates to is bounded by ``maxMessagePayloadSize``.
    """
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer) and offer.accept_no_context_takeover:
            return PerMessageDeflateOfferAccept(offer, request_no_context_takeover=True, no_context_takeover=True)
    return None
