"""Who may do what: people and programs that use csms, and their roles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do; each role may do what the ones before may."""

    VIEWER = "viewer"
    """Look at everything but people and secrets."""
    OPERATOR = "operator"
    """Run the chargers: send commands, change chargers and id tokens."""
    ADMIN = "admin"
    """Everything, people and dead letters included."""

    def includes(self, least: Role) -> bool:
        """Whether this role may do what ``least`` may."""
        order = list(Role)
        return order.index(self) >= order.index(least)


class PrincipalKind(StrEnum):
    """How somebody came in."""

    LINK = "link"
    """By a one-time sign-in link: whoever can run ``csms-admin`` is the built-in admin."""
    SESSION = "session"
    """By name and password, in a browser."""
    TOKEN = "token"
    """By an API token."""
    SHELL = "shell"
    """By ``csms-admin``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks. ``name`` is the user's, or the API token's."""

    kind: PrincipalKind
    name: str
    role: Role


BUILT_IN_ADMIN = Principal(kind=PrincipalKind.LINK, name="admin", role=Role.ADMIN)
"""Whoever came by a sign-in link."""


@dataclass(slots=True, kw_only=True)
class User:
    """Somebody who signs in with name and password. Names are compared without regard to case."""

    id: int = 0
    name: str
    role: Role
    password_hash: str
    """By argon2; its parameters are part of it."""
    version: int = 1
    """Grows with each change."""
    created_at: datetime


@dataclass(slots=True, kw_only=True)
class ApiToken:
    """A program's way in. Never does more than the user it belongs to; it goes with the user."""

    id: int = 0
    name: str
    role: Role
    token_hash: str
    user_id: int = 0
    """Whose it is; 0: the built-in admin's."""
    expires_at: datetime
    created_at: datetime
    created_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What a cookie or an API token stands for."""

    principal: Principal
    expires_at: datetime
    user_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A change: who made it, when, from where, and what it changed."""

    id: int = 0
    at: datetime
    kind: PrincipalKind
    name: str
    address: str
    action: str
    """The operation's name in the OpenAPI document, or the words of a csms-admin command."""
    target: str
    """What was changed, as a path: ``chargers/CP-1``."""
    before: str = ""
    """JSON, empty: there was nothing. Never anything secret."""
    after: str = ""


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
MIN_PASSWORD = 10
MAX_PASSWORD = 200
_MIN_DIFFERENT = 5


def name_objection(name: str) -> str:
    """Why ``name`` cannot be a user's; empty when it can."""
    if not _NAME.fullmatch(name):
        return "a name has 1 to 64 letters, digits and . _ @ + -, and begins with a letter or digit"
    if name.lower() == BUILT_IN_ADMIN.name:
        return "the built-in admin, who comes by a sign-in link, has that name"
    return ""


def password_objection(password: str, name: str) -> str:
    """Why ``password`` must not be that of the user ``name``; empty when it may.

    Length counts, kinds of characters do not (NIST SP 800-63B, section 5.1.1.2).
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters"
    if len(set(password)) < _MIN_DIFFERENT:
        return "it repeats itself"
    if password.lower().startswith(name.lower()) and len(password) < len(name) + MIN_PASSWORD // 2:
        return "it is little more than the name"
    return ""
