"""Users and API tokens."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta

from csms.api.access import hash_of, name_by_token, new_api_token
from csms.api.operations import Call, Operation, Reply
from csms.api.parameters import END, NO_NUL, Body, Id, Paged, Text
from csms.api.passwords import TooBusy
from csms.api.problems import Problem
from csms.api.resources.auditing import note
from csms.api.resources.changing import check_version, conflict, etag, in_utc, invalid, located
from csms.api.resources.reading import not_found, read
from csms.api.views import Page, fields_of
from csms.api.views_people import ApiTokenView, NewApiToken, PrincipalView, UserView, token_view, user_view
from csms.domain.people import (
    MAX_PASSWORD,
    MIN_PASSWORD,
    ApiToken,
    Role,
    User,
    name_objection,
    password_objection,
)
from csms.domain.repositories import UnitOfWork

TokenName = Annotated[str, Meta(min_length=1, max_length=100, pattern=NO_NUL)]
UserName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*" + END)]
Password = Annotated[str, Meta(min_length=MIN_PASSWORD, max_length=MAX_PASSWORD, pattern=NO_NUL)]


class UserQuery(Paged, frozen=True):
    """A page of users."""

    after: Text = ""


class TokenQuery(Paged, frozen=True):
    """A page of API tokens."""

    after: Id | None = None


class NewUser(Body, frozen=True):
    """Somebody who is to sign in."""

    name: UserName
    password: Password
    role: Role


class UserChange(Body, frozen=True):
    """What is to change of a user; either ends all sign-ins of the user."""

    role: Role | None = None
    password: Password | None = None


class TokenWish(Body, frozen=True):
    """An API token that is to be made. It never does more than the one who makes it."""

    name: TokenName
    role: Role
    expires_at: Annotated[datetime, Meta(tz=True)]


async def me(call: Call[Any, None]) -> PrincipalView:
    """Who asks."""
    sign_in = call.request.sign_in
    assert sign_in is not None
    return PrincipalView(**fields_of(PrincipalView, call.principal), expires_at=sign_in.expires_at)


async def list_users(call: Call[UserQuery, None]) -> Page[UserView]:
    """By name."""
    after, limit = call.query.after, call.query.limit

    def look(uow: UnitOfWork) -> Page[UserView]:
        found = uow.people.users(after=after, limit=limit + 1)
        page = [user_view(user) for user in found[:limit]]
        return Page(items=page, next=page[-1].name if len(found) > limit else None)

    return await read(call, "list users", look)


async def get_user(call: Call[Any, None]) -> Reply:
    """One of them."""

    def look(uow: UnitOfWork) -> UserView | None:
        user = uow.people.user(call.path["name"])
        return None if user is None else user_view(user)

    view = await read(call, "show user", look)
    return Reply(body=view, headers=etag(view.version))


async def create_user(call: Call[Any, NewUser]) -> Reply:
    """Lets somebody sign in."""
    body, now = call.body, call.services.now()
    for pointer, objection in (
        ("/name", name_objection(body.name)),
        ("/password", password_objection(body.password, body.name)),
    ):
        if objection:
            raise invalid(pointer, objection)
    password_hash = await _hashed(call, body.password)

    def add(uow: UnitOfWork) -> UserView:
        if uow.people.user(body.name) is not None:
            raise conflict(f"there is a user {body.name} already")
        user = User(name=body.name, role=body.role, password_hash=password_hash, created_at=now)
        view = user_view(uow.people.add_user(user))
        note(call, uow, f"users/{view.name}", after=view)
        return view

    view = await call.services.database.transact(add, name="add user")
    return Reply(body=view, headers={**etag(view.version), **located("users", view.name)})


async def change_user(call: Call[Any, UserChange]) -> Reply:
    """Gives a user another role or password; ends the sign-ins that were made with the old ones."""
    body, name = call.body, call.path["name"]
    if body.password is not None and (objection := password_objection(body.password, name)):
        raise invalid("/password", objection)
    password_hash = None if body.password is None else await _hashed(call, body.password)

    def change(uow: UnitOfWork) -> tuple[UserView, list[str]]:
        user = _user(call, uow)
        check_version(call.request, user.version)
        before = user_view(user)
        if password_hash is None and body.role in (None, user.role):
            return before, []
        user.role = body.role or user.role
        user.password_hash = password_hash or user.password_hash
        user.version += 1
        ended = list(uow.people.end_sign_ins(user))
        after = user_view(user)
        note(call, uow, f"users/{user.name}", before=before, after=after)
        return after, ended

    view, ended = await call.services.database.transact(change, name="change user")
    for session in ended:
        call.services.signed_out(session)
    return Reply(body=view, headers=etag(view.version))


async def remove_user(call: Call[Any, None]) -> None:
    """Forgets a user, with all sign-ins and API tokens."""

    def remove(uow: UnitOfWork) -> list[str]:
        user = _user(call, uow)
        check_version(call.request, user.version)
        note(call, uow, f"users/{user.name}", before=user_view(user))
        return list(uow.people.remove_user(user))

    for token_hash in await call.services.database.transact(remove, name="remove user"):
        call.services.signed_out(token_hash)
        call.services.signed_out(name_by_token(token_hash))


async def list_tokens(call: Call[TokenQuery, None]) -> Page[ApiTokenView]:
    """Oldest first."""
    after, limit = call.query.after, call.query.limit

    def look(uow: UnitOfWork) -> Page[ApiTokenView]:
        found = uow.people.tokens(after=after or 0, limit=limit + 1)
        page = [token_view(token) for token in found[:limit]]
        return Page(items=page, next=page[-1].id if len(found) > limit else None)

    return await read(call, "list API tokens", look)


async def create_token(call: Call[Any, TokenWish]) -> Reply:
    """Makes a token, which is shown this once."""
    body, now = call.body, call.services.now()
    if body.expires_at <= now:
        raise invalid("/expiresAt", "that time is over")
    secret = new_api_token()
    sign_in = call.request.sign_in
    assert sign_in is not None

    def add(uow: UnitOfWork) -> NewApiToken:
        token = ApiToken(
            name=body.name,
            role=body.role if call.principal.role.includes(body.role) else call.principal.role,
            token_hash=hash_of(secret),
            user_id=sign_in.user_id,
            expires_at=in_utc(body.expires_at),
            created_at=now,
            created_by=call.principal.name,
        )
        view = token_view(uow.people.add_token(token))
        note(call, uow, f"api-tokens/{view.id}", after=view)
        return NewApiToken(**fields_of(ApiTokenView, view), token=secret)

    return Reply(body=await call.services.database.transact(add, name="add API token"))


async def remove_token(call: Call[Any, None]) -> None:
    """Ends a token's use."""

    def remove(uow: UnitOfWork) -> str:
        token = uow.people.token(call.path["tokenId"])
        if token is None:
            raise not_found()
        note(call, uow, f"api-tokens/{token.id}", before=token_view(token))
        uow.people.remove_token(token)
        return token.token_hash

    token_hash = await call.services.database.transact(remove, name="remove API token")
    call.services.signed_out(name_by_token(token_hash))


