"""Whose pages may open /events and change anything: an exact list of origins (RFC 6454). Pure."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from csms.config.settings import HttpSettings

_DEFAULT_PORTS = {"http": 80, "https": 443}


def own_url(settings: HttpSettings) -> str:
    """Where people find this server, without a slash at the end."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(settings.listen, settings.listen)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def is_https(settings: HttpSettings) -> bool:
    """Whether people reach this server by TLS, which a proxy ends."""
    return own_url(settings).startswith("https://")


def is_loopback(host: str) -> bool:
    """Whether a host name or address always means the machine that uses it."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


class Origins:
    """Our own origin, those of ``allowed_origins``, and on loopback whatever name of it the browser uses."""

    def __init__(self, settings: HttpSettings) -> None:
        listed = (own_url(settings), *settings.allowed_origins.split())
        self._allowed = {_origin(url) for url in listed} - {None}

    def allows(self, origin: str | None, host: str | None) -> bool:
        """Whether a request with these Origin and Host headers comes from a page that we trust."""
        if origin is None:
            return False
        plain = _origin(origin)
        if plain is None:
            return False
        # A name that somebody's DNS made point to 127.0.0.1 is no loopback name, so it cannot get in here.
        return plain in self._allowed or (
            host is not None and _is_at_loopback(plain) and plain == _origin(f"http://{host}")
        )


def _is_at_loopback(origin: tuple[str, str, int]) -> bool:
    return is_loopback(origin[1])


def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port if port is not None else _DEFAULT_PORTS[parts.scheme]
