"""Making commands out of requests: the checks, and what is stored. All of it runs in a transaction."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from csms.api.problems import Problem
from csms.domain import command_life
from csms.domain.command_model import Command, CommandBatch, CommandState
from csms.domain.commands import MAX_OPEN, new_command, to_publish
from csms.domain.handling import Notes
from csms.domain.identifiers import new_id
from csms.domain.model import Charger
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.domain.secrets import without_secrets
from csms.ocpp import json
from csms.ocpp.directions import direction
from csms.ocpp.schemas import Fault, check_request
from csms.ocpp.versions import Version

UNKNOWN_VERSION = "UnknownVersion"
UNKNOWN_ACTION = "UnknownAction"
TOO_MANY = "TooMany"
BAD_PAYLOAD = "BadPayload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants of one or many chargers. ``payload`` is JSON text; times in seconds."""

    action: str
    payload: str
    content: dict[str, Any]
    timeout_s: float
    keep_s: float | None
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a charger cannot get a command."""

    status: HTTPStatus
    code: str
    text: str
    fault: Fault | None = None


def read_wish(action: str, content: dict[str, Any], *, timeout_s: float, keep_s: float | None, created_by: str) -> Wish:
    """The wish of a request. Raises :class:`Problem` for a payload that no charger could read."""
    payload = json.encode(content)
    try:
        json.decode(payload)
    except json.JsonError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the payload is {error.reason}", pointer="") from None
    return Wish(
        action=action, payload=payload, content=content, timeout_s=timeout_s, keep_s=keep_s, created_by=created_by
    )


def objection(charger: Charger, wish: Wish, open_commands: int) -> Objection | None:
    """What is wrong with sending this to ``charger``: nothing stricter than the schema of its OCPP version."""
    if not charger.ocpp_version:
        text = f"{charger.device_id} has never been connected, so nobody knows which OCPP it speaks"
        return Objection(status=HTTPStatus.CONFLICT, code=UNKNOWN_VERSION, text=text)
    version = Version(charger.ocpp_version)
    way = direction(version, wish.action)
    if way is None or not way.csms_calls:
        text = f"OCPP {version} has no command {wish.action[:50]!r}"
        return Objection(status=HTTPStatus.NOT_FOUND, code=UNKNOWN_ACTION, text=text)
    fault = check_request(version, wish.action, wish.content)
    if fault is not None:
        text = f"OCPP {version} {wish.action} {fault}"
        return Objection(status=HTTPStatus.UNPROCESSABLE_ENTITY, code=BAD_PAYLOAD, text=text, fault=fault)
    if open_commands >= MAX_OPEN:
        text = f"{open_commands} commands wait for {charger.device_id} already"
        return Objection(status=HTTPStatus.TOO_MANY_REQUESTS, code=TOO_MANY, text=text)
    return None


def store_one(uow: UnitOfWork, device_id: str, command_id: str, wish: Wish, now: datetime) -> list[OutboxRow] | None:
    """Store a command; None when there is no such charger. Raises :class:`Problem`."""
    charger = uow.chargers.by_device_id(device_id)
    if charger is None:
        return None
    against = objection(charger, wish, uow.commands.open_counts([charger.id]).get(charger.id, 0))
    if against is not None:
        pointer = None if against.fault is None else pointer_of(against.fault.path)
        raise Problem(against.status, against.text, pointer=pointer)
    notes = Notes(command_id, now)
    command_life.store(uow, charger, _command(charger, wish, command_id, now), notes)
    return to_publish(uow, notes)


def store_many(
    uow: UnitOfWork, chargers: Sequence[Charger], batch_id: str, wish: Wish, now: datetime
) -> tuple[CommandBatch, list[OutboxRow]]:
    """Store a command for each charger; for those that cannot get it, one that is ``invalid`` and says why."""
    open_counts = uow.commands.open_counts([charger.id for charger in chargers])
    notes = Notes(batch_id, now)
    against = [objection(charger, wish, open_counts.get(charger.id, 0)) for charger in chargers]
    first = next(iter(against), None)
    if first is not None and all(against):
        raise Problem(first.status, f"none of the chargers can get this; the first one: {first.text}")
    for charger, why in zip(chargers, against, strict=True):
        command = _command(charger, wish, new_id(int(now.timestamp() * 1000)), now, batch_id)
        if why is not None:
            command.state, command.finished_at = CommandState.INVALID, now
            command.error_code, command.error_description = why.code, why.text[: command_life.MAX_ERROR_DESCRIPTION]
        command_life.store(uow, charger, command, notes)
    batch = CommandBatch(
        batch_id=batch_id,
        action=wish.action,
        payload=json.encode(without_secrets(wish.content)),
        total=len(chargers),
        created_by=wish.created_by,
        created_at=now,
    )
    return uow.commands.add_batch(batch), to_publish(uow, notes)


def known_chargers(uow: UnitOfWork, device_ids: Iterable[str]) -> list[Charger]:
    """The chargers of these names. Raises :class:`Problem` when one is not known."""
    # In one order, so that two transactions never wait for each other in a circle.
    names = sorted(set(device_ids))
    found = [uow.chargers.by_device_id(name) for name in names]
    unknown = [name for name, charger in zip(names, found, strict=True) if charger is None]
    if unknown:
        some = ", ".join(unknown[:10]) + (" ..." if len(unknown) > 10 else "")
        detail = f"{len(unknown)} of the chargers are not known: {some}"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer="/chargers")
    return [charger for charger in found if charger is not None]


def pointer_of(path: str) -> str:
    """A fault's JSONPath as a JSON pointer (RFC 6901) into the payload."""
    return "".join(f"/{part}" for part in re.split(r"[.\[\]]+", path.removeprefix("$")) if part)


def _command(charger: Charger, wish: Wish, command_id: str, now: datetime, batch_id: str = "") -> Command:
    return new_command(
        charger,
        wish.action,
        wish.payload,
        command_id=command_id,
        now=now,
        timeout_s=wish.timeout_s,
        keep_s=wish.keep_s,
        created_by=wish.created_by,
        batch_id=batch_id,
    )
