"""The tables of people; :mod:`csms.storage.tables` says what holds for all tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from csms.storage.tables import metadata
from csms.storage.traits import NUMBERED
from csms.storage.types import Id, OrderedText, UtcDateTime


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, Text, nullable=False) for name in names]


def _times(*names: str) -> list[Column[Any]]:
    return [Column(name, UtcDateTime, nullable=False) for name in names]


users = Table(
    "users",
    metadata,
    _id(),
    *_texts("name"),
    Column("name_key", OrderedText, nullable=False),
    *_texts("role", "password_hash"),
    Column("version", BigInteger, nullable=False),
    *_times("created_at"),
    UniqueConstraint("name_key"),
    **NUMBERED,
)

api_tokens = Table(
    "api_tokens",
    metadata,
    _id(),
    *_texts("name", "role", "token_hash"),
    Column("user_id", BigInteger, nullable=False),
    *_times("expires_at", "created_at"),
    *_texts("created_by"),
    UniqueConstraint("token_hash"),
    Index(None, "user_id"),
    **NUMBERED,
)

audit_log = Table(
    "audit_log",
    metadata,
    _id(),
    *_times("at"),
    *_texts("kind", "name", "address", "action"),
    Column("target", OrderedText, nullable=False),
    *_texts("before", "after"),
    Index(None, "at"),
    Index(None, "target"),
    **NUMBERED,
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key_hash", Text, primary_key=True),
    *_texts("request_hash"),
    Column("status", Integer, nullable=False),
    *_texts("headers"),
    Column("body", LargeBinary, nullable=False),
    *_times("created_at"),
    Index(None, "created_at"),
)
