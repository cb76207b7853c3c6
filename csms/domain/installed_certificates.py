"""Certificates in a charger (Security Whitepaper sections 3 and 5: InstallCertificate and its kin).

A charger names a certificate by hashes; what we install is PEM. Issuer and serial number tell that they are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from csms.domain.commands import CommandCall
from csms.domain.device_records import InstalledCertificate
from csms.domain.messages import NotificationType
from csms.domain.payloads import mapping, mappings, text

OWN = "ChargePointCertificate"
"""The use of the certificate that the charger shows to us."""
MAX_CERTIFICATES = 100
"""Of one charger that are remembered."""
_ALGORITHMS = frozenset({"SHA256", "SHA384", "SHA512"})


@dataclass(frozen=True, slots=True)
class _Named:
    """How a charger names a certificate: the fields of certificateHashData, as it spells them."""

    algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What is to be compared with a charger's name of a certificate."""

    serial_number: str
    issuer_name: bytes
    """DER."""


def certificate_installed(call: CommandCall) -> None:
    """InstallCertificate: once accepted, the certificate is in the charger."""
    if text(call.response, "status", 40) == "Accepted":
        pem, use = text(call.request, "certificate", 20_000), text(call.request, "certificateType", 60)
        known = [one for one in _of(call, use) if one.pem == pem]
        _note(call, known[0] if known else _new(call, use), pem)


def certificate_signed(call: CommandCall) -> None:
    """CertificateSigned, once accepted: it takes the place of the charger's own certificate."""
    if text(call.response, "status", 40) == "Accepted":
        for older in _of(call, OWN):
            call.uow.devices.certificates.remove(older)
        _note(call, _new(call, OWN), text(call.request, "certificateChain", 40_000))


def certificates_reported(call: CommandCall) -> None:
    """GetInstalledCertificateIds: for the use that was asked for, exactly these are in the charger."""
    status, use = text(call.response, "status", 40), text(call.request, "certificateType", 60)
    if status not in ("Accepted", "NotFound"):
        return
    records = call.uow.devices.certificates
    left = _of(call, use)
    changed = False
    reported = [_named(one) for one in mappings(call.response, "certificateHashData")] if status == "Accepted" else []
    for named in reported[:MAX_CERTIFICATES]:
        record = next((one for one in left if _is(one, named)), None)
        if record is None:
            record = records.add(InstalledCertificate(charger_id=call.charger.id, use=use))
            changed = True
        else:
            left.remove(record)
        record.hash_algorithm, record.serial_number = named.algorithm, named.serial_number
        record.issuer_name_hash, record.issuer_key_hash = named.issuer_name_hash, named.issuer_key_hash
        record.reported_at = call.now
    for gone in left:
        records.remove(gone)
    if changed or left:
        _tell(call, use)


def certificate_deleted(call: CommandCall) -> None:
    """DeleteCertificate: ``NotFound`` says as well that the charger does not have it."""
    if text(call.response, "status", 40) not in ("Accepted", "NotFound"):
        return
    named = _named(mapping(call.request, "certificateHashData"))
    for record in call.uow.devices.certificates.of(call.charger.id):
        if record.use != OWN and _is(record, named):
            call.uow.devices.certificates.remove(record)
            _tell(call, record.use)


def _of(call: CommandCall, use: str) -> list[InstalledCertificate]:
    return [one for one in call.uow.devices.certificates.of(call.charger.id) if one.use == use]


def _new(call: CommandCall, use: str) -> InstalledCertificate:
    records = call.uow.devices.certificates
    for oldest in records.of(call.charger.id)[: -MAX_CERTIFICATES + 1]:
        records.remove(oldest)
    return records.add(InstalledCertificate(charger_id=call.charger.id, use=use))


def _note(call: CommandCall, record: InstalledCertificate, pem: str) -> None:
    certificate = _parsed(pem)
    record.pem = pem
    record.serial_number = "" if certificate is None else certificate.serial_number
    record.installed_at = call.now
    record.command_id = call.command.command_id
    _tell(call, record.use)


def _is(record: InstalledCertificate, named: _Named) -> bool:
    if _same(record.hash_algorithm, named.algorithm):
        return (
            _same(record.serial_number, named.serial_number)
            and _same(record.issuer_name_hash, named.issuer_name_hash)
            and _same(record.issuer_key_hash, named.issuer_key_hash)
        )
    certificate = _parsed(record.pem)
    return (
        certificate is not None
        and _same(certificate.serial_number, named.serial_number)
        and _same(_issuer_name_hash(certificate, named.algorithm), named.issuer_name_hash)
    )


def _named(data: Mapping[str, Any]) -> _Named:
    return _Named(
        text(data, "hashAlgorithm", 10),
        text(data, "issuerNameHash", 128),
        text(data, "issuerKeyHash", 128),
        text(data, "serialNumber", 40),
    )


def _same(one: str, other: str) -> bool:
    """Hexadecimal numbers come in either case, with or without leading zeros."""
    return one.lower().lstrip("0") == other.lower().lstrip("0")


def _parsed(pem: str) -> _Parsed | None:
    """The first certificate in ``pem``; None when it is none."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        return _Parsed(f"{certificate.serial_number:x}", certificate.issuer.public_bytes())
    except ValueError:
        return None


def _issuer_name_hash(certificate: _Parsed, algorithm: str) -> str:
    """As in an OCSP request: over the DER encoding of the issuer's name (RFC 6960 section 4.1.1)."""
    return hashlib.new(algorithm, certificate.issuer_name).hexdigest() if algorithm in _ALGORITHMS else ""


def _tell(call: CommandCall, use: str) -> None:
    call.tell(NotificationType.CERTIFICATES_CHANGED, use=use, commandId=call.command.command_id)
