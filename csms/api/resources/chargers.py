"""Charging stations."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta

from csms.api import queries
from csms.api.operations import Call, Operation, Reply
from csms.api.parameters import END, Body, Paged, Text
from csms.api.resources.auditing import note
from csms.api.resources.changing import check_version, conflict, etag, invalid, located, version_of
from csms.api.resources.reading import not_found, read
from csms.api.views import ChargerView, NewCharger, NewPassword, Page, charger_view, fields_of
from csms.domain import password_rotation
from csms.domain.credentials import MAX_LENGTH, MIN_LENGTH, generate_password, hash_password, objection
from csms.domain.model import Charger, Registration
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork

_VISIBLE = r"[!-.0-9;-\[\]-~]"
_CHARACTER = r"[ -.0-9;-\[\]-~]"
DeviceId = Annotated[str, Meta(min_length=1, max_length=48, pattern=f"^{_VISIBLE}({_CHARACTER}*{_VISIBLE})?" + END)]
"""What can be the end of a charger's URL and, without a colon, a user name of HTTP Basic."""
Password = Annotated[str, Meta(min_length=MIN_LENGTH, max_length=MAX_LENGTH, pattern=r"^[!-~]+" + END)]


class ChargerQuery(Paged, frozen=True):
    """A page of chargers."""

    after: Text = ""


class ChargerWish(Body, frozen=True):
    """A charger that is to be let in. Without ``password`` a random one is made, and told in the answer."""

    device_id: DeviceId
    password: Password | None = None
    registration: Registration = Registration.ACCEPTED


class ChargerChange(Body, frozen=True):
    """What is to change. A charger that is connected learns of it at its next BootNotification."""

    registration: Registration


class PasswordWish(Body, frozen=True):
    """Another password; null: a random one is made."""

    password: Password | None = None


async def list_chargers(call: Call[ChargerQuery, None]) -> Page[ChargerView]:
    """In the order of their deviceId."""
    after, limit = call.query.after, call.query.limit
    return await read(call, "list chargers", lambda uow: queries.chargers(uow, after, limit))


async def get_charger(call: Call[Any, None]) -> Reply:
    """One of them."""
    device_id = call.path["deviceId"]
    view = await read(call, "show charger", lambda uow: queries.charger(uow, device_id))
    return Reply(body=view, headers=etag(_version(view.device_id, view.registration)))


async def create_charger(call: Call[Any, ChargerWish]) -> Reply:
    """Lets a charger in."""
    body, now = call.body, call.services.now()
    if body.device_id in (".", ".."):
        raise invalid("/deviceId", "no URL can end in this")
    password = _password(body.password)

    def add(uow: UnitOfWork) -> NewCharger:
        if uow.chargers.by_device_id(body.device_id) is not None:
            raise conflict(f"there is a charger {body.device_id} already")
        new = Charger(
            device_id=body.device_id,
            registration=body.registration,
            password_hash=hash_password(password),
            created_at=now,
        )
        view = charger_view(uow.chargers.add(new), [])
        note(call, uow, f"chargers/{view.device_id}", after={"registration": view.registration})
        shown = None if body.password is not None else password
        return NewCharger(**fields_of(ChargerView, view), password=shown)

    view = await call.services.database.transact(add, name="add charger")
    return Reply(
        body=view, headers={**etag(_version(view.device_id, view.registration)), **located("chargers", view.device_id)}
    )


async def change_charger(call: Call[Any, ChargerChange]) -> Reply:
    """Accepts or rejects a charger."""
    wanted = call.body.registration

    def change(uow: UnitOfWork) -> ChargerView:
        charger = charger_of(call, uow)
        check_version(call.request, _version(charger.device_id, charger.registration))
        if charger.registration is not wanted:
            before = {"registration": charger.registration}
            note(call, uow, f"chargers/{charger.device_id}", before=before, after={"registration": wanted})
            charger.registration = wanted
        return charger_view(charger, uow.chargers.connectors([charger.id]))

    view = await call.services.database.transact(change, name="change charger")
    return Reply(body=view, headers=etag(_version(view.device_id, view.registration)))


async def set_password(call: Call[Any, PasswordWish]) -> NewPassword:
    """Gives a charger another password; a connection that is open stays open."""
    password = _password(call.body.password)

    def change(uow: UnitOfWork) -> None:
        charger = charger_of(call, uow)
        password_rotation.replace(charger, password)
        note(call, uow, f"chargers/{charger.device_id}/password")

    await call.services.database.transact(change, name="set charger password")
    return NewPassword(password=None if call.body.password is not None else password)


async def remove_charger(call: Call[Any, None]) -> None:
    """Lets a charger in no more; its sessions and its message log stay."""

    def remove(uow: UnitOfWork) -> None:
        charger = charger_of(call, uow)
        check_version(call.request, _version(charger.device_id, charger.registration))
        note(call, uow, f"chargers/{charger.device_id}", before={"registration": charger.registration})
        uow.chargers.remove(charger.device_id)

    await call.services.database.transact(remove, name="remove charger")


def charger_of(call: Call[Any, Any], uow: UnitOfWork) -> Charger:
    """The charger that the path names."""
    charger = uow.chargers.by_device_id(call.path["deviceId"])
    if charger is None:
        raise not_found()
    return charger


def _version(device_id: str, registration: str) -> str:
    """Of what people change; the rest changes with each of the charger's messages."""
    return version_of(device_id, str(registration))


def _password(given: str | None) -> str:
    if given is None:
        return generate_password()
    why_not = objection(given)
    if why_not:
        raise invalid("/password", why_not)
    return given


_CHANGES = (HTTPStatus.PRECONDITION_FAILED,)

OPERATIONS = (
    Operation(
        name="listChargers",
        method="GET",
        path="/api/v1/chargers",
        tag="chargers",
        summary="Chargers with their connectors, by deviceId",
        role=Role.VIEWER,
        run=list_chargers,
        query=ChargerQuery,
        answer=Page[ChargerView],
    ),
    Operation(
        name="createCharger",
        method="POST",
        path="/api/v1/chargers",
        tag="chargers",
        summary="Let a charger in",
        role=Role.OPERATOR,
        run=create_charger,
        secret=True,
        body=ChargerWish,
        answer=NewCharger,
        status=HTTPStatus.CREATED,
    ),
    Operation(
        name="getCharger",
        method="GET",
        path="/api/v1/chargers/{deviceId}",
        tag="chargers",
        summary="One charger with its connectors",
        role=Role.VIEWER,
        run=get_charger,
        answer=ChargerView,
    ),
    Operation(
        name="changeCharger",
        method="PATCH",
        path="/api/v1/chargers/{deviceId}",
        tag="chargers",
        summary="Accept a charger, leave it pending or reject it",
        role=Role.OPERATOR,
        run=change_charger,
        body=ChargerChange,
        answer=ChargerView,
        problems=_CHANGES,
    ),
    Operation(
        name="removeCharger",
        method="DELETE",
        path="/api/v1/chargers/{deviceId}",
        tag="chargers",
        summary="Let a charger in no more; its sessions and its message log stay",
        role=Role.OPERATOR,
        run=remove_charger,
        problems=_CHANGES,
    ),
    Operation(
        name="setChargerPassword",
        method="POST",
        path="/api/v1/chargers/{deviceId}/password",
        tag="chargers",
        summary="Give a charger another password; gateways may take the old one for another half minute",
        role=Role.OPERATOR,
        run=set_password,
        secret=True,
        body=PasswordWish,
        answer=NewPassword,
    ),
)
