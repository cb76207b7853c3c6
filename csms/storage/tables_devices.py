"""The tables of what was agreed with chargers; :mod:`csms.storage.tables` says what holds for all tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, Table, Text, UniqueConstraint

from csms.storage.tables import metadata
from csms.storage.traits import NUMBERED, only
from csms.storage.types import Id, OrderedText, UtcDateTime


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def _of_charger() -> Column[int]:
    return Column("charger_id", BigInteger, ForeignKey("chargers.id", ondelete="CASCADE"), nullable=False)


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, Text, nullable=False) for name in names]


def _numbers(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


def _optional_numbers(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=True) for name in names]


def _flags(*names: str) -> list[Column[Any]]:
    return [Column(name, Boolean, nullable=False) for name in names]


def _times(*names: str) -> list[Column[Any]]:
    return [Column(name, UtcDateTime, nullable=False) for name in names]


def _optional_times(*names: str) -> list[Column[Any]]:
    return [Column(name, UtcDateTime, nullable=True) for name in names]


configuration_keys = Table(
    "configuration_keys",
    metadata,
    _id(),
    _of_charger(),
    *_texts("key"),
    Column("name_key", OrderedText, nullable=False),
    Column("value", Text, nullable=True),
    *_flags("readonly", "known"),
    *_optional_times("reported_at"),
    Column("wanted", Text, nullable=True),
    *_texts("wanted_status"),
    *_optional_times("wanted_at", "answered_at"),
    *_texts("command_id"),
    UniqueConstraint("charger_id", "name_key"),
    **NUMBERED,
)

local_lists = Table(
    "local_lists",
    metadata,
    _id(),
    _of_charger(),
    *_numbers("version"),
    *_optional_numbers("reported_version"),
    *_optional_times("reported_at"),
    *_texts("last_answer"),
    *_flags("in_step"),
    *_optional_times("updated_at"),
    *_texts("command_id"),
    UniqueConstraint("charger_id"),
    **NUMBERED,
)

local_list_entries = Table(
    "local_list_entries",
    metadata,
    _id(),
    _of_charger(),
    *_texts("id_token"),
    *_numbers("id_token_key"),
    *_texts("status"),
    *_optional_times("expires_at"),
    *_texts("parent"),
    UniqueConstraint("charger_id", "id_token_key"),
    Index(None, "id_token_key"),
    **NUMBERED,
)

reservations = Table(
    "reservations",
    metadata,
    _id(),
    _of_charger(),
    *_numbers("reservation_id", "evse_id"),
    *_texts("id_token", "parent_id_token"),
    *_times("expires_at"),
    *_texts("state", "answer"),
    *_times("made_at"),
    *_optional_times("ended_at"),
    *_optional_numbers("session_id"),
    *_texts("command_id"),
    Index(None, "charger_id"),
    Index("ix_reservations_active", "expires_at", **only("state = 'active'")),
    **NUMBERED,
)

charging_profiles = Table(
    "charging_profiles",
    metadata,
    _id(),
    _of_charger(),
    *_numbers("evse_id", "profile_id", "stack_level"),
    *_texts("purpose", "kind", "recurrency"),
    *_optional_times("valid_from", "valid_to"),
    *_texts("transaction_id", "unit"),
    *_optional_times("start_schedule"),
    *_optional_numbers("duration_s"),
    Column("min_rate", Double),
    *_texts("periods"),
    *_times("set_at"),
    *_texts("command_id"),
    UniqueConstraint("charger_id", "profile_id"),
    **NUMBERED,
)

composite_schedules = Table(
    "composite_schedules",
    metadata,
    _id(),
    _of_charger(),
    *_numbers("evse_id"),
    *_texts("unit"),
    *_times("starts_at"),
    *_numbers("duration_s"),
    *_texts("reported", "expected", "comparison"),
    *_times("reported_at"),
    *_texts("command_id"),
    UniqueConstraint("charger_id", "evse_id"),
    **NUMBERED,
)

jobs = Table(
    "jobs",
    metadata,
    _id(),
    _of_charger(),
    *_texts("kind", "state", "action"),
    *_optional_numbers("request_id"),
    *_texts("location", "log_type", "file_name"),
    *_optional_times("scheduled_for"),
    *_texts("status", "history"),
    *_times("created_at", "updated_at"),
    *_texts("command_id"),
    Index(None, "charger_id"),
    **NUMBERED,
)

installed_certificates = Table(
    "installed_certificates",
    metadata,
    _id(),
    _of_charger(),
    *_texts("use", "hash_algorithm", "issuer_name_hash", "issuer_key_hash", "serial_number", "pem"),
    *_optional_times("installed_at", "reported_at"),
    *_texts("command_id"),
    Index(None, "charger_id"),
    **NUMBERED,
)

wanted_availability = Table(
    "wanted_availability",
    metadata,
    _id(),
    _of_charger(),
    *_numbers("evse_id", "connector_id"),
    *_flags("operative"),
    *_texts("state"),
    *_times("wanted_at"),
    *_optional_times("applied_at"),
    *_texts("command_id"),
    UniqueConstraint("charger_id", "evse_id", "connector_id"),
    **NUMBERED,
)

security_events = Table(
    "security_events",
    metadata,
    _id(),
    *_numbers("charger_id"),
    *_texts("message_id", "type", "tech_info"),
    *_flags("critical"),
    *_times("occurred_at", "received_at"),
    Index(None, "charger_id"),
    **NUMBERED,
)
