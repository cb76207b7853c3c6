"""users, API tokens, the log of changes, answers kept for repeated requests

Revision ID: 0005
Revises: 0004
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(sa.String(), "sqlite")
ORDERED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _id() -> sa.Column[Any]:
    return sa.Column("id", ID, nullable=False, autoincrement=True)


def _columns(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def upgrade() -> None:
    op.add_column("browser_sessions", sa.Column("user_id", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("ix_browser_sessions_user_id", "browser_sessions", ["user_id"])
    op.create_table(
        "users",
        _id(),
        *_columns(sa.Text, "name"),
        *_columns(ORDERED, "name_key"),
        *_columns(sa.Text, "role", "password_hash"),
        *_columns(sa.BigInteger, "version"),
        *_columns(TIME, "created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name_key", name="uq_users_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "api_tokens",
        _id(),
        *_columns(sa.Text, "name", "role", "token_hash"),
        *_columns(sa.BigInteger, "user_id"),
        *_columns(TIME, "expires_at", "created_at"),
        *_columns(sa.Text, "created_by"),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_tokens_user_id", "api_tokens", ["user_id"])
    op.create_table(
        "audit_log",
        _id(),
        *_columns(TIME, "at"),
        *_columns(sa.Text, "kind", "name", "address", "action"),
        *_columns(ORDERED, "target"),
        *_columns(sa.Text, "before", "after"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
    op.create_index("ix_audit_log_target", "audit_log", ["target"])
    op.create_table(
        "idempotency_keys",
        *_columns(sa.Text, "key_hash", "request_hash"),
        *_columns(sa.Integer, "status"),
        *_columns(sa.Text, "headers"),
        *_columns(sa.LargeBinary, "body"),
        *_columns(TIME, "created_at"),
        sa.PrimaryKeyConstraint("key_hash", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
