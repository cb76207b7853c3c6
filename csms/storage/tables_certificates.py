"""The tables of chargers' certificates; :mod:`csms.storage.tables` says what holds for all tables."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text, UniqueConstraint

from csms.storage.tables import metadata
from csms.storage.traits import NUMBERED, only
from csms.storage.types import Id, OrderedText, UtcDateTime

issued_certificates = Table(
    "issued_certificates",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    # No foreign key: what was revoked stays so when its charger is removed.
    Column("charger_id", BigInteger, nullable=False, index=True),
    *(Column(name, OrderedText, nullable=False) for name in ("fingerprint", "serial_number")),
    *(Column(name, Text, nullable=False) for name in ("device_id", "common_name", "issued_by", "pem")),
    *(Column(name, UtcDateTime, nullable=False) for name in ("not_before", "not_after", "issued_at")),
    Column("revoked_at", UtcDateTime, nullable=True),
    Column("revocation_reason", Text, nullable=False),
    UniqueConstraint("fingerprint"),
    Index(None, "common_name"),
    Index(None, "serial_number"),
    **NUMBERED,
)

certificate_requests = Table(
    "certificate_requests",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("charger_id", BigInteger, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("csr", "certificate_type", "state", "error")),
    Column("attempts", BigInteger, nullable=False),
    *(Column(name, UtcDateTime, nullable=False) for name in ("received_at", "due_at")),
    Column("finished_at", UtcDateTime, nullable=True),
    Index("ix_certificate_requests_due", "due_at", **only("state = 'waiting'")),
    **NUMBERED,
)
