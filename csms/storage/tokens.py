"""Id tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace as changed
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Select, delete, func, select

from csms.domain.model import IdToken
from csms.domain.token_records import Stored
from csms.storage.keys import folded
from csms.storage.sql import Clauses, Sql, replace
from csms.storage.tables import id_tokens
from csms.storage.tracking import Shape, Tracked

MAX_TOKEN_CHARACTERS = 255

CHUNK = 1000
"""Rows of an import in one statement."""

_token = Shape(IdToken, id_tokens, derived={"token_key": lambda record: folded(record.token)})

_REPLACE = replace([name for name in _token.columns if name not in ("id", "created_at")], ("token_key",))


def _by_key(clauses: Clauses) -> Select[Any]:
    return _token.query().where(clauses.any_of(id_tokens.c.token_key, "keys"))


class SqlIdTokens:
    """Implements :class:`csms.domain.repositories.IdTokens`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._by_key: dict[str, IdToken | None] = {}
        self._tokens = Tracked(sql, _token, partial(_index, self._by_key))

    def get(self, token: str) -> IdToken | None:
        key = folded(token)
        if key not in self._by_key:
            self.load([token])
        return self._by_key[key]

    def add(self, token: IdToken) -> IdToken:
        existing = self.get(token.token)
        if existing is not None:
            return existing
        if not 0 < len(token.token) <= MAX_TOKEN_CHARACTERS:
            raise ValueError(f"an id token has 1 to {MAX_TOKEN_CHARACTERS} characters")
        return self._tokens.add(token)

    def put(self, tokens: Iterable[IdToken]) -> Stored:
        self.flush()
        remaining, total, known = iter(tokens), 0, 0
        while chunk := list(islice(remaining, CHUNK)):
            self._sql.want_ids(id_tokens, len(chunk))
            rows = [_token.row(changed(token, id=self._sql.new_id(id_tokens))) for token in chunk]
            keys = [folded(token.token) for token in chunk]
            there = select(func.count()).where(self._sql.any_of(id_tokens.c.token_key, keys))
            found = self._sql.first(there)
            known += 0 if found is None else found[0]
            self._sql.insert(id_tokens, _token.columns, rows, _REPLACE)
            total += self._sql.send()
        # What this transaction has seen of them is old now.
        self._by_key.clear()
        self._tokens = Tracked(self._sql, _token, partial(_index, self._by_key))
        return Stored(added=total - known, replaced=known)

    def page(self, *, after: str = "", limit: int = 100) -> Sequence[IdToken]:
        self.flush()
        key = id_tokens.c.token_key
        return self._tokens.fetch(_token.query().where(key > folded(after)).order_by(key).limit(limit))

    def remove(self, token: IdToken) -> None:
        self.flush()
        self._sql.change(delete(id_tokens).where(id_tokens.c.id == token.id))
        self._tokens.forget(token.id)
        self._by_key[folded(token.token)] = None

    def load(self, tokens: Iterable[str]) -> None:
        """Fetch these in one query."""
        wanted = {folded(token) for token in tokens} - self._by_key.keys()
        if wanted:
            self._tokens.fetch(self._sql.made(_by_key), keys=wanted)
            for key in wanted:
                self._by_key.setdefault(key, None)

    def groups_of(self, tokens: Iterable[str]) -> set[str]:
        """The groups of those among ``tokens`` that are known."""
        records = map(self.get, tokens)
        return {record.group for record in records if record is not None and record.group}

    def hold(self, tokens: Iterable[str]) -> None:
        """Until this transaction ends, let no other one count the sessions of those that have a limit."""
        records = map(self.get, tokens)
        limited = [record.id for record in records if record is not None and record.max_sessions is not None]
        if limited:
            self._sql.hold(id_tokens, limited)

    def flush(self) -> None:
        """Write what is new and what changed."""
        self._tokens.flush()


def _index(by_key: dict[str, IdToken | None], token: IdToken) -> None:
    by_key[folded(token.token)] = token
