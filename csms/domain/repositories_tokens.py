"""What a unit of work offers about groups of tokens and about tokens that nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from csms.domain.token_records import TokenGroup, UnknownToken


class TokenGroups(Protocol):
    """Groups that have a record. ``name`` is compared without regard to case."""

    def get(self, name: str) -> TokenGroup | None: ...

    def add(self, group: TokenGroup) -> TokenGroup:
        """Write a new group; the existing one when there is one."""
        ...

    def remove(self, name: str) -> bool:
        """Forget the record and its limit; tokens stay in the group. False when there is none."""
        ...

    def page(self, *, after: str = "", limit: int = 100) -> Sequence[TokenGroup]:
        """In the order of their names without regard to case."""
        ...


class UnknownTokens(Protocol):
    """Tokens that chargers presented and nobody knows; of each charger only so many are kept."""

    def seen(self, charger_id: int, token: str, *, type: str, at: datetime, in_session: bool) -> None:  # noqa: A002
        """Count one. ``in_session``: a session was begun with it."""
        ...

    def page(self, *, charger_id: int | None = None, before_id: int = 0, limit: int = 100) -> Sequence[UnknownToken]:
        """Newest first; those that have become known are left out."""
        ...
