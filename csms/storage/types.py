"""Column types that mean the same in SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import String, TypeDecorator, TypeEngine


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, handed out in UTC. SQLite keeps text of fixed width, so that it sorts by time."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return time_text(value) if dialect.name == "sqlite" else aware(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def aware(moment: datetime) -> datetime:
    """``moment`` itself; a naive one is our own fault and refused."""
    if moment.tzinfo is None:
        raise ValueError(f"a time without time zone: {moment!r}")
    return moment


def time_text(moment: datetime) -> str:
    """As SQLite stores it: ``2026-01-31T12:00:00.000000Z``."""
    return aware(moment).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


# Ordering must not depend on the server's language: listings continue behind the last name seen.
OrderedText = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite numbers rows by itself in a column of the exact type INTEGER only.
Id = BigInteger().with_variant(Integer(), "sqlite")
