"""Who may do what: people and programs that use csms, and their roles."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks. ``name`` is the user's, or the API token's."""

    kind: PrincipalKind
    name: str
    role: Role


BUILT_IN_ADMIN = Principal(kind=PrincipalKind.LINK, name="admin", role=Role.ADMIN)
"""Whoever came by a sign-in link."""
