"""Security profiles of chargers, and what a client certificate must say (1.6 Security Whitepaper A00; 2.x A00, A05)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class SecurityProfile(IntEnum):
    """How a charger connects. A higher one is safer."""

    NONE = 0
    """No password, no TLS: for closed networks."""
    BASIC = 1
    """A password."""
    TLS = 2
    """A password, and the server's certificate."""
    MUTUAL_TLS = 3
    """Certificates on both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """What matters of a certificate whose path and dates TLS has checked already."""

    common_names: tuple[str, ...]
    organisations: tuple[str, ...]
    fingerprint: str
    """SHA-256 of the DER encoding, 64 hexadecimal digits."""
    not_after: datetime


def objection(
    certificate: ClientCertificate, *, operator: str, certificate_name: str, revoked: frozenset[str], now: datetime
) -> str:
    """Why ``certificate`` does not prove that its bearer is the charger with this name; empty when it does.

    ``certificate_name``: the charger's serial number as the operator has bound it (A00.FR.405); empty: none is bound.
    ``revoked``: fingerprints of the charger's revoked certificates. Names are compared exactly.
    """
    if certificate.organisations != (operator,):
        return "its organisation (O) is not the operator's name"
    if not certificate_name:
        return "no serial number is bound to this charger"
    if certificate.common_names != (certificate_name,):
        return "its name (CN) is not the serial number of this charger"
    if certificate.fingerprint in revoked:
        return "it is revoked"
    if certificate.not_after <= now:
        return "it has expired"
    return ""
