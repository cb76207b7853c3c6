"""the first tables

Revision ID: 0001
Revises:
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(sa.String(), "sqlite")
ORDERED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_ROOM: dict[str, Any] = {"postgresql_with": {"fillfactor": "70"}, "sqlite_autoincrement": True}


def _columns(kind: Any, names: tuple[str, ...], *, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _texts(*names: str) -> list[sa.Column[Any]]:
    return _columns(sa.Text, names)


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return _columns(sa.BigInteger, names)


def _times(*names: str) -> list[sa.Column[Any]]:
    return _columns(TIME, names)


def _optional_times(*names: str) -> list[sa.Column[Any]]:
    return _columns(TIME, names, nullable=True)


def _floats(*names: str) -> list[sa.Column[Any]]:
    return _columns(sa.Double, names)


def _optional_floats(*names: str) -> list[sa.Column[Any]]:
    return _columns(sa.Double, names, nullable=True)


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def _of_charger(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=f"fk_{table}_charger_id", ondelete="CASCADE")


def _index(name: str, table: str, columns: list[str], *, where: str = "") -> None:
    condition = sa.text(where) if where else None
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)


def upgrade() -> None:
    _cluster()
    _chargers()
    _sessions()
    _history()
    _events()
    _access()
    if op.get_bind().dialect.name == "postgresql":
        for table in ("meter_values", "charger_data"):
            op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")


def _cluster() -> None:
    op.create_table(
        "installation",
        sa.Column("name", ORDERED, nullable=False),
        *_texts("value"),
        _primary("installation", "name"),
    )
    op.create_table(
        "shards",
        sa.Column("shard", sa.Integer, nullable=False, autoincrement=False),
        *_numbers("epoch"),
        _primary("shards", "shard"),
    )
    op.create_table(
        "gateways",
        sa.Column("name", ORDERED, nullable=False),
        *_times("started_at", "seen_at"),
        _primary("gateways", "name"),
    )


def _chargers() -> None:
    op.create_table(
        "chargers",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        sa.Column("device_id", ORDERED, nullable=False),
        *_texts("registration", "ocpp_version", "vendor", "model", "serial_number", "firmware_version"),
        *_texts("iccid", "imsi", "password_hash"),
        sa.Column("connected", sa.Boolean, nullable=False),
        *_texts("connection_id", "gateway"),
        *_optional_times("connected_at", "disconnected_at", "last_seen_at", "booted_at"),
        *_texts("boot_reason", "firmware_status", "diagnostics_status"),
        *_optional_times("created_at"),
        _primary("chargers", "id"),
        _unique("chargers", "device_id"),
        **_ROOM,
    )
    _index("ix_chargers_gateway", "chargers", ["gateway"])
    op.create_table(
        "connectors",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        sa.Column("charger_id", sa.BigInteger, nullable=False),
        *_numbers("evse_id", "connector_id"),
        *_texts("status", "error_code", "info", "vendor_id", "vendor_error_code"),
        *_optional_times("status_at", "received_at"),
        _of_charger("connectors"),
        _primary("connectors", "id"),
        _unique("connectors", "charger_id", "evse_id", "connector_id"),
        **_ROOM,
    )
    op.create_table(
        "reported_variables",
        sa.Column("charger_id", sa.BigInteger, nullable=False),
        *_numbers("variable_key"),
        *_texts("component", "component_instance"),
        *_numbers("evse_id", "connector_id"),
        *_texts("variable", "variable_instance", "attribute", "value", "mutability", "data_type", "unit"),
        *_times("reported_at"),
        _of_charger("reported_variables"),
        _primary("reported_variables", "charger_id", "variable_key"),
    )
    op.create_table(
        "id_tokens",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        sa.Column("token", ORDERED, nullable=False),
        sa.Column("token_key", ORDERED, nullable=False),
        *_texts("type"),
        sa.Column("blocked", sa.Boolean, nullable=False),
        *_optional_times("expires_at"),
        *_texts("group"),
        sa.Column("max_sessions", sa.BigInteger, nullable=True),
        *_texts("note"),
        *_optional_times("created_at"),
        _primary("id_tokens", "id"),
        _unique("id_tokens", "token_key"),
        sqlite_autoincrement=True,
    )


def _sessions() -> None:
    op.create_table(
        "charging_sessions",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        *_numbers("charger_id"),
        sa.Column("transaction_id", sa.Text, nullable=True),
        sa.Column("transaction_key", sa.BigInteger, nullable=True),
        *_texts("start_key"),
        *_numbers("start_key_digest"),
        *_texts("reported_transaction_id", "ocpp_version", "state", "charging_state"),
        *_numbers("evse_id", "connector_id"),
        *_texts("id_token", "id_token_type"),
        *_numbers("id_token_key"),
        *_texts("group_id_token", "authorization_status", "stop_id_token"),
        *_times("started_at", "start_received_at"),
        *_optional_times("stopped_at", "stop_received_at"),
        *_texts("stop_reason"),
        *_optional_floats("meter_start_wh", "meter_stop_wh", "meter_last_wh"),
        *_optional_times("meter_last_at"),
        *_floats("energy_wh"),
        *_optional_floats("power_w", "soc_percent"),
        sa.Column("remote_start_id", sa.BigInteger, nullable=True),
        sa.Column("reservation_id", sa.BigInteger, nullable=True),
        sa.Column("last_seq_no", sa.BigInteger, nullable=True),
        *_texts("flags"),
        _primary("charging_sessions", "id"),
        _unique("charging_sessions", "charger_id", "start_key_digest"),
        _unique("charging_sessions", "charger_id", "transaction_key"),
        **_ROOM,
    )
    _index("ix_charging_sessions_active", "charging_sessions", ["charger_id"], where="state = 'active'")
    _index("ix_charging_sessions_active_token", "charging_sessions", ["id_token_key"], where="state = 'active'")
    op.create_table(
        "transaction_events",
        *_numbers("charger_id", "transaction_key", "seq_no"),
        *_texts("transaction_id", "event_type", "trigger_reason"),
        *_times("occurred_at"),
        sa.Column("offline", sa.Boolean, nullable=False),
        *_times("recorded_at"),
        _primary("transaction_events", "charger_id", "transaction_key", "seq_no"),
    )
    _index("ix_transaction_events_recorded_at", "transaction_events", ["recorded_at"])
    op.create_table(
        "session_summaries",
        sa.Column("session_id", sa.BigInteger, nullable=False, autoincrement=False),
        *_numbers("charger_id"),
        *_texts("device_id", "id_token"),
        *_times("started_at", "stopped_at"),
        *_floats("duration_s", "energy_wh", "average_power_w"),
        *_optional_floats("peak_power_w"),
        *_texts("stop_reason"),
        _primary("session_summaries", "session_id"),
    )


def _history() -> None:
    op.create_table(
        "meter_values",
        *_numbers("charger_id"),
        *_times("sampled_at"),
        *_numbers("series_key", "session_id", "evse_id", "connector_id"),
        *_times("received_at"),
        *_texts("measurand", "phase", "context", "location"),
        *_optional_floats("value"),
        *_texts("unit", "raw_value"),
        _unique("meter_values", "charger_id", "sampled_at", "series_key"),
        postgresql_partition_by="RANGE (sampled_at)",
    )
    _index("ix_meter_values_session", "meter_values", ["session_id", "sampled_at"], where="session_id <> 0")
    op.create_table(
        "charger_data",
        *_numbers("charger_id"),
        *_times("received_at"),
        *_texts("message_id", "connection_id", "unique_id", "action", "ocpp_version", "gateway"),
        *_texts("raw", "answer", "error"),
        _unique("charger_data", "charger_id", "received_at", "message_id"),
        postgresql_partition_by="RANGE (received_at)",
    )


def _events() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        *_texts("event_id", "routing_key", "body"),
        *_times("taken_at"),
        _primary("outbox", "id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "consumed_events",
        *_texts("consumer", "event_id"),
        *_times("consumed_at"),
        _primary("consumed_events", "consumer", "event_id"),
    )
    _index("ix_consumed_events_consumed_at", "consumed_events", ["consumed_at"])
    op.create_table(
        "hourly_use",
        *_numbers("charger_id"),
        *_times("hour"),
        *_floats("energy_wh"),
        *_numbers("sessions_started", "sessions_ended"),
        *_floats("charging_s"),
        _primary("hourly_use", "charger_id", "hour"),
    )
    _index("ix_hourly_use_hour", "hourly_use", ["hour"])
    op.create_table(
        "session_registers",
        sa.Column("session_id", sa.BigInteger, nullable=False, autoincrement=False),
        *_floats("energy_wh"),
        *_times("at"),
        _primary("session_registers", "session_id"),
    )
    _index("ix_session_registers_at", "session_registers", ["at"])
    op.create_table(
        "dead_letters",
        sa.Column("id", ID, nullable=False, autoincrement=True),
        *_texts("message_id", "type", "headers", "reply_to", "correlation_id"),
        *_optional_floats("expiration_s"),
        *_optional_times("timestamp"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        *_texts("exchange", "routing_key", "queue", "reason"),
        *_times("died_at"),
        *_optional_times("replay_requested_at"),
        _primary("dead_letters", "id"),
        sqlite_autoincrement=True,
    )


def _access() -> None:
    op.create_table(
        "sign_in_links",
        *_texts("token_hash"),
        *_times("expires_at"),
        _primary("sign_in_links", "token_hash"),
    )
    op.create_table(
        "browser_sessions",
        *_texts("token_hash"),
        *_times("created_at", "expires_at"),
        _primary("browser_sessions", "token_hash"),
    )
