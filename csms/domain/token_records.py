"""Records about tokens beyond the token itself: groups with limits, and tokens that nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True, kw_only=True)
class TokenGroup:
    """A group of tokens, told to chargers as parentIdTag (1.6) or groupIdToken (2.x). Compared without regard to case.

    A token may name a group that has no record: such a group has no limit.
    """

    name: str
    id: int = 0
    max_sessions: int | None = None
    """How many sessions at once, all tokens of the group together; None: no limit."""
    note: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownToken:
    """A token that a charger presented and nobody knows, so that it can be made known, or looked into."""

    charger_id: int
    token: str
    type: str = ""
    id: int = 0
    first_seen: datetime
    last_seen: datetime
    count: int = 1
    """How often it was presented."""
    sessions: int = 0
    """How many sessions the charger began with it all the same, e.g. while it was offline."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing many tokens came to."""

    added: int
    replaced: int
