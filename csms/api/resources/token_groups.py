"""Groups of id tokens, and how many sessions they may have at once."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from csms.api.operations import Call, Operation, Reply
from csms.api.parameters import Body, Paged, Text
from csms.api.resources.auditing import note
from csms.api.resources.changing import check_version, conflict, etag, located, version_of
from csms.api.resources.id_tokens import Note, Sessions, TokenText
from csms.api.resources.reading import not_found, read
from csms.api.views import Page
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork
from csms.domain.token_records import TokenGroup


class TokenGroupView(msgspec.Struct, rename="camel"):
    """A group. ``maxSessions`` is how many sessions all its tokens may have at once; null: any number."""

    name: str
    max_sessions: int | None
    note: str
    created_at: datetime | None


class TokenGroupQuery(Paged, frozen=True):
    """A page of groups."""

    after: Text = ""


class NewTokenGroup(Body, frozen=True):
    """A group that is to have a record. Tokens name it as their ``group``."""

    name: TokenText
    max_sessions: Sessions | None = None
    note: Note = ""


class TokenGroupChange(Body, frozen=True):
    """What is to change; members that are not there stay as they are."""

    max_sessions: Sessions | UnsetType | None = UNSET
    note: Note | UnsetType = UNSET


async def list_groups(call: Call[TokenGroupQuery, None]) -> Page[TokenGroupView]:
    """In the order of the names."""
    after, limit = call.query.after, call.query.limit

    def look(uow: UnitOfWork) -> Page[TokenGroupView]:
        found = uow.token_groups.page(after=after, limit=limit + 1)
        page = [_view(group) for group in found[:limit]]
        return Page(items=page, next=page[-1].name if len(found) > limit else None)

    return await read(call, "list token groups", look)


async def get_group(call: Call[Any, None]) -> Reply:
    """One of them."""

    def look(uow: UnitOfWork) -> TokenGroupView | None:
        group = uow.token_groups.get(call.path["name"])
        return None if group is None else _view(group)

    view = await read(call, "show token group", look)
    return Reply(body=view, headers=etag(version_of(view)))


async def create_group(call: Call[Any, NewTokenGroup]) -> Reply:
    """Makes a group known."""
    body, now = call.body, call.services.now()

    def add(uow: UnitOfWork) -> TokenGroupView:
        if uow.token_groups.get(body.name) is not None:
            raise conflict(f"there is a group {body.name} already")
        new = TokenGroup(name=body.name, max_sessions=body.max_sessions, note=body.note, created_at=now)
        view = _view(uow.token_groups.add(new))
        note(call, uow, f"token-groups/{view.name}", after=view)
        return view

    view = await call.services.database.transact(add, name="add token group")
    return Reply(body=view, headers={**etag(version_of(view)), **located("token-groups", view.name)})


async def change_group(call: Call[Any, TokenGroupChange]) -> Reply:
    """Gives a group another limit or note; sessions that run go on."""
    body = call.body

    def change(uow: UnitOfWork) -> TokenGroupView:
        group = _group(call, uow)
        before = _view(group)
        check_version(call.request, version_of(before))
        if body.max_sessions is not UNSET:
            group.max_sessions = body.max_sessions
        if body.note is not UNSET:
            group.note = body.note
        after = _view(group)
        if after != before:
            note(call, uow, f"token-groups/{group.name}", before=before, after=after)
        return after

    view = await call.services.database.transact(change, name="change token group")
    return Reply(body=view, headers=etag(version_of(view)))


async def remove_group(call: Call[Any, None]) -> None:
    """Forgets a group's record and its limit; tokens stay in it."""

    def remove(uow: UnitOfWork) -> None:
        group = _group(call, uow)
        before = _view(group)
        check_version(call.request, version_of(before))
        note(call, uow, f"token-groups/{group.name}", before=before)
        uow.token_groups.remove(group.name)

    await call.services.database.transact(remove, name="remove token group")


def _group(call: Call[Any, Any], uow: UnitOfWork) -> TokenGroup:
    group = uow.token_groups.get(call.path["name"])
    if group is None:
        raise not_found()
    return group


def _view(group: TokenGroup) -> TokenGroupView:
    return TokenGroupView(group.name, group.max_sessions, group.note, group.created_at)


OPERATIONS = (
    Operation(
        name="listTokenGroups",
        method="GET",
        path="/api/v1/token-groups",
        tag="id tokens",
        summary="Groups of tokens that have a record",
        role=Role.VIEWER,
        run=list_groups,
        query=TokenGroupQuery,
        answer=Page[TokenGroupView],
    ),
    Operation(
        name="createTokenGroup",
        method="POST",
        path="/api/v1/token-groups",
        tag="id tokens",
        summary="Make a group known, with a limit of sessions at once if it has one",
        role=Role.OPERATOR,
        run=create_group,
        body=NewTokenGroup,
        answer=TokenGroupView,
        status=HTTPStatus.CREATED,
    ),
    Operation(
        name="getTokenGroup",
        method="GET",
        path="/api/v1/token-groups/{name:name}",
        tag="id tokens",
        summary="One group",
        role=Role.VIEWER,
        run=get_group,
        answer=TokenGroupView,
    ),
    Operation(
        name="changeTokenGroup",
        method="PATCH",
        path="/api/v1/token-groups/{name:name}",
        tag="id tokens",
        summary="Give a group another limit or note",
        role=Role.OPERATOR,
        run=change_group,
        body=TokenGroupChange,
        answer=TokenGroupView,
        problems=(HTTPStatus.PRECONDITION_FAILED,),
    ),
    Operation(
        name="removeTokenGroup",
        method="DELETE",
        path="/api/v1/token-groups/{name:name}",
        tag="id tokens",
        summary="Forget a group's limit; its tokens stay in it",
        role=Role.OPERATOR,
        run=remove_group,
        problems=(HTTPStatus.PRECONDITION_FAILED,),
    ),
)
