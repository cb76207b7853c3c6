"""Commands to chargers: send, wait for the answer, look, cancel; one charger or many."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from csms.api import command_requests as requests
from csms.api.command_waits import Wait
from csms.api.operations import Call, Operation, Reply
from csms.api.parameters import Body, Paged, Query, Text
from csms.api.problems import Problem, problem_headers, problem_view
from csms.api.resources.auditing import note
from csms.api.resources.reading import not_found, read
from csms.api.views import Page
from csms.api.views_commands import BatchView, CommandView, batch_view, command_view
from csms.domain import command_life
from csms.domain.command_model import Command, CommandState
from csms.domain.commands import to_publish
from csms.domain.handling import Notes
from csms.domain.identifiers import new_id
from csms.domain.model import Charger
from csms.domain.password_commands import sets_password
from csms.domain.people import Role
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.ports import DatabaseUnavailable

MAX_BATCH = 1000
_CHUNK = 200
DAY_S = 86_400.0
_log = Logger(namespace="csms.api")

Timeout = Annotated[float, Meta(ge=1, le=600, description="seconds that the charger may take to answer")]
Keep = Annotated[
    float, Meta(ge=1, le=30 * DAY_S, description="seconds to keep it for a charger that is not connected now")
]
DeviceId = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00]+$")]
_ENDS = {
    CommandState.NOT_CONNECTED: (HTTPStatus.CONFLICT, "{device} is not connected"),
    CommandState.CANCELLED: (HTTPStatus.CONFLICT, "the command was cancelled"),
    CommandState.INVALID: (HTTPStatus.CONFLICT, "the command could not be sent: {why}"),
    CommandState.EXPIRED: (HTTPStatus.GATEWAY_TIMEOUT, "the command could not be sent in time; it never will be"),
    CommandState.TIMED_OUT: (HTTPStatus.GATEWAY_TIMEOUT, "{device} has not answered in time; it may have obeyed"),
    CommandState.UNKNOWN: (HTTPStatus.GATEWAY_TIMEOUT, "the answer of {device} was lost; it may have obeyed"),
    CommandState.WAITING: (HTTPStatus.GATEWAY_TIMEOUT, "the command is not sent yet; it still may be"),
    CommandState.SENT: (HTTPStatus.GATEWAY_TIMEOUT, "{device} has not answered yet; it still may"),
}
"""What is no answer of the charger's."""


class SendQuery(Query, frozen=True):
    """How to send."""

    timeout: Timeout = 30.0
    wait: Annotated[bool, Meta(description="false: answer at once, with where to look later")] = True
    queue: Keep | None = None


class CommandQuery(Paged, frozen=True):
    """Which commands; ``before`` is the id of the last one seen."""

    device_id: Text = ""
    action: Text = ""
    state: CommandState | None = None
    batch_id: Text = ""
    before: Text = ""


class ChargerFilter(Body, frozen=True):
    """Chargers of which all of this is true."""

    connected: bool | None = None
    ocpp_version: Text | None = None
    vendor: Text | None = None
    model: Text | None = None
    firmware_version: Text | None = None

    def takes(self, charger: Charger) -> bool:
        """Whether ``charger`` is meant."""
        wanted = (
            (self.connected, charger.connected),
            (self.ocpp_version, charger.ocpp_version),
            (self.vendor, charger.vendor),
            (self.model, charger.model),
            (self.firmware_version, charger.firmware_version),
        )
        return all(want is None or want == has for want, has in wanted)


class BatchWish(Body, frozen=True):
    """The same command for the chargers that are listed, or for all that the filter takes."""

    action: Annotated[str, Meta(min_length=1, max_length=50)]
    payload: dict[str, Any]
    chargers: Annotated[list[DeviceId], Meta(min_length=1, max_length=MAX_BATCH)] | None = None
    filter: ChargerFilter | None = None
    timeout: Timeout = 30.0
    queue: Keep | None = None


