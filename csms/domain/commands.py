"""Commands to chargers: how they are made, and what comes of them. See :mod:`csms.domain.command_model`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from csms.domain.command_model import Command, Priority, Source
from csms.domain.handling import Notes
from csms.domain.messages import CommandOrder
from csms.domain.model import Charger
from csms.domain.repositories import OutboxRow, UnitOfWork

MAX_OPEN = 100
"""Commands of one charger that are not at their end; further ones are refused."""
MOVES_WITHIN = timedelta(seconds=10)
"""A command on its way that has not been taken up by then is put on its way again: its gateway may have died."""
LOST_AFTER = timedelta(seconds=15)
"""So much later than the charger's time for the answer has passed, its gateway must have died."""

_PRIORITIES = {
    "RemoteStopTransaction": Priority.STOP,
    "RequestStopTransaction": Priority.STOP,
    "RemoteStartTransaction": Priority.START,
    "RequestStartTransaction": Priority.START,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCall:
    """A command and the charger's CALLRESULT to it: what the effect of an action gets.

    ``response`` is whatever the charger sent and may break its schema (``command.fault`` says so then): read it as any
    payload of a charger. ``now`` is when the answer was received, or the request made.
    """

    command: Command
    request: dict[str, Any]
    response: dict[str, Any]
    uow: UnitOfWork
    charger: Charger
    notes: Notes
    now: datetime

    def tell(self, kind: str, **data: Any) -> None:
        """Notify the world of ``kind``; fields that are None are left out."""
        self.notes.add(kind, self.charger, **data)


def new_command(
    charger: Charger,
    action: str,
    payload: str,
    *,
    command_id: str,
    now: datetime,
    timeout_s: float,
    keep_s: float | None = None,
    created_by: str = "",
    batch_id: str = "",
    source: Source = Source.API,
) -> Command:
    """A command that is not stored yet. ``payload`` is JSON text.

    It has to be sent within ``keep_s``, or within ``timeout_s`` if it is not to be kept for a charger that is away.
    """
    return Command(
        command_id=command_id,
        charger_id=charger.id,
        device_id=charger.device_id,
        ocpp_version=charger.ocpp_version,
        action=action,
        payload=payload,
        priority=_PRIORITIES.get(action, Priority.REST),
        kept=keep_s is not None,
        timeout_s=timeout_s,
        source=source,
        created_by=created_by,
        batch_id=batch_id,
        created_at=now,
        expires_at=now + timedelta(seconds=timeout_s if keep_s is None else keep_s),
        look_at=now + MOVES_WITHIN,
    )


def order_of(command: Command) -> CommandOrder:
    """What the gateway needs to know of ``command``."""
    return CommandOrder(
        command_id=command.command_id,
        charger_id=command.charger_id,
        device_id=command.device_id,
        action=command.action,
        payload=msgspec.Raw(command.payload.encode()),
        priority=command.priority,
        timeout_s=command.timeout_s,
    )


def to_publish(uow: UnitOfWork, notes: Notes) -> list[OutboxRow]:
    """Store what is to be published because of ``notes``; the rows, for the relay."""
    commands = uow.outbox.route(notes.commands) if notes.commands else ()
    notifications = uow.outbox.add(notes.list) if notes.list else ()
    return [*commands, *notifications]
