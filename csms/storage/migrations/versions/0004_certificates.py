"""security profiles, new passwords and certificates of chargers

Revision ID: 0004
Revises: 0003
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(sa.String(), "sqlite")
ORDERED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _columns(kind: Any, *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def upgrade() -> None:
    for name in ("next_passwords", "certificate_name"):
        op.add_column("chargers", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.add_column("chargers", sa.Column("security_profile", sa.BigInteger, nullable=False, server_default="0"))
    _index("ix_chargers_certificate_name", "chargers", "certificate_name", where="certificate_name <> ''", unique=True)
    op.create_table(
        "issued_certificates",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        *_columns(sa.BigInteger, "charger_id"),
        *_columns(ORDERED, "fingerprint", "serial_number"),
        *_columns(sa.Text, "device_id", "common_name", "issued_by", "pem"),
        *_columns(TIME, "not_before", "not_after", "issued_at"),
        *_columns(TIME, "revoked_at", nullable=True),
        *_columns(sa.Text, "revocation_reason"),
        sa.PrimaryKeyConstraint("id", name="pk_issued_certificates"),
        sa.UniqueConstraint("fingerprint", name="uq_issued_certificates_fingerprint"),
        sqlite_autoincrement=True,
    )
    _index("ix_issued_certificates_charger_id", "issued_certificates", "charger_id")
    _index("ix_issued_certificates_common_name", "issued_certificates", "common_name")
    _index("ix_issued_certificates_serial_number", "issued_certificates", "serial_number")
    op.create_table(
        "certificate_requests",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        *_columns(sa.BigInteger, "charger_id"),
        *_columns(sa.Text, "csr", "certificate_type", "state", "error"),
        *_columns(sa.BigInteger, "attempts"),
        *_columns(TIME, "received_at", "due_at"),
        *_columns(TIME, "finished_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_certificate_requests"),
        sqlite_autoincrement=True,
    )
    _index("ix_certificate_requests_due", "certificate_requests", "due_at", where="state = 'waiting'")


def _index(name: str, table: str, column: str, *, where: str = "", unique: bool = False) -> None:
    condition = sa.text(where) if where else None
    op.create_index(name, table, [column], unique=unique, postgresql_where=condition, sqlite_where=condition)
