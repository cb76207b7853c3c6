"""All operations of /api/v1. A new resource is a module with a table ``OPERATIONS`` and a line here."""

from __future__ import annotations

from csms.api.resources import (
    audit,
    chargers,
    commands,
    general,
    id_tokens,
    messages,
    meter_values,
    odd_chargers,
    people,
    sessions,
    unknown_tokens,
)

OPERATIONS = (
    *general.OPERATIONS,
    *chargers.OPERATIONS,
    *commands.OPERATIONS,
    *sessions.OPERATIONS,
    *meter_values.OPERATIONS,
    *messages.OPERATIONS,
    *id_tokens.OPERATIONS,
    *people.OPERATIONS,
    *audit.OPERATIONS,
    *odd_chargers.OPERATIONS,
    *unknown_tokens.OPERATIONS,
)