async def send_command(call: Call[SendQuery, dict[str, Any]]) -> Reply:
    """Store, put on its way, and wait for the charger's answer."""
    services, query, now = call.services, call.query, call.services.now()
    device_id, command_id = call.path["deviceId"], new_id(int(now.timestamp() * 1000))
    wish = requests.read_wish(
        call.path["action"], call.body, timeout_s=query.timeout, keep_s=query.queue, created_by=call.principal.name
    )
    wait = services.waits.expect(command_id)
    try:
        rows = await services.database.transact(
            lambda uow: requests.store_one(uow, device_id, command_id, wish, now), name="store command"
        )
        if rows is None:
            raise not_found()
        services.publish(rows)
        return await _followed(call, command_id, wait, now)
    finally:
        services.waits.forget(command_id)


async def _followed(call: Call[SendQuery, Any], command_id: str, wait: Wait, since: datetime) -> Reply:
    """How the command ends, or how far it is. Raises nothing: the charger may obey, whatever is told here."""
    left_s = call.query.timeout
    try:
        try:
            while call.query.wait:
                looked = await wait.worth_a_look(left_s)
                command = await _command(call, command_id)
                left_s = call.query.timeout - (call.services.now() - since).total_seconds()
                if not looked or left_s <= 0 or not command.state.is_on_the_way:
                    return _outcome(command)
        except CancelledError:
            _log.debug("nobody waits for command {id} any more", id=command_id)
        # Who has gone may ask again with the same Idempotency-Key.
        return _accepted(await _command(call, command_id))
    except DatabaseUnavailable:
        detail = f"the database cannot be reached now; the command may be sent (command {command_id})"
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, command_id)


async def _command(call: Call[Any, Any], command_id: str) -> Command:
    return await read(call, "command", lambda uow: uow.commands.get(command_id))


def _outcome(command: Command) -> Reply:
    if command.state in (CommandState.ANSWERED, CommandState.REFUSED):
        return Reply(body=command_view(command), headers={"Location": _location(command.command_id)})
    if command.state is CommandState.QUEUED:
        return _accepted(command)
    status, text = _ENDS[command.state]
    detail = text.format(device=command.device_id, why=command.error_description)
    return _problem(status, f"{detail} (command {command.command_id})", command.command_id)


def _accepted(command: Command) -> Reply:
    headers = {"Location": _location(command.command_id)}
    return Reply(body=command_view(command), status=HTTPStatus.ACCEPTED, headers=headers)


def _problem(status: HTTPStatus, detail: str, command_id: str) -> Reply:
    problem = Problem(status, detail)
    headers = {**problem_headers(problem), "Location": _location(command_id)}
    return Reply(body=problem_view(problem), status=status, headers=headers)


def _location(command_id: str) -> str:
    return f"/api/v1/commands/{command_id}"


async def list_commands(call: Call[CommandQuery, None]) -> Page[CommandView]:
    """Newest first."""
    query = call.query

    def page(uow: UnitOfWork) -> Page[CommandView]:
        found = uow.commands.page(
            device_id=query.device_id,
            action=query.action,
            state=query.state,
            batch_id=query.batch_id,
            before=query.before,
            limit=query.limit + 1,
        )
        shown = found[: query.limit]
        following = shown[-1].command_id if len(found) > query.limit else None
        return Page(items=[command_view(command) for command in shown], next=following)

    return await read(call, "list commands", page)


async def get_command(call: Call[Any, None]) -> CommandView:
    """One of them."""
    return command_view(await _command(call, call.path["commandId"]))


async def cancel_command(call: Call[Any, None]) -> CommandView:
    """Only what the charger has not seen can be called back."""
    command_id, now = call.path["commandId"], call.services.now()

    def cancel(uow: UnitOfWork) -> tuple[Command | None, bool, list[OutboxRow]]:
        notes = Notes(new_id(int(now.timestamp() * 1000)), now)
        command = command_life.cancel(uow, command_id, now, notes)
        if command is not None and notes.list:
            note(call, uow, f"commands/{command_id}", after={"state": command.state})
        return command, bool(notes.list), to_publish(uow, notes)

    command, changed, rows = await call.services.database.transact(cancel, name="cancel command")
    if command is None:
        raise not_found()
    if not changed and command.state is not CommandState.CANCELLED:
        raise Problem(HTTPStatus.CONFLICT, f"it is too late to cancel it: it is {command.state}")
    call.services.publish(rows)
    return command_view(command)


