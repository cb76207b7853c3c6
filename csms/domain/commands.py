"""Commands to chargers: how they are made, and what comes of them. See :mod:`csms.domain.command_model`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from csms.domain.command_model import Command
from csms.domain.handling import Notes
from csms.domain.model import Charger
from csms.domain.repositories import UnitOfWork


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
