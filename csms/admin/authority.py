"""``csms-admin ca ...``: the built-in certificate authority, and the register of what was signed for chargers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from csms.admin.auditing import note
from csms.admin.output import Answer, CommandError, table
from csms.admin.site import Site, read_input
from csms.authority import Authority, AuthorityError, write_key
from csms.domain.certificate_signing import BadCertificate, csr_objection, describe, issue
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_certificates import IssuedCertificate

_PAGE = 500


async def init(site: Site, arguments: argparse.Namespace) -> Answer:
    """Make the authority."""
    try:
        authority = Authority.create(_directory(site), _operator(site), now=site.now(), with_rsa=arguments.rsa)
    except AuthorityError as error:
        raise CommandError(str(error)) from error
    return _about(site, authority, "made an authority; keep a copy of its directory in a safe place\n")


async def show(site: Site, arguments: argparse.Namespace) -> Answer:
    """Who the authority is."""
    return _about(site, _authority(site), "")


async def sign(site: Site, arguments: argparse.Namespace) -> Answer:
    """Sign a charger's request by hand, after the checks that SignCertificate makes."""
    authority, operator = _authority(site), _operator(site)
    csr = read_input(arguments.csr)
    now = site.now()
    days = arguments.days or site.settings.certificates.days

    def work(uow: UnitOfWork) -> IssuedCertificate:
        charger = uow.chargers.by_device_id(arguments.device_id)
        if charger is None:
            raise CommandError(f"there is no charger {arguments.device_id}")
        name = charger.certificate_name
        why_not = csr_objection(csr, operator=operator, certificate_name=name)
        if why_not:
            raise CommandError(f"the request in {_named(arguments.csr)} is refused: {why_not}")
        chain = authority.sign_charger(csr, operator=operator, name=name, now=now, days=days)
        try:
            certificate = issue(uow, charger, csr, chain, operator=operator, now=now)
        except BadCertificate as error:
            raise CommandError(str(error)) from error
        target = f"issued-certificates/{certificate.serial_number}"
        note(site, uow, "ca sign", target, after={"deviceId": charger.device_id})
        return certificate

    database = await site.database()
    certificate = await database.transact(work, name="sign certificate")
    return _given(certificate.pem, arguments.out, dict(describe(certificate)) | {"certificate": certificate.pem})


async def revoke(site: Site, arguments: argparse.Namespace) -> Answer:
    """Let a certificate open no more."""
    serial_number = arguments.serial.lower().replace(":", "").lstrip("0")
    now = site.now()

    def work(uow: UnitOfWork) -> int:
        found = uow.issued_certificates.by_serial_number(serial_number)
        for certificate in found:
            if certificate.revoked_at is None:
                certificate.revoked_at = now
                certificate.revocation_reason = arguments.reason
                target = f"issued-certificates/{certificate.serial_number}"
                note(site, uow, "ca revoke", target, after={"reason": arguments.reason})
        return len(found)

    database = await site.database()
    if not await database.transact(work, name="revoke certificate"):
        raise CommandError(f"there is no certificate with the serial number {arguments.serial}; see `ca list`")
    return Answer(
        f"revoked {serial_number}; gateways refuse it from its next connection on", {"serialNumber": serial_number}
    )


async def list_all(site: Site, arguments: argparse.Namespace) -> Answer:
    """What was signed for chargers, newest first."""
    database = await site.database()
    rows = []
    before = 0
    while True:

        def work(uow: UnitOfWork, before: int = before) -> Sequence[IssuedCertificate]:
            return uow.issued_certificates.page(before_id=before, limit=_PAGE)

        page = await database.read(work, name="list certificates")
        rows += [describe(certificate) for certificate in page]
        if len(page) < _PAGE:
            return table(rows, "no certificate was signed yet")
        before = page[-1].id


async def revocation_list(site: Site, arguments: argparse.Namespace) -> Answer:
    """The list for whoever else relies on the authority; csms itself asks the register."""
    authority, now = _authority(site), site.now()

    def work(uow: UnitOfWork) -> Sequence[IssuedCertificate]:
        return uow.issued_certificates.all_revoked(valid_at=now)

    database = await site.database()
    issuer = authority.certificate.subject.rfc4514_string()
    revoked = await database.read(work, name="revoked certificates")
    entries = [
        (one.serial_number, one.revoked_at) for one in revoked if one.revoked_at is not None and one.issued_by == issuer
    ]
    pem = authority.revocation_list(entries, now=now, days=arguments.days)
    return _given(pem, arguments.out, {"revoked": len(entries), "list": pem})


async def server(site: Site, arguments: argparse.Namespace) -> Answer:
    """A certificate for a gateway, signed by the authority that chargers are told to trust."""
    authority = _authority(site)
    try:
        certificate, key = authority.make_server(
            arguments.names,
            now=site.now(),
            days=arguments.days or site.settings.certificates.days,
            with_rsa=arguments.rsa,
        )
        files = Path(f"{arguments.out}.pem"), Path(f"{arguments.out}.key")
        write_key(files[1], key)
        files[0].write_text(certificate + authority.pem)
    except (AuthorityError, ValueError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"cannot write {error.filename}: {error.strerror}") from error
    return Answer(
        f"wrote {files[0]} (tls_certificate_file) and {files[1]} (tls_key_file)",
        {"certificateFile": str(files[0]), "keyFile": str(files[1])},
    )


def _directory(site: Site) -> Path:
    directory = site.settings.certificates.ca_directory
    if not directory:
        raise CommandError("where? set [certificates] ca_directory, or give --certificates-ca-directory")
    return Path(directory)


def _operator(site: Site) -> str:
    operator = site.settings.certificates.operator
    if not operator:
        raise CommandError("whose? set [certificates] operator, or give --certificates-operator")
    return operator


def _authority(site: Site) -> Authority:
    try:
        return Authority.load(_directory(site))
    except AuthorityError as error:
        raise CommandError(str(error)) from error


def _about(site: Site, authority: Authority, what: str) -> Answer:
    data = {
        "subject": authority.certificate.subject.rfc4514_string(),
        "sha256": authority.fingerprint,
        "notAfter": authority.certificate.not_valid_after_utc,
        "directory": str(_directory(site)),
    }
    lines = "\n".join(f"{name}: {value}" for name, value in data.items())
    return Answer(f"{what}{lines}\n{authority.pem}".rstrip(), data | {"certificate": authority.pem})


def _given(pem: str, out: str | None, data: dict[str, object]) -> Answer:
    """``pem`` itself, or the file that it was written to."""
    if out is None:
        return Answer(pem.rstrip(), data)
    try:
        Path(out).write_text(pem)
    except OSError as error:
        raise CommandError(f"cannot write {out}: {error.strerror}") from error
    return Answer(f"wrote {out}", data)


def _named(file: str) -> str:
    return "standard input" if file == "-" else file
