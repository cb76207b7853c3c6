"""what was agreed with chargers

Revision ID: 0003
Revises: 0002
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(sa.String(), "sqlite")
ORDERED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _columns(kind: Any, names: tuple[str, ...], *, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _texts(*names: str) -> list[sa.Column[Any]]:
    return _columns(sa.Text, names)


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return _columns(sa.BigInteger, names)


def _optional_numbers(*names: str) -> list[sa.Column[Any]]:
    return _columns(sa.BigInteger, names, nullable=True)


def _times(*names: str) -> list[sa.Column[Any]]:
    return _columns(TIME, names)


def _optional_times(*names: str) -> list[sa.Column[Any]]:
    return _columns(TIME, names, nullable=True)


def _table(name: str, *columns: Any, unique: tuple[str, ...] = (), of_charger: bool = True) -> None:
    constraints: list[Any] = [sa.PrimaryKeyConstraint("id", name=f"pk_{name}")]
    if of_charger:
        key = f"fk_{name}_charger_id"
        constraints.append(sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=key, ondelete="CASCADE"))
    if unique:
        constraints.append(sa.UniqueConstraint(*unique, name=f"uq_{name}_{'_'.join(unique)}"))
    op.create_table(
        name,
        sa.Column("id", ID, nullable=False, autoincrement=True),
        sa.Column("charger_id", sa.BigInteger, nullable=False),
        *columns,
        *constraints,
        sqlite_autoincrement=True,
    )
    if not unique:
        op.create_index(f"ix_{name}_charger_id", name, ["charger_id"])


def upgrade() -> None:
    _table(
        "configuration_keys",
        *_texts("key"),
        sa.Column("name_key", ORDERED, nullable=False),
        sa.Column("value", sa.Text, nullable=True),
        *_columns(sa.Boolean, ("readonly", "known")),
        *_optional_times("reported_at"),
        sa.Column("wanted", sa.Text, nullable=True),
        *_texts("wanted_status"),
        *_optional_times("wanted_at", "answered_at"),
        *_texts("command_id"),
        unique=("charger_id", "name_key"),
    )
    _lists()
    _reservations()
    _profiles()
    _table(
        "jobs",
        *_texts("kind", "state", "action"),
        *_optional_numbers("request_id"),
        *_texts("location", "log_type", "file_name"),
        *_optional_times("scheduled_for"),
        *_texts("status", "history"),
        *_times("created_at", "updated_at"),
        *_texts("command_id"),
    )
    _table(
        "installed_certificates",
        *_texts("use", "hash_algorithm", "issuer_name_hash", "issuer_key_hash", "serial_number", "pem"),
        *_optional_times("installed_at", "reported_at"),
        *_texts("command_id"),
    )
    _table(
        "wanted_availability",
        *_numbers("evse_id", "connector_id"),
        *_columns(sa.Boolean, ("operative",)),
        *_texts("state"),
        *_times("wanted_at"),
        *_optional_times("applied_at"),
        *_texts("command_id"),
        unique=("charger_id", "evse_id", "connector_id"),
    )
    _table(
        "security_events",
        *_texts("message_id", "type", "tech_info"),
        *_columns(sa.Boolean, ("critical",)),
        *_times("occurred_at", "received_at"),
        of_charger=False,
    )


def _lists() -> None:
    _table(
        "local_lists",
        *_numbers("version"),
        *_optional_numbers("reported_version"),
        *_optional_times("reported_at"),
        *_texts("last_answer"),
        *_columns(sa.Boolean, ("in_step",)),
        *_optional_times("updated_at"),
        *_texts("command_id"),
        unique=("charger_id",),
    )
    _table(
        "local_list_entries",
        *_texts("id_token"),
        *_numbers("id_token_key"),
        *_texts("status"),
        *_optional_times("expires_at"),
        *_texts("parent"),
        unique=("charger_id", "id_token_key"),
    )
    op.create_index("ix_local_list_entries_id_token_key", "local_list_entries", ["id_token_key"])


def _reservations() -> None:
    _table(
        "reservations",
        *_numbers("reservation_id", "evse_id"),
        *_texts("id_token", "parent_id_token"),
        *_times("expires_at"),
        *_texts("state", "answer"),
        *_times("made_at"),
        *_optional_times("ended_at"),
        *_optional_numbers("session_id"),
        *_texts("command_id"),
    )
    active = sa.text("state = 'active'")
    op.create_index(
        "ix_reservations_active", "reservations", ["expires_at"], postgresql_where=active, sqlite_where=active
    )


def _profiles() -> None:
    _table(
        "charging_profiles",
        *_numbers("evse_id", "profile_id", "stack_level"),
        *_texts("purpose", "kind", "recurrency"),
        *_optional_times("valid_from", "valid_to"),
        *_texts("transaction_id", "unit"),
        *_optional_times("start_schedule"),
        *_optional_numbers("duration_s"),
        sa.Column("min_rate", sa.Double, nullable=True),
        *_texts("periods"),
        *_times("set_at"),
        *_texts("command_id"),
        unique=("charger_id", "profile_id"),
    )
    _table(
        "composite_schedules",
        *_numbers("evse_id"),
        *_texts("unit"),
        *_times("starts_at"),
        *_numbers("duration_s"),
        *_texts("reported", "expected", "comparison"),
        *_times("reported_at"),
        *_texts("command_id"),
        unique=("charger_id", "evse_id"),
    )
