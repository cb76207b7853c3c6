"""``csms-admin command ...``: OCPP requests to chargers, without the HTTP interface."""

from __future__ import annotations

import argparse
import json
from datetime import datetime, timedelta

from csms.admin.output import Answer, CommandError, table
from csms.admin.site import Site
from csms.api.command_requests import Wish, objection
from csms.domain import command_life
from csms.domain.command_model import Command, Source
from csms.domain.commands import new_command
from csms.domain.handling import Notes
from csms.domain.identifiers import new_id
from csms.domain.repositories import UnitOfWork
from csms.domain.secrets import without_secrets
from csms.ocpp.json import JsonError, decode, encode

LOOK_S = 0.5
GRACE_S = 20.0
"""How much longer than the charger may take it is waited for a worker to do its part."""
BY = "csms-admin"


async def send(site: Site, arguments: argparse.Namespace) -> Answer:
    """Send a request to a charger, and wait for its answer."""
    wish = _wish(arguments)
    now = site.now()
    command_id = new_id(int(now.timestamp() * 1000))

    def store(uow: UnitOfWork) -> str:
        charger = uow.chargers.by_device_id(arguments.device_id)
        if charger is None:
            return f"there is no charger {arguments.device_id}"
        against = objection(charger, wish, uow.commands.open_counts([charger.id]).get(charger.id, 0))
        if against is not None:
            return against.text
        command = new_command(
            charger,
            wish.action,
            wish.payload,
            command_id=command_id,
            now=now,
            timeout_s=wish.timeout_s,
            keep_s=wish.keep_s,
            created_by=BY,
            source=Source.SHELL,
        )
        # This process has no relay: the sweep of the OCPP worker, which comes soon, puts it on its way.
        command.look_at = now
        notes = Notes(command_id, now)
        command_life.store(uow, charger, command, notes)
        uow.outbox.add(notes.list)
        return ""

    database = await site.database()
    refusal = await database.transact(store, name="store command")
    if refusal:
        raise CommandError(refusal)
    return _shown(await _ended(site, command_id, now + timedelta(seconds=wish.timeout_s + GRACE_S)))


async def list_all(site: Site, arguments: argparse.Namespace) -> Answer:
    """The newest commands."""
    database = await site.database()
    found = await database.read(
        lambda uow: uow.commands.page(device_id=arguments.device_id or "", limit=arguments.limit), name="list commands"
    )
    rows = [
        {
            "id": command.command_id,
            "deviceId": command.device_id,
            "action": command.action,
            "state": command.state.value,
            "createdBy": command.created_by,
            "createdAt": command.created_at,
        }
        for command in found
    ]
    return table(rows, "no commands yet")


async def show(site: Site, arguments: argparse.Namespace) -> Answer:
    """One command with the charger's answer."""
    return _shown(await _command(site, arguments.id))


def _wish(arguments: argparse.Namespace) -> Wish:
    try:
        content = decode(arguments.payload).value
    except JsonError as error:
        raise CommandError(f"the payload is no JSON: {error.reason}") from error
    if not isinstance(content, dict):
        raise CommandError("the payload is no JSON object")
    return Wish(
        action=arguments.action,
        payload=encode(content),
        content=content,
        timeout_s=arguments.timeout,
        keep_s=arguments.queue,
        created_by=BY,
    )


async def _ended(site: Site, command_id: str, latest: datetime) -> Command:
    """The command when nothing more is to be expected soon, or at ``latest``."""
    while True:
        command = await _command(site, command_id)
        if not command.state.is_on_the_way or site.now() >= latest:
            return command
        await site.pause(LOOK_S)


async def _command(site: Site, command_id: str) -> Command:
    database = await site.database()
    command = await database.read(lambda uow: uow.commands.get(command_id), name="show command")
    if command is None:
        raise CommandError(f"there is no command {command_id}")
    return command


def _shown(command: Command) -> Answer:
    data = {
        "id": command.command_id,
        "deviceId": command.device_id,
        "action": command.action,
        "payload": without_secrets(json.loads(command.payload)),
        "state": command.state.value,
        "answer": json.loads(command.answer) if command.answer else None,
        "fault": command.fault,
        "errorCode": command.error_code,
        "errorDescription": command.error_description,
        "createdBy": command.created_by,
        "createdAt": command.created_at,
        "sentAt": command.sent_at,
        "finishedAt": command.finished_at,
    }
    told = ((name, json.dumps(value) if isinstance(value, dict) else value) for name, value in data.items())
    return Answer(table([{"command": name, "": value} for name, value in told if value], "").text, data)
