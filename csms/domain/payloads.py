"""Reading what chargers send without trusting any of it: no function here raises, whatever the payload holds.

The session actions reach their handlers even when they break their schema, so every field may be missing, of another
type, or enormous.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_INT = 2**31 - 1
"""Identifiers and counters beyond it are taken as unreadable; columns of that size hold them."""
MAX_MAGNITUDE = 1e15
"""Measured values beyond it are no measurements: 1e15 Wh are a thousand terawatt hours."""
MAX_EVSE_ID = 999
MAX_CONNECTOR_ID = 99
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_MAX_NUMBER_LENGTH = 40
_MAX_NUMBER = 2**64


def text(source: Mapping[str, Any], name: str, limit: int) -> str:
    """The string ``name``, cut at ``limit`` characters; a number as its text; else empty."""
    value = source.get(name)
    if isinstance(value, str):
        return value[:limit]
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _MAX_NUMBER:
        return ""
    return repr(value)[:limit]


def number(value: object) -> float | None:
    """A finite number of sane size, also from its text (1.6 sends measured values as strings); else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        stripped = value.strip()
        if len(stripped) > _MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(stripped):
            return None
        value = float(stripped)
    if not isinstance(value, int | float):
        return None
    return float(value) if -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE else None


def integer(source: Mapping[str, Any], name: str) -> int | None:
    """The integer ``name`` within signed 32 bits, also written as 7.0 or "7"; else None."""
    value = number(source.get(name))
    if value is None or value != int(value) or abs(value) > MAX_INT:
        return None
    return int(value)


def mapping(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object ``name``; empty when it is none."""
    value = source.get(name)
    return value if isinstance(value, dict) else {}


def mappings(source: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects in the array ``name``; what is no object among them is left out. A lone object counts as one."""
    value = source.get(name)
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def evse_of(source: Mapping[str, Any]) -> tuple[int, int]:
    """EVSE and connector in a 2.x ``evse`` object; 0 for what is not told or absurd."""
    evse = mapping(source, "evse")
    return bounded(integer(evse, "id"), MAX_EVSE_ID), bounded(integer(evse, "connectorId"), MAX_CONNECTOR_ID)


def bounded(value: int | None, limit: int) -> int:
    """``value`` when it lies in 0..limit; else 0, so that no charger makes up connectors without end."""
    return value if value is not None and 0 <= value <= limit else 0
