"""commands to chargers

Revision ID: 0002
Revises: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(sa.String(), "sqlite")
ORDERED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = "state IN ('waiting', 'queued', 'sent')"


def _columns(kind: Any, *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _index(name: str, columns: list[str], *, where: str = "") -> None:
    condition = sa.text(where) if where else None
    op.create_index(name, "commands", columns, postgresql_where=condition, sqlite_where=condition)


def upgrade() -> None:
    op.add_column("outbox", sa.Column("exchange", sa.Text, nullable=False, server_default="events_exchange"))
    op.create_table(
        "commands",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        *_columns(ORDERED, "command_id"),
        *_columns(sa.BigInteger, "charger_id"),
        *_columns(ORDERED, "device_id"),
        *_columns(sa.Text, "ocpp_version", "action", "payload"),
        *_columns(sa.BigInteger, "priority"),
        *_columns(sa.Text, "state"),
        *_columns(sa.Boolean, "kept"),
        *_columns(sa.Double, "timeout_s"),
        *_columns(sa.Text, "source", "created_by", "batch_id"),
        *_columns(TIME, "created_at", "expires_at", "look_at"),
        *_columns(TIME, "sent_at", "finished_at", nullable=True),
        *_columns(sa.Text, "answer", "fault", "error_code", "error_description"),
        sa.PrimaryKeyConstraint("id", name="pk_commands"),
        sa.UniqueConstraint("command_id", name="uq_commands_command_id"),
        postgresql_with={"fillfactor": "70"},
        sqlite_autoincrement=True,
    )
    _index("ix_commands_open", ["charger_id"], where=OPEN)
    _index("ix_commands_due", ["look_at"], where=OPEN)
    _index("ix_commands_batch", ["batch_id", "state"], where="batch_id <> ''")
    _index("ix_commands_device_id_command_id", ["device_id", "command_id"])
    _index("ix_commands_created_at", ["created_at"])
    op.create_table(
        "command_batches",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        *_columns(ORDERED, "batch_id"),
        *_columns(sa.Text, "action", "payload"),
        *_columns(sa.BigInteger, "total"),
        *_columns(sa.Text, "created_by"),
        *_columns(TIME, "created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_command_batches"),
        sa.UniqueConstraint("batch_id", name="uq_command_batches_batch_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_command_batches_created_at", "command_batches", ["created_at"])