def _user(call: Call[Any, Any], uow: UnitOfWork) -> User:
    user = uow.people.user(call.path["name"])
    if user is None:
        raise not_found()
    return user


async def _hashed(call: Call[Any, Any], password: str) -> str:
    try:
        return await call.services.passwords.hash(password)
    except TooBusy:
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too many passwords are being checked") from None


_CHANGES = (HTTPStatus.PRECONDITION_FAILED,)

OPERATIONS = (
    Operation(
        name="getMe",
        method="GET",
        path="/api/v1/me",
        tag="people",
        summary="Who asks, with which role",
        role=Role.VIEWER,
        run=me,
        answer=PrincipalView,
    ),
    Operation(
        name="listUsers",
        method="GET",
        path="/api/v1/users",
        tag="people",
        summary="Users, by name",
        role=Role.ADMIN,
        run=list_users,
        query=UserQuery,
        answer=Page[UserView],
    ),
    Operation(
        name="createUser",
        method="POST",
        path="/api/v1/users",
        tag="people",
        summary="Let somebody sign in with name and password",
        role=Role.ADMIN,
        run=create_user,
        secret=True,
        body=NewUser,
        answer=UserView,
        status=HTTPStatus.CREATED,
        problems=(HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS),
    ),
    Operation(
        name="getUser",
        method="GET",
        path="/api/v1/users/{name}",
        tag="people",
        summary="One user",
        role=Role.ADMIN,
        run=get_user,
        answer=UserView,
    ),
    Operation(
        name="changeUser",
        method="PATCH",
        path="/api/v1/users/{name}",
        tag="people",
        summary="Give a user another role or password; all sign-ins of the user end",
        role=Role.ADMIN,
        run=change_user,
        body=UserChange,
        answer=UserView,
        problems=(*_CHANGES, HTTPStatus.TOO_MANY_REQUESTS),
    ),
    Operation(
        name="removeUser",
        method="DELETE",
        path="/api/v1/users/{name}",
        tag="people",
        summary="Forget a user, with all sign-ins and API tokens",
        role=Role.ADMIN,
        run=remove_user,
        problems=_CHANGES,
    ),
    Operation(
        name="listApiTokens",
        method="GET",
        path="/api/v1/api-tokens",
        tag="people",
        summary="API tokens, without the tokens themselves",
        role=Role.ADMIN,
        run=list_tokens,
        query=TokenQuery,
        answer=Page[ApiTokenView],
    ),
    Operation(
        name="createApiToken",
        method="POST",
        path="/api/v1/api-tokens",
        tag="people",
        summary="Make an API token, which is shown this once",
        role=Role.ADMIN,
        run=create_token,
        secret=True,
        body=TokenWish,
        answer=NewApiToken,
        status=HTTPStatus.CREATED,
    ),
    Operation(
        name="removeApiToken",
        method="DELETE",
        path="/api/v1/api-tokens/{tokenId:id}",
        tag="people",
        summary="End an API token's use",
        role=Role.ADMIN,
        run=remove_token,
    ),
)
