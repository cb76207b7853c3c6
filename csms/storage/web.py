"""Sign-in links and browser sessions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select

from csms.storage.sql import IGNORE, Sql
from csms.storage.tables import browser_sessions, sign_in_links


class SqlWebAccess:
    """Implements :class:`csms.domain.repositories.WebAccess`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def add_link(self, token_hash: str, *, expires_at: datetime) -> None:
        self._sql.insert(sign_in_links, ("token_hash", "expires_at"), [(token_hash, expires_at)], IGNORE)

    def use_link(self, token_hash: str, *, now: datetime) -> bool:
        table = sign_in_links.c
        # Of two that try at once, the second finds the row deleted.
        return self._sql.change(delete(sign_in_links).where(table.token_hash == token_hash, table.expires_at > now)) > 0

    def add_session(self, token_hash: str, *, created_at: datetime, expires_at: datetime, user_id: int = 0) -> None:
        columns = ("token_hash", "created_at", "expires_at", "user_id")
        self._sql.insert(browser_sessions, columns, [(token_hash, created_at, expires_at, user_id)], IGNORE)

    def remove_session(self, token_hash: str) -> None:
        self._sql.change(delete(browser_sessions).where(browser_sessions.c.token_hash == token_hash))

    def any_session(self, *, now: datetime) -> bool:
        query = select(browser_sessions.c.token_hash).where(browser_sessions.c.expires_at > now).limit(1)
        return self._sql.first(query) is not None
