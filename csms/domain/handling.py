"""What a handler is: a plain function of one call of a charger, which knows no reactor, no broker and no socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from csms.domain.command_model import Command
from csms.domain.messages import ChargerMessage, Notification, NotificationType
from csms.domain.model import Charger
from csms.domain.repositories import UnitOfWork
from csms.ocpp.errors import ErrorCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Choices of the operator that handlers obey."""

    accept_unknown_tokens: bool = False
    signs_certificates: bool = False
    """Whether somebody signs what chargers ask for."""
    operator: str = ""
    """The organisation that chargers' certificates name."""


class Handled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a message: the answer where a worker decides it, and what the world is told.

    ``error`` refuses the CALL instead; it is for the charger's faults only. ``commands`` are (again) on their way.
    """

    answer: dict[str, Any] | None = None
    error: ErrorCode | None = None
    error_description: str = ""
    notifications: list[Notification] = msgspec.field(default_factory=list)
    commands: list[Command] = msgspec.field(default_factory=list)


class AnswerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway knows when it answers a message by itself."""

    now: datetime
    registration: str
    heartbeat_interval_s: int


GatewayAnswer = Callable[[AnswerContext], dict[str, Any]]


class Notes:
    """Collects what the world is told because of one thing that happened ``at`` a time.

    ``source_id`` is that thing's id (of a message, of a request): a repeated run makes the same event ids again.
    """

    def __init__(self, source_id: str, at: datetime) -> None:
        self._source_id = source_id
        self._at = at
        self.list: list[Notification] = []
        self.commands: list[Command] = []
        """Commands to put on their way."""

    def add(self, kind: str, charger: Charger, **data: Any) -> None:
        """Tell of ``kind``; fields that are None are left out."""
        self._add(kind, charger.id, charger.device_id, data)

    def command_changed(self, command: Command) -> None:
        """Tell that ``command`` has come to another state."""
        data = {
            "commandId": command.command_id,
            "action": command.action,
            "state": command.state.value,
            "batchId": command.batch_id or None,
            "errorCode": command.error_code or None,
        }
        self._add(NotificationType.COMMAND_CHANGED, command.charger_id, command.device_id, data)

    def _add(self, kind: str, charger_id: int, device_id: str, data: Mapping[str, Any]) -> None:
        self.list.append(
            Notification(
                type=kind,
                charger_id=charger_id,
                device_id=device_id,
                timestamp=self._at,
                event_id=f"{self._source_id}.{len(self.list)}",
                data={name: value for name, value in data.items() if value is not None},
            )
        )


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a charger, and all that a handler may touch. The clock is ``received_at``."""

    message: ChargerMessage
    uow: UnitOfWork
    policy: Policy
    charger: Charger
    notes: Notes

    @property
    def payload(self) -> dict[str, Any]:
        return self.message.payload

    @property
    def received_at(self) -> datetime:
        return self.message.timestamp

    def tell(self, kind: str, **data: Any) -> None:
        """Notify the world of ``kind``; fields that are None are left out."""
        self.notes.add(kind, self.charger, **data)

    def done(self, answer: dict[str, Any] | None = None) -> Handled:
        """Handled, with what was told so far."""
        return Handled(answer=answer, notifications=self.notes.list, commands=self.notes.commands)


Handler = Callable[[Call], Handled]
"""Runs in a database thread inside the batch's transaction, and raises for nothing that a charger can send."""
