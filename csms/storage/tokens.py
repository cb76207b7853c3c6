"""Id tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from csms.domain.model import IdToken
from csms.storage.keys import folded
from csms.storage.sql import Sql
from csms.storage.tables import id_tokens
from csms.storage.tracking import Shape, Tracked

MAX_TOKEN_CHARACTERS = 255

_token = Shape(IdToken, id_tokens, derived={"token_key": lambda record: folded(record.token)})


class SqlIdTokens:
    """Implements :class:`csms.domain.repositories.IdTokens`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._by_key: dict[str, IdToken | None] = {}
        self._tokens = Tracked(sql, _token, self._index)

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

    def page(self, *, after: str = "", limit: int = 100) -> Sequence[IdToken]:
        self.flush()
        key = id_tokens.c.token_key
        return self._tokens.fetch(_token.query().where(key > folded(after)).order_by(key).limit(limit))

    def load(self, tokens: Iterable[str]) -> None:
        """Fetch these in one query."""
        wanted = {folded(token) for token in tokens} - self._by_key.keys()
        if wanted:
            self._tokens.fetch(_token.query().where(self._sql.any_of(id_tokens.c.token_key, wanted)))
            for key in wanted:
                self._by_key.setdefault(key, None)

    def flush(self) -> None:
        """Write what is new and what changed."""
        self._tokens.flush()

    def _index(self, token: IdToken) -> None:
        self._by_key[folded(token.token)] = token
