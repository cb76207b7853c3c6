"""groups of tokens, unknown tokens, deviations of odd chargers

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(sa.String(), "sqlite")
ORDERED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _sessions()
    _groups()
    _unknown_tokens()
    _deviations()


def _sessions() -> None:
    op.add_column("charging_sessions", sa.Column("stop_key", sa.Text, nullable=False, server_default=""))
    op.add_column("charging_sessions", sa.Column("stop_key_digest", sa.BigInteger, nullable=True))
    op.add_column("charging_sessions", sa.Column("group_key", sa.BigInteger, nullable=True))
    _session_index("ix_charging_sessions_active_group", ["group_key"], "state = 'active' AND group_key IS NOT NULL")
    _session_index("ix_charging_sessions_stop", ["charger_id", "stop_key_digest"], "stop_key_digest IS NOT NULL")


def _groups() -> None:
    op.create_table(
        "id_token_groups",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        sa.Column("name", ORDERED, nullable=False),
        sa.Column("name_key", ORDERED, nullable=False),
        sa.Column("max_sessions", sa.BigInteger, nullable=True),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_id_token_groups"),
        sa.UniqueConstraint("name_key", name="uq_id_token_groups_name_key"),
        sqlite_autoincrement=True,
    )


def _unknown_tokens() -> None:
    op.create_table(
        "unknown_tokens",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        sa.Column("charger_id", sa.BigInteger, nullable=False),
        sa.Column("token_key", ORDERED, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("first_seen", TIME, nullable=False),
        sa.Column("last_seen", TIME, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("sessions", sa.BigInteger, nullable=False),
        _of_charger("unknown_tokens"),
        sa.PrimaryKeyConstraint("id", name="pk_unknown_tokens"),
        sa.UniqueConstraint("charger_id", "token_key", name="uq_unknown_tokens_charger_id_token_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_unknown_tokens_last_seen", "unknown_tokens", ["last_seen"])


def _deviations() -> None:
    op.create_table(
        "deviations",
        sa.Column("charger_id", sa.BigInteger, nullable=False),
        sa.Column("deviation_key", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("first_seen", TIME, nullable=False),
        sa.Column("last_seen", TIME, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("example", sa.Text, nullable=False),
        _of_charger("deviations"),
        sa.PrimaryKeyConstraint("charger_id", "deviation_key", name="pk_deviations"),
    )


def _of_charger(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["charger_id"], ["chargers.id"], ondelete="CASCADE", name=f"fk_{table}_charger_id_chargers"
    )


def _session_index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "charging_sessions", columns, postgresql_where=where, sqlite_where=where)
