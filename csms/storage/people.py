"""Users, their sign-ins and API tokens, and the log of changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, delete, or_, select

from csms.domain.people import (
    BUILT_IN_ADMIN,
    ApiToken,
    AuditEntry,
    Entered,
    Principal,
    PrincipalKind,
    Role,
    User,
)
from csms.storage.keys import folded
from csms.storage.sql import Sql
from csms.storage.tables import browser_sessions
from csms.storage.tables_people import api_tokens, audit_log, users
from csms.storage.tracking import Shape, Tracked

_user = Shape(User, users, loaded={"role": Role}, derived={"name_key": lambda user: folded(user.name)})
_token = Shape(ApiToken, api_tokens, loaded={"role": Role})
_entry = Shape(AuditEntry, audit_log, loaded={"kind": PrincipalKind})
_BUILT_IN = 0


class SqlPeople:
    """Implements :class:`csms.domain.repositories_people.People`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._users = Tracked(sql, _user)
        self._tokens = Tracked(sql, _token)

    def user(self, name: str) -> User | None:
        self.flush()
        found = self._users.fetch(self._sql.locked(_user.query().where(users.c.name_key == folded(name))))
        return found[0] if found else None

    def add_user(self, user: User) -> User:
        return self.user(user.name) or self._users.add(user)

    def remove_user(self, user: User) -> Sequence[str]:
        self.flush()
        ended = [*self.end_sign_ins(user), *self._ended(api_tokens, user)]
        self._sql.change(delete(users).where(users.c.id == user.id))
        self._users.forget(user.id)
        return ended

    def end_sign_ins(self, user: User) -> Sequence[str]:
        return self._ended(browser_sessions, user)

    def users(self, *, after: str = "", limit: int = 100) -> Sequence[User]:
        self.flush()
        key = users.c.name_key
        return self._users.fetch(_user.query().where(key > folded(after)).order_by(key).limit(limit))

    def entered(self, token_hash: str) -> Entered | None:
        session = browser_sessions.c
        mine = session.token_hash == token_hash
        row = self._sql.first(_whose(browser_sessions, session.expires_at, session.user_id).where(mine))
        if row is None:
            return None
        expires_at, user_id, name, role = row
        if user_id == _BUILT_IN:
            principal = BUILT_IN_ADMIN
        elif name is None:
            return None
        else:
            principal = Principal(kind=PrincipalKind.SESSION, name=name, role=Role(role))
        return Entered(principal=principal, expires_at=expires_at, user_id=user_id)

    def entered_by_token(self, token_hash: str) -> Entered | None:
        token = api_tokens.c
        query = _whose(api_tokens, token.expires_at, token.user_id, token.name.label("token_name"), token.role)
        row = self._sql.first(query.where(token.token_hash == token_hash))
        if row is None:
            return None
        expires_at, user_id, token_name, token_role, name, user_role = row
        role = Role(token_role)
        if user_id != _BUILT_IN:
            if name is None:
                return None
            role = role if Role(user_role).includes(role) else Role(user_role)
        principal = Principal(kind=PrincipalKind.TOKEN, name=token_name, role=role)
        return Entered(principal=principal, expires_at=expires_at, user_id=user_id)

    def tokens(self, *, after: int = 0, limit: int = 100) -> Sequence[ApiToken]:
        self.flush()
        table = api_tokens.c
        return self._tokens.fetch(_token.query().where(table.id > after).order_by(table.id).limit(limit))

    def token(self, token_id: int) -> ApiToken | None:
        self.flush()
        found = self._tokens.fetch(_token.query().where(api_tokens.c.id == token_id))
        return found[0] if found else None

    def add_token(self, token: ApiToken) -> ApiToken:
        return self._tokens.add(token)

    def remove_token(self, token: ApiToken) -> None:
        self.flush()
        self._sql.change(delete(api_tokens).where(api_tokens.c.id == token.id))
        self._tokens.forget(token.id)

    def flush(self) -> None:
        """Write what is new and what changed."""
        self._users.flush()
        self._tokens.flush()

    def _ended(self, table: Any, user: User) -> list[str]:
        mine = table.c.user_id == user.id
        hashes = [row[0] for row in self._sql.rows(select(table.c.token_hash).where(mine))]
        self._sql.change(delete(table).where(mine))
        return hashes


class SqlAudit:
    """Implements :class:`csms.domain.repositories_people.Audit`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._new: list[AuditEntry] = []

    def add(self, entry: AuditEntry) -> None:
        self._new.append(entry)

    def page(
        self, *, name: str = "", target: str = "", action: str = "", before: int = 0, limit: int = 100
    ) -> Sequence[AuditEntry]:
        self.flush()
        table = audit_log.c
        query = _entry.query().order_by(table.id.desc()).limit(limit)
        for column, wanted in ((table.name, name), (table.action, action)):
            query = query.where(column == wanted) if wanted else query
        if target:
            below = table.target.startswith(target + "/", autoescape=True)
            query = query.where(or_(table.target == target, below))
        if before:
            query = query.where(table.id < before)
        return [_entry.record(row) for row in self._sql.rows(query)]

    def flush(self) -> None:
        """Write what is new."""
        if self._new:
            without_id = _entry.columns[1:]
            self._sql.insert(audit_log, without_id, [_entry.row(entry)[1:] for entry in self._new])
            self._new.clear()


def _whose(table: Any, *columns: Any) -> Select[Any]:
    """``columns`` of ``table``, then name and role of the user whose the row is; None where there is no such user."""
    whose = table.outerjoin(users, users.c.id == table.c.user_id)
    return select(*columns, users.c.name, users.c.role).select_from(whose)
