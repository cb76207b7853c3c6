"""Certificates that chargers ask for: SignCertificate (1.6 Security Whitepaper section 4, A02; 2.x A02, A03).

The handler checks the request and lets it wait; whoever signs (the built-in authority or a program of the operator's)
is outside the transaction. The signed certificate is written into the register together with the command that brings it
to the charger, so neither is there without the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from csms.domain import command_life
from csms.domain.command_model import Source
from csms.domain.commands import new_command
from csms.domain.device_records import SecurityEvent
from csms.domain.handling import Call, Handled, Notes
from csms.domain.messages import NotificationType
from csms.domain.model import Charger
from csms.domain.payloads import text
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_certificates import CertificateRequest, IssuedCertificate, RequestState
from csms.ocpp.json import encode

MAX_CSR = 10_000
MAX_CHAIN = 10_000
"""Characters of CertificateSigned's certificateChain."""
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MIN_EC_BITS = 224
MAX_PER_DAY = 24
"""Certificates for one charger; a broken one would ask for ever."""
CHARGING_STATION = "ChargingStationCertificate"
ANSWER_S = 60.0
KEPT_S = 7 * 86400.0
"""A charger that is away gets its certificate when it comes back within this time."""
MAX_ATTEMPTS = 10
BAD_REQUEST = "InvalidCertificateSigningRequest"
NOT_SIGNED = "CertificateNotSigned"
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=1)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class BadCertificate(ValueError):  # noqa: N818 - it names what is wrong
    """What was signed is not what was asked for; the text says how."""


def sign_certificate(call: Call) -> Handled:
    """Accepted: it will be signed, and CertificateSigned follows."""
    why_not = _refusal(call)
    if why_not:
        _keep_event(call.uow, call.notes, call.charger, call.message.message_id, BAD_REQUEST, why_not, call.received_at)
        return call.done({"status": "Rejected"})
    register = call.uow.issued_certificates
    for older in register.waiting(call.charger.id):
        _settle(older, RequestState.FAILED, call.received_at, "the charger has sent a newer request")
    register.ask(
        CertificateRequest(
            charger_id=call.charger.id,
            csr=text(call.payload, "csr", MAX_CSR),
            certificate_type=text(call.payload, "certificateType", 40),
            received_at=call.received_at,
            due_at=call.received_at,
        )
    )
    return call.done({"status": "Accepted"})


def csr_objection(csr: str, *, operator: str, certificate_name: str) -> str:
    """Why this request (PEM) must not be signed for the charger with this serial number; empty when it may."""
    if len(csr) >= MAX_CSR:
        return f"it has {MAX_CSR} characters or more"
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        key, signed = request.public_key(), request.is_signature_valid
        names, operators = _values(request.subject, NameOID.COMMON_NAME), _values(request.subject, _O)
        algorithm = request.signature_hash_algorithm
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return f"it cannot be read: {error}"
    if not _strong(key):
        return f"its key must be RSA with {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, or EC with {MIN_EC_BITS} or more"
    if not signed or not isinstance(algorithm, _HASHES):
        return "its signature is wrong, or weaker than SHA-256"
    if not certificate_name:
        return "no serial number is bound to this charger"
    if names != [certificate_name]:
        return "its name (CN) is not the serial number of this charger"
    if operators != [operator]:
        return "its organisation (O) is not the operator's name"
    return ""


def issue(
    uow: UnitOfWork, charger: Charger, csr: str, chain: str, *, operator: str, now: datetime
) -> IssuedCertificate:
    """Write a certificate that was signed for ``csr`` into the register. Raises :class:`BadCertificate`."""
    certificate = _first(chain)
    request = x509.load_pem_x509_csr(csr.encode())
    if certificate.public_key() != request.public_key():
        raise BadCertificate("the certificate is for another key")
    if _values(certificate.subject, NameOID.COMMON_NAME) != [charger.certificate_name]:
        raise BadCertificate("the certificate's name (CN) is not the charger's serial number")
    if _values(certificate.subject, _O) != [operator]:
        raise BadCertificate("the certificate's organisation (O) is not the operator's name")
    if certificate.not_valid_after_utc <= now:
        raise BadCertificate("the certificate has expired")
    if len(chain) > MAX_CHAIN:
        raise BadCertificate(f"certificate and chain have more than {MAX_CHAIN} characters")
    return uow.issued_certificates.add(
        IssuedCertificate(
            charger_id=charger.id,
            device_id=charger.device_id,
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            serial_number=f"{certificate.serial_number:x}",
            common_name=charger.certificate_name,
            issued_by=certificate.issuer.rfc4514_string(),
            pem=chain,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            issued_at=now,
        )
    )


