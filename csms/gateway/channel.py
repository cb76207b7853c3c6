"""What is known of a charger's connection before it says anything: where it comes from, and what TLS has proved."""

from __future__ import annotations

from dataclasses import dataclass

from csms.domain.security import ClientCertificate


@dataclass(frozen=True, slots=True)
class Channel:
    """One connection. ``certificate`` is the client's, its path and dates checked; only ``mtls_port`` asks for one."""

    address: str
    tls: bool = False
    certificate: ClientCertificate | None = None
