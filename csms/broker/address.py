"""Where an AMQP broker is: a URL taken apart, and the endpoint that leads to each of its nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

_PEM = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_PORTS = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A broker, a vhost on it, and how to get in. ``connection_name`` is what the broker's operator sees."""

    host: str
    port: int
    vhost: str
    username: str
    password: str = field(repr=False)
    tls: bool
    ca_file: str = ""
    heartbeat_s: int = 10
    connection_name: str = "csms"

    @property
    def place(self) -> str:
        """Host, port and vhost, for a person."""
        return f"{self.host}:{self.port}/{self.vhost.lstrip('/')}"


def parse_addresses(
    url: str, *, password: str = "", ca_file: str = "", heartbeat_s: int = 10, connection_name: str = "csms"
) -> tuple[Address, ...]:
    """Take a URL apart that may name several nodes of a cluster: ``amqp://user:password@host:port,host:port/vhost``.

    One address for each; user, password and vhost are the same on all. Raises ValueError with the reason.
    """
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, hosts = authority.rpartition("@")
    return tuple(
        parse_address(
            f"{scheme}{mark}{user}{at}{host.strip()}{slash}{path}",
            password=password,
            ca_file=ca_file,
            heartbeat_s=heartbeat_s,
            connection_name=connection_name,
        )
        for host in hosts.split(",")
    )


def parse_address(
    url: str, *, password: str = "", ca_file: str = "", heartbeat_s: int = 10, connection_name: str = "csms"
) -> Address:
    """Take ``amqp://user:password@host:port/vhost`` (or ``amqps``) apart; raises ValueError with the reason.

    No vhost means ``/``; no user means guest. ``password`` is used when the URL has none.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"broker URL {parts.scheme}: must begin with amqp:// or amqps:// or be memory:")
    if not parts.hostname:
        raise ValueError("broker URL has no host")
    if "/" in parts.path[1:]:
        raise ValueError("broker URL has more than a vhost behind the host; write / in its name as %2F")
    username = unquote(parts.username or "guest")
    return Address(
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        vhost=unquote(parts.path[1:]) or "/",
        username=username,
        password=unquote(parts.password or "") or password or ("guest" if username == "guest" else ""),
        tls=parts.scheme == "amqps",
        ca_file=ca_file,
        heartbeat_s=heartbeat_s,
        connection_name=connection_name,
    )


def endpoint(address: Address, reactor: object, *, timeout_s: float) -> IStreamClientEndpoint:
    """The endpoint for ``address``. TLS checks the host's name, and its certificate against ``ca_file`` if given."""
    plain = HostnameEndpoint(reactor, address.host, address.port, timeout=timeout_s)
    if not address.tls:
        return plain
    trust = None
    if address.ca_file:
        trust = trustRootFromCertificates(_certificates(address.ca_file))
    return wrapClientTLS(optionsForClientTLS(address.host, trustRoot=trust), plain)


def _certificates(path: str) -> list[Certificate]:
    """All certificates in a file. Raises OSError, or ValueError when there are none."""
    found = _PEM.findall(Path(path).read_bytes())
    if not found:
        raise ValueError(f"no certificate in {path}")
    return [Certificate.loadPEM(pem) for pem in found]
