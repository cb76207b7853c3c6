"""All operations of /api/v1. A new resource is a module with a table ``OPERATIONS`` and a line here."""

from __future__ import annotations

from csms.api.resources import chargers, commands, general, sessions

OPERATIONS = (
    *general.OPERATIONS,
    *chargers.OPERATIONS,
    *commands.OPERATIONS,
    *sessions.OPERATIONS,
)
