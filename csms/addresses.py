"""Whom an address stands for: what counts as one address, and whose word is taken for where a request comes from."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

MAX_HOPS = 20
"""Entries of X-Forwarded-For that are looked at, from the last on."""

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or an IPv6 /64, which is what one customer has."""
    parsed = _parsed(address)
    if parsed is None:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.IPv6Network((parsed.packed, 64), strict=False))


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, separated by blanks. Raises ValueError for what is neither."""
    return tuple(ipaddress.ip_network(word) for word in text.split())


class TrustedProxies:
    """The proxies in front of a port; nobody else's X-Forwarded-For is believed. Without any, it is not looked at."""

    def __init__(self, text: str) -> None:
        """``text``: see :func:`networks`."""
        self._networks = networks(text)

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """Where a request comes from that ``peer`` has brought: the last address that is no trusted proxy's.

        What stands before that one was said by strangers.
        """
        if forwarded_for is None or not self._trusts(_parsed(peer)):
            return peer
        found = peer
        for entry in reversed(forwarded_for.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            address = _parsed(_without_port(entry.strip()))
            if address is None:
                return found
            found = str(address)
            if not self._trusts(address):
                return found
        return found

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _parsed(address: str) -> Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed


def _without_port(entry: str) -> str:
    """Some proxies write ``192.0.2.1:4711`` or ``[2001:db8::1]:4711``."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
