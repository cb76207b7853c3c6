"""What tables and indices are like beyond their columns, as the migrations make them; a test compares the two.

They are said in ``info`` rather than as options of a dialect: for those SQLAlchemy would load that of PostgreSQL, with
all of its drivers, also where SQLite is used.
"""

from __future__ import annotations

from typing import Any

NUMBERED: dict[str, Any] = {"info": {"numbered": True}}
"""A table that never gives an id out twice, also in SQLite."""
ROOMY: dict[str, Any] = {"info": {"numbered": True, "fillfactor": 70}}
"""Beside that, room in each page of PostgreSQL for the new version of a row that changes with every message."""


def only(condition: str) -> dict[str, Any]:
    """An index of some rows."""
    return {"info": {"only": condition}}


def by_month(column: str) -> dict[str, Any]:
    """A table that is partitioned by the months of ``column`` in PostgreSQL."""
    return {"info": {"by_month": column}}
