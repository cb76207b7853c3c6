"""The register of chargers' certificates, and the requests that wait for one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from csms.domain.repositories_certificates import CertificateRequest, IssuedCertificate, RequestState
from csms.storage.sql import Sql
from csms.storage.tables_certificates import certificate_requests, issued_certificates
from csms.storage.tracking import Shape, Tracked

_certificate = Shape(IssuedCertificate, issued_certificates)
_request = Shape(CertificateRequest, certificate_requests, loaded={"state": RequestState})
_issued = issued_certificates.c
_requests = certificate_requests.c


class SqlIssuedCertificates:
    """Implements :class:`csms.domain.repositories_certificates.IssuedCertificates`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._certificates = Tracked(sql, _certificate)
        self._asked = Tracked(sql, _request)

    def add(self, certificate: IssuedCertificate) -> IssuedCertificate:
        return self._certificates.add(certificate)

    def by_serial_number(self, serial_number: str) -> Sequence[IssuedCertificate]:
        self.flush()
        query = _certificate.query().where(_issued.serial_number == serial_number).order_by(_issued.id)
        return self._certificates.fetch(self._sql.locked(query))

    def page(
        self, *, charger_id: int | None = None, before_id: int = 0, limit: int = 100
    ) -> Sequence[IssuedCertificate]:
        self.flush()
        query = _certificate.query().order_by(_issued.id.desc()).limit(limit)
        if charger_id is not None:
            query = query.where(_issued.charger_id == charger_id)
        if before_id:
            query = query.where(_issued.id < before_id)
        return self._certificates.fetch(query)

    def revoked(self, common_name: str) -> frozenset[str]:
        self.flush()
        named = (_issued.common_name == common_name, _issued.revoked_at.is_not(None))
        return frozenset(row[0] for row in self._sql.rows(select(_issued.fingerprint).where(*named)))

    def all_revoked(self, *, valid_at: datetime) -> Sequence[IssuedCertificate]:
        self.flush()
        query = _certificate.query().where(_issued.revoked_at.is_not(None), _issued.not_after > valid_at)
        return self._certificates.fetch(query.order_by(_issued.id))

    def ask(self, request: CertificateRequest) -> CertificateRequest:
        return self._asked.add(request)

    def waiting(self, charger_id: int) -> Sequence[CertificateRequest]:
        self.flush()
        mine = (_requests.charger_id == charger_id, _requests.state == RequestState.WAITING.value)
        return self._asked.fetch(self._sql.locked(_request.query().where(*mine).order_by(_requests.id)))

    def request(self, request_id: int) -> CertificateRequest | None:
        known = self._asked.get(request_id)
        if known is None:
            found = self._asked.fetch(self._sql.locked(_request.query().where(_requests.id == request_id)))
            known = found[0] if found else None
        return known

    def take_due(self, now: datetime, *, until: datetime, limit: int) -> Sequence[CertificateRequest]:
        self.flush()
        due = (_requests.state == RequestState.WAITING.value, _requests.due_at <= now)
        query = _request.query().where(*due).order_by(_requests.due_at, _requests.id).limit(limit)
        taken = self._asked.fetch(query.with_for_update(skip_locked=True))
        for request in taken:
            request.due_at = until
        return taken

    def flush(self) -> None:
        """Write what is new and what changed."""
        self._certificates.flush()
        self._asked.flush()
