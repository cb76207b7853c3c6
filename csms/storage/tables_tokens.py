"""The tables around tokens; :mod:`csms.storage.tables` says what holds for all tables."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text, UniqueConstraint

from csms.storage.tables import metadata
from csms.storage.traits import NUMBERED
from csms.storage.types import Id, OrderedText, UtcDateTime

id_token_groups = Table(
    "id_token_groups",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("name", OrderedText, nullable=False),
    Column("name_key", OrderedText, nullable=False),
    Column("max_sessions", BigInteger),
    Column("note", Text, nullable=False),
    Column("created_at", UtcDateTime),
    UniqueConstraint("name_key"),
    **NUMBERED,
)

unknown_tokens = Table(
    "unknown_tokens",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("charger_id", BigInteger, ForeignKey("chargers.id", ondelete="CASCADE"), nullable=False),
    Column("token_key", OrderedText, nullable=False),
    Column("token", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("sessions", BigInteger, nullable=False),
    UniqueConstraint("charger_id", "token_key"),
    Index(None, "last_seen"),
    **NUMBERED,
)
