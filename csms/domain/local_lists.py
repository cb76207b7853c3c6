"""The local authorization list in a charger (1.6 sections 3.5, 5.10 and 5.15)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from csms.domain.command_model import Command, CommandState
from csms.domain.commands import CommandCall
from csms.domain.device_records import LocalList, LocalListEntry
from csms.domain.messages import NotificationType
from csms.domain.payloads import integer, mapping, mappings, text
from csms.domain.repositories import UnitOfWork
from csms.ocpp.timestamps import parse_timestamp

MAX_TOKEN = 255
EMPTY = 0
NOT_SUPPORTED = -1


def local_list_sent(call: CommandCall) -> None:
    """SendLocalList: once accepted, the list in the charger is what we sent. Refused, it is what it was."""
    known = _known(call)
    status, full = text(call.response, "status", 40), text(call.request, "updateType", 20) == "Full"
    known.last_answer = status
    known.command_id = call.command.command_id
    if status == "VersionMismatch":
        known.in_step = False
    elif status == "Accepted" and (full or known.in_step):
        if full:
            _replace(call)
        else:
            _update(call)
        known.version = integer(call.request, "listVersion") or EMPTY
        known.updated_at = call.now
        known.in_step = True
    # Accepted, but changes to a list that we do not know: nor do we know what came of them.
    _tell(call, known)


def local_list_command_ended(uow: UnitOfWork, command: Command) -> None:
    """SendLocalList without an answer: the charger may have either list, until it tells its version."""
    if command.state in (CommandState.TIMED_OUT, CommandState.UNKNOWN):
        for known in uow.devices.local_lists.of(command.charger_id):
            known.in_step = False


def local_list_version_reported(call: CommandCall) -> None:
    """GetLocalListVersion: 0 is an empty list, -1 none at all; another version than ours is not the list we know."""
    reported = integer(call.response, "listVersion")
    if reported is None:
        return
    known = _known(call)
    known.reported_version = reported
    known.reported_at = call.now
    was_in_step = known.in_step
    if reported in (EMPTY, NOT_SUPPORTED):
        known.version = EMPTY
        for entry in call.uow.devices.local_list_entries.of(call.charger.id):
            call.uow.devices.local_list_entries.remove(entry)
    known.in_step = reported in (known.version, NOT_SUPPORTED)
    if known.in_step is not was_in_step:
        _tell(call, known)


def _known(call: CommandCall) -> LocalList:
    lists = call.uow.devices.local_lists
    found = lists.of(call.charger.id)
    return found[0] if found else lists.add(LocalList(charger_id=call.charger.id))


def _replace(call: CommandCall) -> None:
    wanted = {_token(one).casefold() for one in _sent(call) if mapping(one, "idTagInfo")}
    entries = call.uow.devices.local_list_entries
    for entry in entries.of(call.charger.id):
        if entry.id_token.casefold() not in wanted:
            entries.remove(entry)
    _update(call)


def _update(call: CommandCall) -> None:
    """Entries with idTagInfo are added or changed, those without it are removed."""
    entries = call.uow.devices.local_list_entries
    by_token = {entry.id_token.casefold(): entry for entry in entries.of(call.charger.id)}
    for one in _sent(call):
        token, info = _token(one), mapping(one, "idTagInfo")
        entry = by_token.get(token.casefold())
        if not info:
            if entry is not None:
                entries.remove(by_token.pop(token.casefold()))
            continue
        if entry is None:
            entry = entries.add(LocalListEntry(charger_id=call.charger.id, id_token=token))
            by_token[token.casefold()] = entry
        entry.id_token = token
        entry.status = text(info, "status", 40)
        entry.expires_at = _time(info, "expiryDate")
        entry.parent = text(info, "parentIdTag", MAX_TOKEN)


def _sent(call: CommandCall) -> list[Mapping[str, Any]]:
    return [one for one in mappings(call.request, "localAuthorizationList") if _token(one)]


def _token(entry: Mapping[str, Any]) -> str:
    return text(entry, "idTag", MAX_TOKEN)


def _time(source: Mapping[str, Any], name: str) -> datetime | None:
    value = source.get(name)
    return parse_timestamp(value) if isinstance(value, str) else None


def _tell(call: CommandCall, known: LocalList) -> None:
    call.tell(
        NotificationType.LOCAL_LIST_CHANGED,
        version=known.version,
        reportedVersion=known.reported_version,
        inStep=known.in_step,
        answer=known.last_answer or None,
        commandId=call.command.command_id,
    )
