"""All operations of /api/v1. A new resource is a module with a table ``OPERATIONS`` and a line here."""

from __future__ import annotations

from csms.api.resources import (
    audit,
    chargers,
    commands,
    dead_letters,
    device_records,
    general,
    id_tokens,
    issued_certificates,
    messages,
    meter_values,
    odd_chargers,
    people,
    sessions,
    token_files,
    token_groups,
    unknown_tokens,
    webhooks,
)

OPERATIONS = (
    *general.OPERATIONS,
    *chargers.OPERATIONS,
    *device_records.OPERATIONS,
    *commands.OPERATIONS,
    *sessions.OPERATIONS,
    *meter_values.OPERATIONS,
    *messages.OPERATIONS,
    *id_tokens.OPERATIONS,
    *people.OPERATIONS,
    *audit.OPERATIONS,
    *odd_chargers.OPERATIONS,
    *token_groups.OPERATIONS,
    *token_files.OPERATIONS,
    *unknown_tokens.OPERATIONS,
    *dead_letters.OPERATIONS,
    *issued_certificates.OPERATIONS,
    *webhooks.OPERATIONS,
)
