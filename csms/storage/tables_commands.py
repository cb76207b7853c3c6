"""The tables of commands to chargers; :mod:`csms.storage.tables` says what holds for all tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Table, Text, UniqueConstraint

from csms.storage.tables import metadata
from csms.storage.traits import NUMBERED, ROOMY, only
from csms.storage.types import Id, OrderedText, UtcDateTime


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, Text, nullable=False) for name in names]


def _numbers(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


def _times(*names: str, nullable: bool = False) -> list[Column[Any]]:
    return [Column(name, UtcDateTime, nullable=nullable) for name in names]


_OPEN = only("state IN ('waiting', 'queued', 'sent')")

commands = Table(
    "commands",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("command_id", OrderedText, nullable=False),
    *_numbers("charger_id"),
    Column("device_id", OrderedText, nullable=False),
    *_texts("ocpp_version", "action", "payload"),
    *_numbers("priority"),
    *_texts("state"),
    Column("kept", Boolean, nullable=False),
    Column("timeout_s", Double, nullable=False),
    *_texts("source", "created_by", "batch_id"),
    *_times("created_at", "expires_at", "look_at"),
    *_times("sent_at", "finished_at", nullable=True),
    *_texts("answer", "fault", "error_code", "error_description"),
    UniqueConstraint("command_id"),
    Index("ix_commands_open", "charger_id", **_OPEN),
    Index("ix_commands_due", "look_at", **_OPEN),
    Index("ix_commands_batch", "batch_id", "state", **only("batch_id <> ''")),
    Index(None, "device_id", "command_id"),
    Index(None, "created_at"),
    **ROOMY,
)

command_batches = Table(
    "command_batches",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("batch_id", OrderedText, nullable=False),
    *_texts("action", "payload"),
    *_numbers("total"),
    *_texts("created_by"),
    *_times("created_at"),
    UniqueConstraint("batch_id"),
    Index(None, "created_at"),
    **NUMBERED,
)
