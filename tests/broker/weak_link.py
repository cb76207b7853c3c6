"""A TCP relay between a client and the broker that can be cut, and made deaf to what the broker says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure


class _Side(Protocol):
    """One end; what it hears goes to its ``peer``."""

    def __init__(self, link: WeakLink, *, from_broker: bool) -> None:
        self.peer: _Side | None = None
        self._link = link
        self._from_broker = from_broker
        self._early: list[bytes] = []

    def connectionMade(self) -> None:
        self._link.sides.append(self)

    def dataReceived(self, data: bytes) -> None:
        if self._from_broker and self._link.swallows_answers:
            return
        if self.peer is None:
            self._early.append(data)
        elif self.peer.transport is not None:
            self.peer.transport.write(data)

    def join(self, peer: _Side) -> None:
        """Tie two ends together."""
        self.peer, peer.peer = peer, self
        early, self._early = self._early, []
        for data in early:
            self.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._link.sides.remove(self)
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.loseConnection()
        self._link.tell_empty()


class WeakLink(Factory):
    """Listens on a port of loopback and relays to the broker's."""

    noisy = False

    def __init__(self, broker_port: int) -> None:
        self.swallows_answers = False
        self.refuses = False
        self.accepted = 0
        self.sides: list[_Side] = []
        self._broker_port = broker_port
        self._listening: Any = None
        self._when_empty: list[Deferred[None]] = []

    def listen(self, tls: CertificateOptions | None = None) -> int:
        """Begin, with TLS towards the client if so told; the port."""
        factory: Any = self if tls is None else TLSMemoryBIOFactory(tls, False, self)
        listening: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self._listening = listening
        return int(listening.getHost().port)

    async def close(self) -> None:
        """Cut everything and listen no more."""
        if self._listening is not None:
            await self._listening.stopListening()
        self.cut()
        if self.sides:
            empty: Deferred[None] = Deferred()
            self._when_empty.append(empty)
            await empty

    def cut(self) -> None:
        """Cut every connection now, as a network would."""
        for side in tuple(self.sides):
            if ITCPTransport.providedBy(side.transport):
                side.transport.abortConnection()

    def buildProtocol(self, address: IAddress | None) -> _Side | None:
        self.accepted += 1
        if self.refuses:
            return None
        near = _Side(self, from_broker=False)
        far_factory = Factory.forProtocol(lambda: _Side(self, from_broker=True))
        far_factory.noisy = False
        connecting = HostnameEndpoint(reactor, "127.0.0.1", self._broker_port).connect(far_factory)
        connecting.addCallbacks(near.join, lambda _: self.cut())
        return near

    def tell_empty(self) -> None:
        """Nothing is connected any more."""
        if not self.sides:
            waiting, self._when_empty = self._when_empty, []
            for deferred in waiting:
                deferred.callback(None)


def self_signed(host: str) -> tuple[CertificateOptions, bytes]:
    """TLS for a server called ``host``, by a key of its own, and the certificate (PEM) to trust; good for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    # pyOpenSSL has deprecated its own types, which are still those that Twisted declares.
    options = CertificateOptions(privateKey=key, certificate=certificate)  # type: ignore[arg-type]
    return options, certificate.public_bytes(Encoding.PEM)
