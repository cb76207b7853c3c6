"""Cards and accounts that may charge."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from csms.api.operations import Call, Operation, Reply
from csms.api.parameters import END, NO_NUL, Body, Paged, Text
from csms.api.resources.auditing import note
from csms.api.resources.changing import check_version, conflict, etag, in_utc, located, version_of
from csms.api.resources.reading import not_found, read
from csms.api.views import IdTokenView, Page, id_token_view
from csms.domain.model import IdToken
from csms.domain.people import Role
from csms.domain.repositories import UnitOfWork

TokenText = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]([ -~]*[!-~])?" + END)]
Note = Annotated[str, Meta(max_length=1000, pattern=NO_NUL)]
Expiry = Annotated[datetime, Meta(tz=True)]
Sessions = Annotated[int, Meta(ge=1, le=1_000_000)]


class IdTokenQuery(Paged, frozen=True):
    """A page of id tokens."""

    after: Text = ""


class NewIdToken(Body, frozen=True):
    """An id token that is to charge. ``maxSessions`` is how many sessions at once; null: any number."""

    token: TokenText
    type: Text = ""
    blocked: bool = False
    expires_at: Expiry | None = None
    group: Text = ""
    max_sessions: Sessions | None = None
    note: Note = ""


class IdTokenChange(Body, frozen=True):
    """What is to change; members that are not there stay as they are."""

    type: Text | UnsetType = UNSET
    blocked: bool | UnsetType = UNSET
    expires_at: Expiry | UnsetType | None = UNSET
    group: Text | UnsetType = UNSET
    max_sessions: Sessions | UnsetType | None = UNSET
    note: Note | UnsetType = UNSET


_CHANGEABLE = ("type", "blocked", "expires_at", "group", "max_sessions", "note")


async def list_id_tokens(call: Call[IdTokenQuery, None]) -> Page[IdTokenView]:
    """In the order of the tokens."""
    after, limit = call.query.after, call.query.limit

    def look(uow: UnitOfWork) -> Page[IdTokenView]:
        found = uow.id_tokens.page(after=after, limit=limit + 1)
        page = [id_token_view(token) for token in found[:limit]]
        return Page(items=page, next=page[-1].token if len(found) > limit else None)

    return await read(call, "list id tokens", look)


async def get_id_token(call: Call[Any, None]) -> Reply:
    """One of them."""

    def look(uow: UnitOfWork) -> IdTokenView | None:
        token = uow.id_tokens.get(call.path["token"])
        return None if token is None else id_token_view(token)

    view = await read(call, "show id token", look)
    return Reply(body=view, headers=etag(version_of(view)))


async def create_id_token(call: Call[Any, NewIdToken]) -> Reply:
    """Lets a token charge."""
    body = call.body
    given = {name: getattr(body, name) for name in _CHANGEABLE}
    given["expires_at"] = None if body.expires_at is None else in_utc(body.expires_at)
    now = call.services.now()

    def add(uow: UnitOfWork) -> IdTokenView:
        if uow.id_tokens.get(body.token) is not None:
            raise conflict(f"there is a token {body.token} already")
        view = id_token_view(uow.id_tokens.add(IdToken(token=body.token, created_at=now, **given)))
        note(call, uow, f"id-tokens/{view.token}", after=view)
        return view

    view = await call.services.database.transact(add, name="add id token")
    return Reply(body=view, headers={**etag(version_of(view)), **located("id-tokens", view.token)})


async def change_id_token(call: Call[Any, IdTokenChange]) -> Reply:
    """Blocks a token, gives it another expiry, and so on."""
    given = {name: getattr(call.body, name) for name in _CHANGEABLE}
    changes = {name: value for name, value in given.items() if value is not UNSET}
    if isinstance(changes.get("expires_at"), datetime):
        changes["expires_at"] = in_utc(changes["expires_at"])

    def change(uow: UnitOfWork) -> IdTokenView:
        token = _token(call, uow)
        before = id_token_view(token)
        check_version(call.request, version_of(before))
        for name, value in changes.items():
            setattr(token, name, value)
        after = id_token_view(token)
        if after != before:
            note(call, uow, f"id-tokens/{token.token}", before=before, after=after)
        return after

    view = await call.services.database.transact(change, name="change id token")
    return Reply(body=view, headers=etag(version_of(view)))


async def remove_id_token(call: Call[Any, None]) -> None:
    """Forgets a token; sessions that ran on it stay."""

    def remove(uow: UnitOfWork) -> None:
        token = _token(call, uow)
        before = id_token_view(token)
        check_version(call.request, version_of(before))
        note(call, uow, f"id-tokens/{token.token}", before=before)
        uow.id_tokens.remove(token)

    await call.services.database.transact(remove, name="remove id token")


def _token(call: Call[Any, Any], uow: UnitOfWork) -> IdToken:
    token = uow.id_tokens.get(call.path["token"])
    if token is None:
        raise not_found()
    return token


OPERATIONS = (
    Operation(
        name="listIdTokens",
        method="GET",
        path="/api/v1/id-tokens",
        tag="id tokens",
        summary="Cards and accounts that may charge",
        role=Role.VIEWER,
        run=list_id_tokens,
        query=IdTokenQuery,
        answer=Page[IdTokenView],
    ),
    Operation(
        name="createIdToken",
        method="POST",
        path="/api/v1/id-tokens",
        tag="id tokens",
        summary="Let a token charge",
        role=Role.OPERATOR,
        run=create_id_token,
        body=NewIdToken,
        answer=IdTokenView,
        status=HTTPStatus.CREATED,
    ),
    Operation(
        name="getIdToken",
        method="GET",
        path="/api/v1/id-tokens/{token:name}",
        tag="id tokens",
        summary="One token",
        role=Role.VIEWER,
        run=get_id_token,
        answer=IdTokenView,
    ),
    Operation(
        name="changeIdToken",
        method="PATCH",
        path="/api/v1/id-tokens/{token:name}",
        tag="id tokens",
        summary="Block a token, give it another expiry, group, limit or note",
        role=Role.OPERATOR,
        run=change_id_token,
        body=IdTokenChange,
        answer=IdTokenView,
        problems=(HTTPStatus.PRECONDITION_FAILED,),
    ),
    Operation(
        name="removeIdToken",
        method="DELETE",
        path="/api/v1/id-tokens/{token:name}",
        tag="id tokens",
        summary="Forget a token; sessions that ran on it stay",
        role=Role.OPERATOR,
        run=remove_id_token,
        problems=(HTTPStatus.PRECONDITION_FAILED,),
    ),
)
