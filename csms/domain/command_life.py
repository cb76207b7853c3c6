"""What happens to a command, from the request to the answer: every change of its state is here.

Requests, gateways, workers and the sweep all come here, each in a transaction of its own. A command's row is locked
meanwhile, so two of them never both believe that they were first: a command is claimed, and so written, once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from csms.domain.command_effects import ENDS, REQUESTS, RESULTS
from csms.domain.command_model import Command, CommandState
from csms.domain.commands import LOST_AFTER, MOVES_WITHIN, CommandCall
from csms.domain.handling import Call, Handled, Notes
from csms.domain.model import Charger
from csms.domain.payloads import text
from csms.domain.repositories import UnitOfWork
from csms.domain.secrets import without_secrets
from csms.ocpp.json import encode

QUEUED_LOOK = timedelta(seconds=60)
"""How often it is looked whether a queued command's charger is there after all."""
FIRST_LOOK = timedelta(seconds=2)
"""When it is looked first: workers may hear of a new connection a moment before its gateway can be sent commands."""
OUTCOMES = (
    CommandState.ANSWERED,
    CommandState.REFUSED,
    CommandState.TIMED_OUT,
    CommandState.UNKNOWN,
    CommandState.INVALID,
)
"""What a gateway may tell of a command."""
_STILL = {
    CommandState.UNKNOWN: OUTCOMES,
    CommandState.TIMED_OUT: (CommandState.ANSWERED, CommandState.REFUSED),
}
"""What may still become of a command that was given up."""
MAX_ERROR_CODE = 50
MAX_ERROR_DESCRIPTION = 255
MAX_FAULT = 500
FAR = datetime(9999, 1, 1, tzinfo=UTC)
GIVEN_UP_AT_ONCE = 500

_read = msgspec.json.Decoder(dict[str, Any]).decode


def store(uow: UnitOfWork, charger: Charger, command: Command, notes: Notes) -> Command:
    """A new command, on its way; or at its end, when it was made so."""
    command = uow.commands.add(command)
    if not command.state.is_final:
        _run_effect(REQUESTS, uow, charger, command, {}, notes, command.created_at)
    if command.state.is_final:
        _end(uow, command, command.state, command.created_at, notes)
    else:
        notes.commands.append(command)
        notes.command_changed(command)
    return command


def claim(uow: UnitOfWork, command_id: str, now: datetime) -> bool:
    """Whether the caller, and nobody else, is to send the command: it counts as sent from now on."""
    command = uow.commands.get(command_id)
    if command is None or command.state is not CommandState.WAITING or command.expires_at <= now:
        return False
    command.state = CommandState.SENT
    command.sent_at = now
    command.look_at = now + timedelta(seconds=command.timeout_s) + LOST_AFTER
    return True


def give_back(uow: UnitOfWork, command_id: str, now: datetime) -> None:
    """Whoever claimed it has surely not written it to a socket: somebody else may."""
    command = uow.commands.get(command_id)
    if command is not None and command.state is CommandState.SENT:
        command.state = CommandState.WAITING
        command.sent_at = None
        command.look_at = now


def cancel(uow: UnitOfWork, command_id: str, now: datetime, notes: Notes) -> Command | None:
    """The command, cancelled unless the charger may have seen it; None when there is none."""
    command = uow.commands.get(command_id)
    if command is not None and command.state.is_unsent:
        _end(uow, command, CommandState.CANCELLED, now, notes)
    return command


def not_routed(uow: UnitOfWork, command_ids: Iterable[str], now: datetime, notes: Notes) -> None:
    """No gateway holds the chargers of these commands."""
    for command in uow.commands.several(command_ids):
        if command.state is not CommandState.WAITING:
            continue
        if command.expires_at <= now:
            _end(uow, command, CommandState.EXPIRED, now, notes)
        elif command.kept:
            command.state = CommandState.QUEUED
            command.look_at = min(command.expires_at, now + FIRST_LOOK)
            notes.command_changed(command)
        else:
            _end(uow, command, CommandState.NOT_CONNECTED, now, notes)


