"""The JSON of commands and of batches of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from csms.domain.command_model import Command, CommandBatch, CommandState, Source
from csms.domain.secrets import without_secrets


class CommandView(msgspec.Struct, rename="camel"):
    """A command to a charger. ``answer`` is the payload of the charger's CALLRESULT, as it came."""

    id: str
    device_id: str
    ocpp_version: str
    action: str
    payload: dict[str, Any]
    """As it was given, but for a password."""
    state: CommandState
    source: Source
    created_by: str
    created_at: datetime
    expires_at: datetime
    sent_at: datetime | None
    finished_at: datetime | None
    timeout: float
    batch_id: str | None
    answer: dict[str, Any] | None
    fault: str
    """How the answer breaks its schema; empty: it does not."""
    error_code: str
    error_description: str


class BatchView(msgspec.Struct, rename="camel"):
    """The same command for many chargers, and how far it is."""

    id: str
    action: str
    payload: dict[str, Any]
    created_by: str
    created_at: datetime
    total: int
    states: dict[str, int]
    """How many commands are in which state."""
    done: bool


def command_view(command: Command) -> CommandView:
    """The JSON of ``command``."""
    return CommandView(
        id=command.command_id,
        device_id=command.device_id,
        ocpp_version=command.ocpp_version,
        action=command.action,
        payload=without_secrets(msgspec.json.decode(command.payload)),
        state=command.state,
        source=command.source,
        created_by=command.created_by,
        created_at=command.created_at,
        expires_at=command.expires_at,
        sent_at=command.sent_at,
        finished_at=command.finished_at,
        timeout=command.timeout_s,
        batch_id=command.batch_id or None,
        answer=msgspec.json.decode(command.answer) if command.answer else None,
        fault=command.fault,
        error_code=command.error_code,
        error_description=command.error_description,
    )


def batch_view(batch: CommandBatch, states: Mapping[CommandState, int]) -> BatchView:
    """The JSON of ``batch``."""
    return BatchView(
        id=batch.batch_id,
        action=batch.action,
        payload=msgspec.json.decode(batch.payload),
        created_by=batch.created_by,
        created_at=batch.created_at,
        total=batch.total,
        states={state.value: count for state, count in sorted(states.items())},
        done=all(state.is_final for state in states),
    )