def signed(
    uow: UnitOfWork, request_id: int, chain: str, *, operator: str, command_id: str, now: datetime, notes: Notes
) -> None:
    """The certificate for a request is there: register it and send it to the charger. Raises :class:`BadCertificate`.

    Does nothing for a request that waits no more.
    """
    request = uow.issued_certificates.request(request_id)
    if request is None or request.state is not RequestState.WAITING:
        return
    charger = uow.chargers.get(request.charger_id)
    if charger is None:
        _settle(request, RequestState.FAILED, now, "the charger was removed")
        return
    issue(uow, charger, request.csr, chain, operator=operator, now=now)
    _settle(request, RequestState.SIGNED, now)
    payload = {"certificateChain": chain}
    if request.certificate_type:
        payload["certificateType"] = request.certificate_type
    command = new_command(
        charger,
        "CertificateSigned",
        encode(payload),
        command_id=command_id,
        now=now,
        timeout_s=ANSWER_S,
        keep_s=KEPT_S,
        source=Source.SYSTEM,
    )
    command_life.store(uow, charger, command, notes)


def not_signed(uow: UnitOfWork, request_id: int, reason: str, *, now: datetime, notes: Notes) -> None:
    """The request could not be signed now; after many tries it is given up."""
    request = uow.issued_certificates.request(request_id)
    if request is None or request.state is not RequestState.WAITING:
        return
    request.attempts += 1
    request.error = reason
    if request.attempts < MAX_ATTEMPTS:
        request.due_at = now + min(_FIRST_PAUSE * 2 ** (request.attempts - 1), _LONGEST_PAUSE)
        return
    _settle(request, RequestState.FAILED, now, reason)
    charger = uow.chargers.get(request.charger_id)
    if charger is not None:
        _keep_event(uow, notes, charger, f"request-{request.id}", NOT_SIGNED, reason, now)


_O = NameOID.ORGANIZATION_NAME


def _refusal(call: Call) -> str:
    policy, payload = call.policy, call.payload
    if not policy.signs_certificates:
        return "no authority is set up"
    if payload.get("certificateType") not in (None, CHARGING_STATION):
        return "only certificates of the charging station itself are signed"
    since = call.received_at - timedelta(days=1)
    newest = call.uow.issued_certificates.page(charger_id=call.charger.id, limit=MAX_PER_DAY)
    if len(newest) == MAX_PER_DAY and newest[-1].issued_at > since:
        return f"{MAX_PER_DAY} certificates were signed for it within a day"
    return csr_objection(
        text(payload, "csr", MAX_CSR), operator=policy.operator, certificate_name=call.charger.certificate_name
    )


def _keep_event(
    uow: UnitOfWork, notes: Notes, charger: Charger, message_id: str, kind: str, info: str, now: datetime
) -> None:
    """A security event of our own, beside those that chargers tell."""
    event = SecurityEvent(
        charger_id=charger.id,
        message_id=message_id,
        type=kind,
        tech_info=info,
        critical=True,
        occurred_at=now,
        received_at=now,
    )
    uow.devices.security_events.append(event)
    notes.add(NotificationType.SECURITY_EVENT, charger, event=kind, info=info, critical=True, occurredAt=now)


def _settle(request: CertificateRequest, state: RequestState, now: datetime, error: str = "") -> None:
    request.state = state
    request.error = error
    request.finished_at = now


def _first(chain: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(chain.encode())[0]
    except (ValueError, IndexError) as error:
        raise BadCertificate("what was given back is no certificate (PEM)") from error


def _strong(key: Any) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= MIN_EC_BITS


def _values(name: x509.Name, kind: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in name.get_attributes_for_oid(kind)]


def describe(certificate: IssuedCertificate) -> Mapping[str, Any]:
    """A row of a listing of the register."""
    return {
        "serialNumber": certificate.serial_number,
        "deviceId": certificate.device_id,
        "commonName": certificate.common_name,
        "issuedBy": certificate.issued_by,
        "issuedAt": certificate.issued_at,
        "notAfter": certificate.not_after,
        "revokedAt": certificate.revoked_at,
        "reason": certificate.revocation_reason,
    }
