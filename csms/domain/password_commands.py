"""New passwords that travel by a command: 1.6 ChangeConfiguration of AuthorizationKey (Security Whitepaper A01), 2.x
SetVariables of BasicAuthPassword (A01).

The secret itself is kept no longer than the command needs it; what stays is its hash, in the charger's record. A
password that anybody could guess, or that several chargers would share, is refused before it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from csms.domain.command_model import Command, CommandState
from csms.domain.commands import CommandCall
from csms.domain.credentials import objection
from csms.domain.password_rotation import MAX_ON_THE_WAY, confirm, offer, withdraw
from csms.domain.payloads import mapping, mappings, text
from csms.domain.repositories import UnitOfWork

KEY = "AuthorizationKey"
VARIABLE = "BasicAuthPassword"
_MAX = 2500
_LEFT = ("Rejected", "NotSupported", "NotSupportedAttributeType", "UnknownComponent", "UnknownVariable")
_UNSEEN = (CommandState.NOT_CONNECTED, CommandState.EXPIRED, CommandState.CANCELLED, CommandState.INVALID)

_read = msgspec.json.Decoder(dict[str, Any]).decode


def password_offered(call: CommandCall) -> None:
    """The charger may come with the new password from now on, and with the old one. A bad one ends the command."""
    passwords = _passwords(call.request)
    if not passwords:
        return
    why_not = objection(passwords[0])
    if len(passwords) > 1:
        why_not = "there is more than one"
    elif call.command.batch_id:
        why_not = "every charger needs one of its own"
    elif len(call.charger.next_passwords) >= MAX_ON_THE_WAY:
        why_not = f"{MAX_ON_THE_WAY} new ones are on their way to this charger already"
    if why_not:
        call.command.state = CommandState.INVALID
        call.command.error_description = f"the password is refused: {why_not}"
    else:
        offer(call.charger, call.command.command_id, passwords[0])


def password_answered(call: CommandCall) -> None:
    """Accepted: only the new one opens. Rejected: only the old one. RebootRequired: the next login will tell."""
    status = text(call.response, "status", 40)
    for one in mappings(call.response, "setVariableResult"):
        if _is_variable(one):
            status = text(one, "attributeStatus", 40)
    if status == "Accepted":
        confirm(call.charger, call.command.command_id)
    elif status in _LEFT:
        withdraw(call.charger, call.command.command_id)


def password_command_ended(uow: UnitOfWork, command: Command) -> None:
    """A password that the charger has surely never seen opens nothing."""
    if command.state in _UNSEEN and _passwords(_read(command.payload)):
        charger = uow.chargers.get(command.charger_id)
        if charger is not None:
            withdraw(charger, command.command_id)


def sets_password(request: Mapping[str, Any]) -> bool:
    """Whether a command with this payload gives its charger a password."""
    return bool(_passwords(request))


def _passwords(request: Mapping[str, Any]) -> list[str]:
    """The passwords that the command sets."""
    if _is_key(request):
        return [text(request, "value", _MAX)]
    return [text(one, "attributeValue", _MAX) for one in mappings(request, "setVariableData") if _is_variable(one)]


def _is_key(request: Mapping[str, Any]) -> bool:
    """Names are compared without regard to case, in 1.6 (CiString) as in 2.x (identifierString)."""
    return "value" in request and text(request, "key", 50).casefold() == KEY.casefold()


def _is_variable(one: Any) -> bool:
    return isinstance(one, dict) and text(mapping(one, "variable"), "name", 50).casefold() == VARIABLE.casefold()
