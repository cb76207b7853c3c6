"""All operations of /api/v1. A new resource is a module with a table ``OPERATIONS`` and a line here."""

from __future__ import annotations

from csms.api.resources import chargers, commands, general, odd_chargers, sessions, unknown_tokens

OPERATIONS = (
    *general.OPERATIONS,
    *chargers.OPERATIONS,
    *commands.OPERATIONS,
    *sessions.OPERATIONS,
    *odd_chargers.OPERATIONS,
    *unknown_tokens.OPERATIONS,
)
