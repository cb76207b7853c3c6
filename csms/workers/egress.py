"""Outgoing connections to addresses that an operator or an integration named: only to public ones.

The name is resolved, the addresses are checked, and one of the checked addresses is connected to, so that no second
answer of the name server can lead elsewhere (DNS rebinding). TLS still verifies the name.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IAddress, IHostResolution, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import URI, BrowserLikePolicyForHTTPS
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

CONNECT_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 256 * 1024
"""Head and body of one answer; a longer one costs the connection. Twisted keeps a head, however long it is."""
# Where an IPv6 address ends in an IPv4 one: NAT64, IPv4-mapped, IPv4-translated and IPv4-compatible addresses.
_ENDS_IN_IPV4 = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "::/96")))
_UNICAST = ipaddress.ip_network("2000::/3")
# Beside what Python knows: what it does not know yet, and two addresses at which clouds tell their secrets.
_NOT_PUBLIC = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20", "2001:20::/28"))
)


class Forbidden(Exception):  # noqa: N818 - it names what happened
    """No address of the host may be connected to."""


def is_public(address: str) -> bool:
    """Whether ``address`` is one of the internet's, also where an IPv6 address stands for an IPv4 one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if any(ip in network for network in _ENDS_IN_IPV4):
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        inner = ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if ip not in _UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


@implementer(IStreamClientEndpoint)
class CheckedEndpoint:
    """Connects to ``host`` unless all its addresses are private."""

    def __init__(self, reactor: Any, host: str, port: int, *, allow_private: bool) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._allow_private = allow_private

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - Twisted's name
        """Fails with :class:`Forbidden`, DNSLookupError or ConnectError."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        addresses = await self._resolve()
        permitted = [address for address in addresses if self._allow_private or is_public(address)]
        if not permitted:
            raise Forbidden(f"{self._host} is {addresses[0]}, which is not a public address")
        for address in permitted[:-1]:
            try:
                return await self._endpoint(address).connect(factory)
            except (ConnectError, ConnectTimeout):
                continue
        return await self._endpoint(permitted[-1]).connect(factory)

    def _endpoint(self, address: str) -> IStreamClientEndpoint:
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        endpoint: IStreamClientEndpoint = kind(self._reactor, address, self._port, timeout=CONNECT_TIMEOUT_S)
        return endpoint

    async def _resolve(self) -> list[str]:
        resolved: Deferred[list[str]] = Deferred()
        self._reactor.nameResolver.resolveHostName(_Receiver(resolved), self._host, self._port)
        addresses = await resolved
        if not addresses:
            raise DNSLookupError(f"{self._host} has no address")
        return addresses


class _Receiver:
    """Collects the addresses of a name."""

    def __init__(self, resolved: Deferred[list[str]]) -> None:
        self._resolved = resolved
        self._addresses: list[str] = []

    def resolutionBegan(self, resolution: IHostResolution) -> None:  # noqa: N802
        """Nothing to do."""

    def addressResolved(self, address: IAddress) -> None:  # noqa: N802
        """One more."""
        self._addresses.append(address.host)  # type: ignore[attr-defined]

    def resolutionComplete(self) -> None:  # noqa: N802
        """That was all."""
        if not self._resolved.called:
            self._resolved.callback(self._addresses)


@implementer(IAgentEndpointFactory)
class CheckedEndpoints:
    """Gives an HTTP agent endpoints that check where they lead."""

    def __init__(self, reactor: Any, *, allow_private: bool, tls: IPolicyForHTTPS | None = None) -> None:
        self._reactor = reactor
        self._allow_private = allow_private
        self._tls = tls or BrowserLikePolicyForHTTPS()

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: N802 - Twisted's name
        """An endpoint for ``uri``, http or https."""
        host = uri.host.decode("ascii").strip("[]")
        endpoint = CheckedEndpoint(self._reactor, host, uri.port, allow_private=self._allow_private)
        if uri.scheme != b"https":
            return Bounded(endpoint)
        return Bounded(wrapClientTLS(self._tls.creatorForNetloc(uri.host, uri.port), endpoint))


@implementer(IStreamClientEndpoint)
class Bounded:
    """Connects, and reads so many bytes after each request, but no more."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - Twisted's name
        """Fails as the endpoint does."""
        connecting: Deferred[Any] = self._endpoint.connect(_BoundedFactory(protocolFactory))
        return connecting.addCallback(lambda protocol: protocol.wrappedProtocol)


class _BoundedProtocol(ProtocolWrapper):
    _left = MAX_ANSWER_BYTES

    def write(self, data: bytes) -> None:
        self._left = MAX_ANSWER_BYTES
        super().write(data)

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.transport.abortConnection()  # type: ignore[union-attr]
        else:
            super().dataReceived(data)


class _BoundedFactory(WrappingFactory):
    protocol = _BoundedProtocol
    noisy = False
