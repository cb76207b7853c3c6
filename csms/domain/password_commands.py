"""New passwords that travel by ChangeConfiguration of AuthorizationKey (1.6 Security Whitepaper A01).

The secret itself is kept no longer than the command needs it; what stays is its hash, in the charger's record. A key
that anybody could guess, or that several chargers would share, is refused before it is sent.
"""

from __future__ import annotations

from typing import Any

import msgspec

from csms.domain.command_model import Command, CommandState
from csms.domain.commands import CommandCall
from csms.domain.credentials import objection
from csms.domain.password_rotation import MAX_ON_THE_WAY, confirm, offer, withdraw
from csms.domain.payloads import text
from csms.domain.repositories import UnitOfWork
from csms.ocpp.json import encode

ACTION = "ChangeConfiguration"
KEY = "AuthorizationKey"
NOT_KEPT = "(not kept)"
_MAX = 2500
_LEFT = ("Rejected", "NotSupported")
_UNSEEN = (CommandState.NOT_CONNECTED, CommandState.EXPIRED, CommandState.CANCELLED, CommandState.INVALID)

_read = msgspec.json.Decoder(dict[str, Any]).decode


def password_offered(call: CommandCall) -> None:
    """The charger may come with the new password from now on, and with the old one. A bad one ends the command."""
    if not _is_password(call.request):
        return
    password = text(call.request, "value", _MAX)
    why_not = objection(password)
    if call.command.batch_id:
        why_not = "every charger needs one of its own"
    elif len(call.charger.next_passwords) >= MAX_ON_THE_WAY:
        why_not = f"{MAX_ON_THE_WAY} new ones are on their way to this charger already"
    if why_not:
        call.command.state = CommandState.INVALID
        call.command.error_description = f"the password is refused: {why_not}"
    else:
        offer(call.charger, call.command.command_id, password)


def password_answered(call: CommandCall) -> None:
    """Accepted: only the new one opens. Rejected: only the old one. RebootRequired: the next login will tell."""
    status = text(call.response, "status", 40)
    if status == "Accepted":
        confirm(call.charger, call.command.command_id)
    elif status in _LEFT:
        withdraw(call.charger, call.command.command_id)


def password_command_ended(uow: UnitOfWork, command: Command) -> None:
    """A password that the charger has surely never seen opens nothing; the secret is forgotten in any case."""
    request = _read(command.payload)
    if not _is_password(request):
        return
    command.payload = encode(without_password(command.action, request))
    charger = uow.chargers.get(command.charger_id)
    if charger is not None and command.state in _UNSEEN:
        withdraw(charger, command.command_id)


def without_password(action: str, request: dict[str, Any]) -> dict[str, Any]:
    """The payload of a command, as it may be logged and kept."""
    return request | {"value": NOT_KEPT} if action == ACTION and _is_password(request) else request


def _is_password(request: dict[str, Any]) -> bool:
    """Keys are compared without regard to case (1.6 CiString)."""
    return text(request, "key", 50).casefold() == KEY.casefold()
