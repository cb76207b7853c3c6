"""What a unit of work offers about people: users, API tokens, sign-ins, and the log of what they changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from csms.domain.people import ApiToken, AuditEntry, Entered, User


class People(Protocol):
    """Users, their sign-ins and their API tokens. Of everything secret only hashes are stored."""

    def user(self, name: str) -> User | None:
        """The user of that name, whatever the case of its letters."""
        ...

    def add_user(self, user: User) -> User:
        """Write a new user; the existing one when the name is taken."""
        ...

    def remove_user(self, user: User) -> Sequence[str]:
        """Forget a user, with all sign-ins and API tokens; returns the hashes of those."""
        ...

    def end_sign_ins(self, user: User) -> Sequence[str]:
        """End all sign-ins of a user; returns their hashes. API tokens stay."""
        ...

    def users(self, *, after: str = "", limit: int = 100) -> Sequence[User]:
        """Users in the order of their names, beginning behind ``after``."""
        ...

    def entered(self, token_hash: str) -> Entered | None:
        """Whose sign-in that is, expired or not."""
        ...

    def entered_by_token(self, token_hash: str) -> Entered | None:
        """Whose API token that is, expired or not. The role is the lesser of the token's and its user's."""
        ...

    def tokens(self, *, after: int = 0, limit: int = 100) -> Sequence[ApiToken]:
        """API tokens, oldest first, behind the id ``after``."""
        ...

    def token(self, token_id: int) -> ApiToken | None: ...

    def add_token(self, token: ApiToken) -> ApiToken: ...

    def remove_token(self, token: ApiToken) -> None: ...


class Audit(Protocol):
    """The log of changes. Written in the transaction of the change."""

    def add(self, entry: AuditEntry) -> None: ...

    def page(
        self, *, name: str = "", target: str = "", action: str = "", before: int = 0, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """Newest first, older than the id ``before``; ``target`` and what is below it."""
        ...
