"""The tables, as the code sees them. The migrations make them; a test compares the two.

Text has no length limit: chargers send what they like, and nothing is cut. Columns that end in ``_key`` hold digests
(see :mod:`csms.storage.keys`) or folded text for comparison, and are written by the storage only. Integers that come
out of payloads are 64 bits wide.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from csms.storage.traits import NUMBERED, ROOMY, by_month, only
from csms.storage.types import Id, OrderedText, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, Text, nullable=False) for name in names]


def _times(*names: str) -> list[Column[Any]]:
    return [Column(name, UtcDateTime, nullable=True) for name in names]


def _number(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False)


def _time(name: str) -> Column[Any]:
    return Column(name, UtcDateTime, nullable=False)


installation = Table(
    "installation",
    metadata,
    Column("name", OrderedText, primary_key=True),
    *_texts("value"),
)

shards = Table(
    "shards",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    _number("epoch"),
)

gateways = Table(
    "gateways",
    metadata,
    Column("name", OrderedText, primary_key=True),
    _time("started_at"),
    _time("seen_at"),
)

chargers = Table(
    "chargers",
    metadata,
    _id(),
    Column("device_id", OrderedText, nullable=False),
    *_texts("registration", "ocpp_version", "vendor", "model", "serial_number", "firmware_version", "iccid", "imsi"),
    *_texts("password_hash", "next_passwords"),
    _number("security_profile"),
    *_texts("certificate_name"),
    Column("connected", Boolean, nullable=False),
    *_texts("connection_id", "gateway"),
    *_times("connected_at", "disconnected_at", "last_seen_at", "booted_at"),
    *_texts("boot_reason", "firmware_status", "diagnostics_status"),
    *_times("created_at"),
    UniqueConstraint("device_id"),
    Index(None, "gateway"),
    Index("ix_chargers_certificate_name", "certificate_name", unique=True, **only("certificate_name <> ''")),
    **ROOMY,
)

connectors = Table(
    "connectors",
    metadata,
    _id(),
    Column("charger_id", BigInteger, ForeignKey("chargers.id", ondelete="CASCADE"), nullable=False),
    _number("evse_id"),
    _number("connector_id"),
    *_texts("status", "error_code", "info", "vendor_id", "vendor_error_code"),
    *_times("status_at", "received_at"),
    UniqueConstraint("charger_id", "evse_id", "connector_id"),
    **ROOMY,
)

reported_variables = Table(
    "reported_variables",
    metadata,
    Column("charger_id", BigInteger, ForeignKey("chargers.id", ondelete="CASCADE"), nullable=False),
    _number("variable_key"),
    *_texts("component", "component_instance"),
    _number("evse_id"),
    _number("connector_id"),
    *_texts("variable", "variable_instance", "attribute", "value", "mutability", "data_type", "unit"),
    _time("reported_at"),
    PrimaryKeyConstraint("charger_id", "variable_key"),
)

charging_sessions = Table(
    "charging_sessions",
    metadata,
    _id(),
    _number("charger_id"),
    Column("transaction_id", Text, nullable=True),
    Column("transaction_key", BigInteger, nullable=True),
    Column("start_key", Text, nullable=False),
    _number("start_key_digest"),
    Column("stop_key", Text, nullable=False, server_default=""),
    Column("stop_key_digest", BigInteger),
    *_texts("reported_transaction_id", "ocpp_version", "state", "charging_state"),
    _number("evse_id"),
    _number("connector_id"),
    *_texts("id_token", "id_token_type"),
    _number("id_token_key"),
    *_texts("group_id_token", "authorization_status", "stop_id_token"),
    Column("group_key", BigInteger),
    _time("started_at"),
    _time("start_received_at"),
    *_times("stopped_at", "stop_received_at"),
    *_texts("stop_reason"),
    Column("meter_start_wh", Double),
    Column("meter_stop_wh", Double),
    Column("meter_last_wh", Double),
    *_times("meter_last_at"),
    Column("energy_wh", Double, nullable=False),
    Column("power_w", Double),
    Column("soc_percent", Double),
    Column("remote_start_id", BigInteger),
    Column("reservation_id", BigInteger),
    Column("last_seq_no", BigInteger),
    *_texts("flags"),
    UniqueConstraint("charger_id", "transaction_key"),
    UniqueConstraint("charger_id", "start_key_digest"),
    Index("ix_charging_sessions_charger", "charger_id", "id"),
    Index("ix_charging_sessions_token", "id_token_key", "id"),
    Index("ix_charging_sessions_active", "charger_id", **only("state = 'active'")),
    Index("ix_charging_sessions_active_token", "id_token_key", **only("state = 'active'")),
    Index("ix_charging_sessions_active_group", "group_key", **only("state = 'active' AND group_key IS NOT NULL")),
    Index("ix_charging_sessions_stop", "charger_id", "stop_key_digest", **only("stop_key_digest IS NOT NULL")),
    **ROOMY,
)

transaction_events = Table(
    "transaction_events",
    metadata,
    _number("charger_id"),
    _number("transaction_key"),
    _number("seq_no"),
    *_texts("transaction_id", "event_type", "trigger_reason"),
    _time("occurred_at"),
    Column("offline", Boolean, nullable=False),
    _time("recorded_at"),
    PrimaryKeyConstraint("charger_id", "transaction_key", "seq_no"),
    Index(None, "recorded_at"),
)

session_summaries = Table(
    "session_summaries",
    metadata,
    Column("session_id", BigInteger, primary_key=True, autoincrement=False),
    _number("charger_id"),
    *_texts("device_id", "id_token"),
    _time("started_at"),
    _time("stopped_at"),
    Column("duration_s", Double, nullable=False),
    Column("energy_wh", Double, nullable=False),
    Column("average_power_w", Double, nullable=False),
    Column("peak_power_w", Double),
    *_texts("stop_reason"),
)

meter_values = Table(
    "meter_values",
    metadata,
    _number("charger_id"),
    _time("sampled_at"),
    _number("series_key"),
    _number("session_id"),
    _number("evse_id"),
    _number("connector_id"),
    _time("received_at"),
    *_texts("measurand", "phase", "context", "location"),
    Column("value", Double),
    *_texts("unit", "raw_value"),
    UniqueConstraint("charger_id", "sampled_at", "series_key"),
    Index("ix_meter_values_session", "session_id", "sampled_at", **only("session_id <> 0")),
    **by_month("sampled_at"),
)

charger_data = Table(
    "charger_data",
    metadata,
    _number("charger_id"),
    _time("received_at"),
    *_texts("message_id", "connection_id", "unique_id", "action", "ocpp_version", "gateway", "raw", "answer", "error"),
    UniqueConstraint("charger_id", "received_at", "message_id"),
    **by_month("received_at"),
)

id_tokens = Table(
    "id_tokens",
    metadata,
    _id(),
    Column("token", OrderedText, nullable=False),
    Column("token_key", OrderedText, nullable=False),
    *_texts("type"),
    Column("blocked", Boolean, nullable=False),
    *_times("expires_at"),
    Column("group", Text, nullable=False),
    Column("max_sessions", BigInteger),
    *_texts("note"),
    *_times("created_at"),
    UniqueConstraint("token_key"),
    **NUMBERED,
)

outbox = Table(
    "outbox",
    metadata,
    _id(),
    Column("exchange", Text, nullable=False, server_default="events_exchange"),
    *_texts("event_id", "routing_key", "body"),
    _time("taken_at"),
    Column("shard", Integer, nullable=True),
    **NUMBERED,
)

consumed_events = Table(
    "consumed_events",
    metadata,
    Column("consumer", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    _time("consumed_at"),
    PrimaryKeyConstraint("consumer", "event_id"),
    Index(None, "consumed_at"),
)

hourly_use = Table(
    "hourly_use",
    metadata,
    _number("charger_id"),
    _time("hour"),
    Column("energy_wh", Double, nullable=False),
    _number("sessions_started"),
    _number("sessions_ended"),
    Column("charging_s", Double, nullable=False),
    PrimaryKeyConstraint("charger_id", "hour"),
    Index(None, "hour"),
)

session_registers = Table(
    "session_registers",
    metadata,
    Column("session_id", BigInteger, primary_key=True, autoincrement=False),
    Column("energy_wh", Double, nullable=False),
    _time("at"),
    Index(None, "at"),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("token_hash", Text, primary_key=True),
    _time("expires_at"),
)

browser_sessions = Table(
    "browser_sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    _time("created_at"),
    _time("expires_at"),
    _number("user_id"),
    Index(None, "user_id"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    _id(),
    *_texts("message_id", "type", "headers", "reply_to", "correlation_id"),
    Column("expiration_s", Double),
    *_times("timestamp"),
    Column("body", LargeBinary, nullable=False),
    *_texts("exchange", "routing_key", "queue", "reason"),
    _time("died_at"),
    *_times("replay_requested_at"),
    **NUMBERED,
)
