"""The JSON of people, API tokens and the log of changes. Nothing secret is in here but a new API token, once."""

from __future__ import annotations

from datetime import datetime

import msgspec

from csms.api.views import fields_of
from csms.domain.people import ApiToken, AuditEntry, PrincipalKind, Role, User


class PrincipalView(msgspec.Struct, rename="camel"):
    """Who asks."""

    name: str
    role: Role
    kind: PrincipalKind
    expires_at: datetime


class UserView(msgspec.Struct, rename="camel"):
    """Somebody who signs in with name and password."""

    name: str
    role: Role
    created_at: datetime
    version: int


class ApiTokenView(msgspec.Struct, rename="camel"):
    """An API token, without the token."""

    id: int
    name: str
    role: Role
    expires_at: datetime
    created_at: datetime
    created_by: str


class NewApiToken(ApiTokenView, rename="camel"):
    """An API token with the token itself, which is shown this once."""

    token: str


class AuditView(msgspec.Struct, rename="camel"):
    """A change. ``before`` and ``after`` are null where there was nothing, and show only what differs."""

    id: int
    at: datetime
    kind: PrincipalKind
    name: str
    address: str
    action: str
    target: str
    before: msgspec.Raw
    after: msgspec.Raw


def user_view(user: User) -> UserView:
    """Without the password's hash."""
    return UserView(**fields_of(UserView, user))


def token_view(token: ApiToken) -> ApiTokenView:
    """Without the token's hash."""
    return ApiTokenView(**fields_of(ApiTokenView, token))


def audit_view(entry: AuditEntry) -> AuditView:
    """All of it."""
    fields = fields_of(AuditView, entry)
    fields["before"], fields["after"] = _raw(entry.before), _raw(entry.after)
    return AuditView(**fields)


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode() or b"null")