async def send_to_many(call: Call[Any, BatchWish]) -> Reply:
    """Store a command for each charger, and put all on their way."""
    services, body, now = call.services, call.body, call.services.now()
    if (body.chargers is None) == (body.filter is None):
        detail = "either chargers or filter says which chargers are meant"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer="")
    if sets_password(body.payload):
        detail = "every charger needs a password of its own: send each one alone"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer="/payload")
    wish = requests.read_wish(
        body.action, body.payload, timeout_s=body.timeout, keep_s=body.queue, created_by=call.principal.name
    )
    batch_id = new_id(int(now.timestamp() * 1000))

    def store(uow: UnitOfWork) -> tuple[BatchView, list[OutboxRow]]:
        chargers = _filtered(uow, body.filter) if body.filter else requests.known_chargers(uow, body.chargers or ())
        batch, rows = requests.store_many(uow, chargers, batch_id, wish, now)
        return batch_view(batch, uow.commands.states_of(batch_id)), rows

    view, rows = await services.database.transact(store, name="store commands")
    services.publish(rows)
    return Reply(body=view, status=HTTPStatus.ACCEPTED, headers={"Location": f"/api/v1/command-batches/{view.id}"})


def _filtered(uow: UnitOfWork, wanted: ChargerFilter) -> list[Charger]:
    found: list[Charger] = []
    page = uow.chargers.page(limit=_CHUNK)
    while page:
        found += [charger for charger in page if wanted.takes(charger)]
        if len(found) > MAX_BATCH:
            detail = f"the filter takes more than {MAX_BATCH} chargers"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer="/filter")
        page = uow.chargers.page(after=page[-1].device_id, limit=_CHUNK)
    if not found:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the filter takes no charger", pointer="/filter")
    return found


async def get_batch(call: Call[Any, None]) -> BatchView:
    """How far a batch is."""
    batch_id = call.path["batchId"]

    def find(uow: UnitOfWork) -> BatchView | None:
        batch = uow.commands.batch(batch_id)
        return None if batch is None else batch_view(batch, uow.commands.states_of(batch_id))

    return await read(call, "show command batch", find)


OPERATIONS = (
    Operation(
        name="sendCommand",
        method="POST",
        path="/api/v1/chargers/{deviceId}/commands/{action}",
        tag="commands",
        summary="Send an OCPP request to a charger and wait for its answer; the body is the request's payload",
        role=Role.OPERATOR,
        run=send_command,
        query=SendQuery,
        body=dict[str, Any],
        answer=CommandView,
        others={HTTPStatus.ACCEPTED: CommandView},
        problems=(HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.GATEWAY_TIMEOUT),
    ),
    Operation(
        name="listCommands",
        method="GET",
        path="/api/v1/commands",
        tag="commands",
        summary="Commands, newest first",
        role=Role.VIEWER,
        run=list_commands,
        query=CommandQuery,
        answer=Page[CommandView],
    ),
    Operation(
        name="getCommand",
        method="GET",
        path="/api/v1/commands/{commandId}",
        tag="commands",
        summary="One command, with the charger's answer",
        role=Role.VIEWER,
        run=get_command,
        answer=CommandView,
    ),
    Operation(
        name="cancelCommand",
        method="POST",
        path="/api/v1/commands/{commandId}/cancel",
        tag="commands",
        summary="Cancel a command that was not sent yet",
        role=Role.OPERATOR,
        run=cancel_command,
        answer=CommandView,
        problems=(HTTPStatus.CONFLICT,),
    ),
    Operation(
        name="sendCommandToMany",
        method="POST",
        path="/api/v1/commands",
        tag="commands",
        summary="Send the same OCPP request to many chargers",
        role=Role.OPERATOR,
        run=send_to_many,
        body=BatchWish,
        answer=BatchView,
        status=HTTPStatus.ACCEPTED,
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS),
    ),
    Operation(
        name="getCommandBatch",
        method="GET",
        path="/api/v1/command-batches/{batchId}",
        tag="commands",
        summary="How far a command to many chargers is",
        role=Role.VIEWER,
        run=get_batch,
        answer=BatchView,
    ),
)
