"""What tests of TLS start from: a gateway with certificates in files, and chargers that connect by TLS."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from csms.domain.model import Charger
from csms.gateway import charger, directory
from csms.gateway.service import ChargerGateway
from tests.certificates import OPERATOR, Pair, TestAuthority
from tests.gateway.case import GatewayCase
from tests.gateway.client import Gone, Peer
from tests.servers.daemon import free_port

TLS12, TLS11, TLS10 = SSL.TLS1_2_VERSION, SSL.TLS1_1_VERSION, SSL.TLS1_VERSION


@implementer(IOpenSSLClientConnectionCreator)
class ClientTls:
    """A client's TLS. It trusts every server: what is tested is the server's trust."""

    def __init__(self, pair: Pair | None, *, version: int | None, suites: str | None) -> None:
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if version is not None:
            self.context.set_min_proto_version(version)
            self.context.set_max_proto_version(version)
        if suites is not None:
            self.context.set_cipher_list(suites.encode())
        if pair is not None:
            self.context.use_certificate(pair.certificate)
            self.context.use_privatekey(pair.key)

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        return SSL.Connection(self.context, None)


class TlsCase(GatewayCase):
    """``self.authority`` has signed the server's certificate and is trusted for clients."""

    operator = OPERATOR

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.patch(directory, "FRESH_S", 0.0)
        self.tls_failures: list[str] = []
        """Why TLS handshakes failed, as the log has it."""
        self.patch(charger, "_log", self)
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.directory = Path(holder.name)
        self.authority = TestAuthority()
        self.server = self.authority.server()
        self.server.write(self.file("server.pem"), self.file("server.key"))
        self.file("ca.pem").write_bytes(self.authority.pem)

    def info(self, text: str, *, reason: str, **_: object) -> None:
        self.tls_failures.append(reason)

    def file(self, name: str) -> Path:
        return self.directory / name

    def files(self) -> dict[str, Any]:
        """The settings that name the server's certificate."""
        return {
            "tls_certificate_file": str(self.file("server.pem")),
            "tls_key_file": str(self.file("server.key")),
        }

    async def start_tls(self, **settings: Any) -> ChargerGateway:
        """A gateway for security profile 2."""
        return await self.start(**{"tls_port": free_port(), **self.files(), **settings})

    async def start_mutual(self, **settings: Any) -> ChargerGateway:
        """A gateway for all profiles."""
        return await self.start_tls(
            **{"mtls_port": free_port(), "client_ca_file": str(self.file("ca.pem")), **settings}
        )

    def bound(self, device_id: str = "CP1", serial: str = "SN-1", **fields: Any) -> Charger:
        """A charger whose serial number is bound to its identity."""
        return self.charger(device_id, certificate_name=serial, **fields)

    async def tls(
        self,
        pair: Pair | None = None,
        *,
        door: str = "tls",
        gateway: ChargerGateway | None = None,
        version: int | None = None,
        suites: str | None = None,
    ) -> Peer:
        """A TLS connection; its handshake may still be under way, or about to fail."""
        port = (gateway or self.gateway).listening.port(door)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        creator = ClientTls(pair, version=version, suites=suites)
        peer: Peer = await connectProtocol(wrapClientTLS(creator, endpoint), Peer())
        self.peers.append(peer)
        return peer

    async def upgrade(self, peer: Peer, device_id: str = "CP1", **request: Any) -> int:
        """The HTTP status of a handshake; 0 when TLS fails before there is one."""
        peer.request(f"/ocpp/{device_id}", **request)
        try:
            return (await peer.response()).status
        except Gone:
            return 0

    async def tls_status(self, device_id: str = "CP1", **connection: Any) -> int:
        """The same with a new connection; what :meth:`tls` takes, and ``password``."""
        password = connection.pop("password", None)
        return await self.upgrade(await self.tls(**connection), device_id, password=password)

    async def mutual_status(self, pair: Pair | None, device_id: str = "CP1", **connection: Any) -> int:
        """The same on the port for client certificates."""
        return await self.tls_status(device_id, pair=pair, door="mtls", **connection)
