"""The table of what chargers do against the schema; :mod:`csms.storage.tables` says what holds for all tables."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, PrimaryKeyConstraint, Table, Text

from csms.storage.tables import metadata
from csms.storage.types import UtcDateTime

deviations = Table(
    "deviations",
    metadata,
    Column("charger_id", BigInteger, ForeignKey("chargers.id", ondelete="CASCADE"), nullable=False),
    Column("deviation_key", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("example", Text, nullable=False),
    PrimaryKeyConstraint("charger_id", "deviation_key"),
)
