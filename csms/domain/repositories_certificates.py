"""Certificates of chargers: what was issued, what is revoked, and which requests wait to be signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


@dataclass(slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate that was signed for a charger. ``serial_number``: the certificate's own, in hexadecimal."""

    id: int = 0
    charger_id: int
    device_id: str
    fingerprint: str
    """SHA-256 of the DER encoding, 64 hexadecimal digits."""
    serial_number: str
    common_name: str
    issued_by: str
    """The issuer's name (RFC 4514)."""
    pem: str
    """The certificate, and the chain below the root behind it."""
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    revoked_at: datetime | None = None
    revocation_reason: str = ""


class RequestState(StrEnum):
    """The life of a request."""

    WAITING = "waiting"
    SIGNED = "signed"
    FAILED = "failed"
    """Nobody signs it any more; ``error`` says why."""


@dataclass(slots=True, kw_only=True)
class CertificateRequest:
    """A charger's SignCertificate that was found right and waits for its signature."""

    id: int = 0
    charger_id: int
    csr: str
    """PEM."""
    certificate_type: str = ""
    """2.x: ChargingStationCertificate or empty."""
    state: RequestState = RequestState.WAITING
    error: str = ""
    attempts: int = 0
    received_at: datetime
    due_at: datetime
    """Not tried before."""
    finished_at: datetime | None = None


class IssuedCertificates(Protocol):
    """The register of the authority. Nothing is ever removed from it."""

    def add(self, certificate: IssuedCertificate) -> IssuedCertificate:
        """Write a certificate down; a second time it raises a conflict."""
        ...

    def by_serial_number(self, serial_number: str) -> Sequence[IssuedCertificate]:
        """More than one where several authorities sign."""
        ...

    def page(
        self, *, charger_id: int | None = None, before_id: int = 0, limit: int = 100
    ) -> Sequence[IssuedCertificate]:
        """Newest first; ``before_id`` continues a listing."""
        ...

    def revoked(self, common_name: str) -> frozenset[str]:
        """Fingerprints of the revoked certificates with this name, also of a charger that was removed and came back."""
        ...

    def all_revoked(self, *, valid_at: datetime) -> Sequence[IssuedCertificate]:
        """What a revocation list has to name: revoked, and not expired at ``valid_at``."""
        ...

    def ask(self, request: CertificateRequest) -> CertificateRequest:
        """Let a request wait for its signature."""
        ...

    def waiting(self, charger_id: int) -> Sequence[CertificateRequest]:
        """The charger's requests that are not signed yet, oldest first."""
        ...

    def request(self, request_id: int) -> CertificateRequest | None: ...

    def take_due(self, now: datetime, *, until: datetime, limit: int) -> Sequence[CertificateRequest]:
        """Requests that are due, oldest first; they are not due again before ``until``, so nobody else has them."""
        ...