def sweep(uow: UnitOfWork, now: datetime, notes: Notes, *, limit: int) -> int:
    """Look after commands that do not get on by themselves; how many were looked at."""
    due = uow.commands.due(now, limit=limit)
    queued = [command.charger_id for command in due if command.state is CommandState.QUEUED]
    # Workers lock a charger before its commands, so nobody may do it the other way round.
    connected = uow.chargers.connected(queued) if queued else frozenset()
    for command in due:
        if command.state is CommandState.SENT:
            _end(uow, command, CommandState.UNKNOWN, now, notes)
        elif command.expires_at <= now:
            _end(uow, command, CommandState.EXPIRED, now, notes)
        elif command.state is CommandState.WAITING or command.charger_id in connected:
            _put_on_its_way(command, now, notes)
        else:
            command.look_at = min(command.expires_at, now + QUEUED_LOOK)
    return len(due)


def give_up_all(uow: UnitOfWork, now: datetime, notes: Notes) -> int:
    """End all that are open, whatever became of them: the database that tells so is an old one. How many there were."""
    given_up = 0
    while due := uow.commands.due(FAR, limit=GIVEN_UP_AT_ONCE):
        for command in due:
            _end(uow, command, CommandState.UNKNOWN, now, notes)
        given_up += len(due)
    return given_up


# --- handlers of what gateways tell


def release(call: Call) -> None:
    """The charger is there: what was kept for it, or was on its way to an older connection, goes out now."""
    for command in call.uow.commands.unsent(call.charger.id):
        if command.expires_at > call.received_at:
            _put_on_its_way(command, call.received_at, call.notes)


def command_sent(call: Call) -> Handled:
    """The gateway writes the command to the socket, which it has claimed before."""
    command = call.uow.commands.get(text(call.payload, "commandId", 64))
    if command is not None and command.state is CommandState.SENT:
        call.notes.command_changed(command)
    return call.done()


def command_result(call: Call) -> Handled:
    """The charger has answered, or the gateway waits no longer. An answer counts even when it was given up."""
    payload = call.payload
    command = call.uow.commands.get(text(payload, "commandId", 64))
    outcome = text(payload, "outcome", 20)
    if command is None or outcome not in OUTCOMES:
        return call.done()
    if command.state.is_final and outcome not in _STILL.get(command.state, ()):
        return call.done()
    answer = payload.get("answer")
    command.fault = text(payload, "fault", MAX_FAULT)
    command.error_code = text(payload, "errorCode", MAX_ERROR_CODE)
    command.error_description = text(payload, "errorDescription", MAX_ERROR_DESCRIPTION)
    if isinstance(answer, dict):
        command.answer = encode(answer)
    _end(call.uow, command, CommandState(outcome), call.received_at, call.notes)
    if command.state is CommandState.ANSWERED and isinstance(answer, dict):
        _run_effect(RESULTS, call.uow, call.charger, command, answer, call.notes, call.received_at)
    return call.done()


# --- inside


def _run_effect(
    table: Any,
    uow: UnitOfWork,
    charger: Charger,
    command: Command,
    response: dict[str, Any],
    notes: Notes,
    now: datetime,
) -> None:
    effect = table.get((command.ocpp_version, command.action))
    if effect is not None:
        request = _read(command.payload)
        effect(
            CommandCall(
                command=command, request=request, response=response, uow=uow, charger=charger, notes=notes, now=now
            )
        )


def _put_on_its_way(command: Command, now: datetime, notes: Notes) -> None:
    if command.state is CommandState.QUEUED:
        command.state = CommandState.WAITING
        notes.command_changed(command)
    command.look_at = min(command.expires_at, now + MOVES_WITHIN)
    notes.commands.append(command)


def _end(uow: UnitOfWork, command: Command, state: CommandState, now: datetime, notes: Notes) -> None:
    command.state = state
    command.finished_at = now
    end = ENDS.get((command.ocpp_version, command.action))
    if end is not None:
        end(uow, command)
    request = _read(command.payload)
    shown = without_secrets(request)
    if shown is not request:
        command.payload = encode(shown)
    notes.command_changed(command)
