"""The register of certificates that were signed for chargers."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from csms.api.operations import Call, Operation
from csms.api.parameters import NO_NUL, Body, Id, Paged
from csms.api.resources.auditing import note
from csms.api.resources.reading import not_found, read
from csms.api.views import Page, fields_of
from csms.api.views_devices import IssuedCertificateView, Records
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork
from csms.domain.repositories_certificates import IssuedCertificate

Reason = Annotated[str, Meta(max_length=100, pattern=NO_NUL)]


class IssuedCertificateQuery(Paged, frozen=True):
    """Which certificates."""

    charger_id: Id | None = None
    before: Id | None = None


class Revocation(Body, frozen=True):
    """Why the certificate is to open no more."""

    reason: Reason = ""


async def list_issued_certificates(call: Call[IssuedCertificateQuery, None]) -> Page[IssuedCertificateView]:
    """Newest first."""
    query = call.query

    def look(uow: UnitOfWork) -> Page[IssuedCertificateView]:
        found = uow.issued_certificates.page(
            charger_id=query.charger_id, before_id=query.before or 0, limit=query.limit + 1
        )
        page = found[: query.limit]
        return Page(items=[_view(one) for one in page], next=page[-1].id if len(found) > query.limit else None)

    return await read(call, "list issued certificates", look)


async def revoke_certificate(call: Call[Any, Revocation]) -> Records[IssuedCertificateView]:
    """Lets a certificate open no more; one that is revoked stays as it was revoked first."""
    serial_number = call.path["serialNumber"].lower().replace(":", "").lstrip("0")
    now, reason = call.services.now(), call.body.reason

    def revoke(uow: UnitOfWork) -> Records[IssuedCertificateView]:
        found = uow.issued_certificates.by_serial_number(serial_number)
        if not found:
            raise not_found()
        for certificate in found:
            if certificate.revoked_at is None:
                before = _view(certificate)
                certificate.revoked_at, certificate.revocation_reason = now, reason
                target = f"issued-certificates/{certificate.serial_number}"
                note(call, uow, target, before=before, after=_view(certificate))
        return Records([_view(one) for one in found])

    return await call.services.database.transact(revoke, name="revoke certificate")


def _view(certificate: IssuedCertificate) -> IssuedCertificateView:
    return IssuedCertificateView(**fields_of(IssuedCertificateView, certificate))


OPERATIONS = (
    Operation(
        name="listIssuedCertificates",
        method="GET",
        path="/api/v1/issued-certificates",
        tag="certificates",
        summary="Certificates that were signed for chargers, newest first",
        role=Role.VIEWER,
        run=list_issued_certificates,
        query=IssuedCertificateQuery,
        answer=Page[IssuedCertificateView],
    ),
    Operation(
        name="revokeCertificate",
        method="POST",
        path="/api/v1/issued-certificates/{serialNumber}/revoke",
        tag="certificates",
        summary="Let the certificates of this serial number open no more, from their next connection on",
        role=Role.ADMIN,
        run=revoke_certificate,
        body=Revocation,
        answer=Records[IssuedCertificateView],
    ),
)
