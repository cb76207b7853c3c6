"""Configuration keys of 1.6 chargers: what they are and what they should be (1.6 sections 5.4 and 5.8)."""

from __future__ import annotations

from typing import Any

import msgspec

from csms.domain.command_model import Command, CommandState
from csms.domain.commands import CommandCall
from csms.domain.device_records import ConfigurationKey
from csms.domain.messages import NotificationType
from csms.domain.payloads import mappings, text
from csms.domain.repositories import UnitOfWork
from csms.domain.secrets import is_secret_name

MAX_KEY = 50
MAX_VALUE = 2500
"""Characters: 1.6 says 500, the quirks of the field say more."""
MAX_KEYS = 2000
"""Keys of one charger that are remembered."""
PENDING = "Pending"
REFUSED = "Refused"
UNANSWERED = "Unanswered"

LOOKED_BACK = 100
"""Earlier commands among which the one is looked for that wanted something of a key."""

_read = msgspec.json.Decoder(dict[str, Any]).decode
_TAKEN = ("Accepted", "RebootRequired")


class _Keys:
    """The charger's keys by name, whatever its case."""

    def __init__(self, call: CommandCall) -> None:
        self._records = call.uow.devices.configuration
        self._charger_id = call.charger.id
        self.by_name = {record.key.casefold(): record for record in self._records.of(call.charger.id)}

    def get(self, name: str) -> ConfigurationKey | None:
        """The record of this key, made when there was none; None for no name, or beyond what is remembered."""
        record = self.by_name.get(name.casefold())
        if record is None and name and len(self.by_name) < MAX_KEYS:
            record = self._records.add(ConfigurationKey(charger_id=self._charger_id, key=name))
            self.by_name[name.casefold()] = record
        return record


def configuration_wanted(call: CommandCall) -> None:
    """ChangeConfiguration was asked for: the value is wanted from now on, whenever the charger gets to hear of it."""
    record = _Keys(call).get(text(call.request, "key", MAX_KEY))
    if record is not None:
        _want(call, record)
        _tell(call, [record.key])


def configuration_changed(call: CommandCall) -> None:
    """The key has the value from now on, or from the next boot on; a refused one stays wanted and differs."""
    record = _Keys(call).get(text(call.request, "key", MAX_KEY))
    if record is None:
        return
    command, status = call.command, text(call.response, "status", 40)
    newer = record.wanted_at is not None and record.wanted_at > command.created_at
    if not newer and record.command_id != command.command_id:
        _want(call, record)
    if not newer:
        record.wanted_status = status
        record.answered_at = call.now
    if status in _TAKEN:
        record.known = True
        record.value = _value(record, text(call.request, "value", MAX_VALUE))
        record.reported_at = call.now
    elif status == "NotSupported":
        record.known = False
    _tell(call, [record.key])


def configuration_command_ended(uow: UnitOfWork, command: Command) -> None:
    """What was never sent is not wanted any more, but what was before; what was refused or lost on the way still is."""
    if command.state is CommandState.ANSWERED:
        return
    for record in uow.devices.configuration.of(command.charger_id):
        if record.command_id != command.command_id:
            continue
        if command.sent_at is None:
            _want_what_was_wanted_before(uow, command, record)
        else:
            record.wanted_status = REFUSED if command.state is CommandState.REFUSED else UNANSWERED
            record.answered_at = command.finished_at


def configuration_reported(call: CommandCall) -> None:
    """GetConfiguration: what the charger says it has; asked for everything, it has no other keys."""
    keys = _Keys(call)
    seen: set[str] = set()
    changed: list[str] = []
    for reported in mappings(call.response, "configurationKey"):
        record = keys.get(text(reported, "key", MAX_KEY))
        if record is None:
            continue
        seen.add(record.key.casefold())
        before = (record.value, record.readonly, record.known)
        told = reported.get("value") is not None
        record.value = _value(record, text(reported, "value", MAX_VALUE)) if told else None
        record.readonly = reported.get("readonly") is True
        record.known = True
        record.reported_at = call.now
        if before != (record.value, record.readonly, record.known):
            changed.append(record.key)
    for record in _unknown(call, keys, seen):
        if record.known or record.reported_at is None:
            changed.append(record.key)
        record.known, record.value, record.reported_at = False, None, call.now
    if changed:
        _tell(call, changed)


def _unknown(call: CommandCall, keys: _Keys, seen: set[str]) -> list[ConfigurationKey]:
    names = call.response.get("unknownKey")
    told = [keys.get(name[:MAX_KEY]) for name in names if isinstance(name, str)] if isinstance(names, list) else []
    missing = [record for name, record in keys.by_name.items() if name not in seen]
    if seen and not call.request.get("key"):
        return missing
    return [record for record in told if record is not None and record.key.casefold() not in seen]


def _want(call: CommandCall, record: ConfigurationKey) -> None:
    record.wanted = _value(record, text(call.request, "value", MAX_VALUE))
    record.wanted_at = call.command.created_at
    record.wanted_status = PENDING
    record.answered_at = None
    record.command_id = call.command.command_id


def _want_what_was_wanted_before(uow: UnitOfWork, command: Command, record: ConfigurationKey) -> None:
    record.wanted, record.wanted_status, record.wanted_at, record.command_id = None, "", None, ""
    record.answered_at = None
    for earlier in uow.commands.page(
        device_id=command.device_id, action=command.action, before=command.command_id, limit=LOOKED_BACK
    ):
        request = _read(earlier.payload)
        never_sent = earlier.state.is_final and earlier.sent_at is None
        if never_sent or text(request, "key", MAX_KEY).casefold() != record.key.casefold():
            continue
        record.wanted = _value(record, text(request, "value", MAX_VALUE))
        record.wanted_status = _status(earlier)
        record.wanted_at, record.answered_at = earlier.created_at, earlier.finished_at
        record.command_id = earlier.command_id
        return


def _status(command: Command) -> str:
    if not command.state.is_final:
        return PENDING
    if command.state is CommandState.ANSWERED:
        return text(_read(command.answer), "status", 40) if command.answer else ""
    return REFUSED if command.state is CommandState.REFUSED else UNANSWERED


def _value(record: ConfigurationKey, value: str) -> str | None:
    """Secrets are never kept, whoever tells them."""
    return None if is_secret_name(record.key) else value


def _tell(call: CommandCall, keys: list[str]) -> None:
    call.tell(NotificationType.CONFIGURATION_CHANGED, keys=sorted(keys), commandId=call.command.command_id)
