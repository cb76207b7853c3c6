"""Groups of tokens, and tokens that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace as changed
from datetime import datetime
from functools import partial

from sqlalchemy import delete, exists, func, select

from csms.domain.token_records import TokenGroup, UnknownToken
from csms.storage.keys import folded
from csms.storage.sql import Sql
from csms.storage.tables import id_tokens
from csms.storage.tables_tokens import id_token_groups, unknown_tokens
from csms.storage.tracking import Shape, Tracked

KEPT_PER_CHARGER = 200
"""Unknown tokens of one charger; those that it began sessions with stay longest."""

_group = Shape(TokenGroup, id_token_groups, derived={"name_key": lambda record: folded(record.name)})
_unknown = Shape(UnknownToken, unknown_tokens, derived={"token_key": lambda record: folded(record.token)})
_COUNT = (
    "ON CONFLICT (charger_id, token_key) DO UPDATE SET last_seen = excluded.last_seen,"
    " count = unknown_tokens.count + excluded.count, sessions = unknown_tokens.sessions + excluded.sessions"
)


class SqlTokenGroups:
    """Implements :class:`csms.domain.repositories_tokens.TokenGroups`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._by_key: dict[str, TokenGroup | None] = {}
        self._groups = Tracked(sql, _group, partial(_index, self._by_key))

    def get(self, name: str) -> TokenGroup | None:
        self._load([name])
        return self._by_key[folded(name)]

    def add(self, group: TokenGroup) -> TokenGroup:
        return self.get(group.name) or self._groups.add(group)

    def remove(self, name: str) -> bool:
        group = self.get(name)
        if group is None:
            return False
        self.flush()
        self._sql.change(delete(id_token_groups).where(id_token_groups.c.id == group.id))
        self._groups.forget(group.id)
        self._by_key[folded(name)] = None
        return True

    def page(self, *, after: str = "", limit: int = 100) -> Sequence[TokenGroup]:
        self.flush()
        key = id_token_groups.c.name_key
        return self._groups.fetch(_group.query().where(key > folded(after)).order_by(key).limit(limit))

    def limited(self, names: Iterable[str]) -> set[str]:
        """Those among ``names`` that have a limit, fetched in one query."""
        wanted = list(names)
        self._load(wanted)
        groups = {name: self._by_key[folded(name)] for name in wanted}
        return {name for name, group in groups.items() if group is not None and group.max_sessions is not None}

    def hold(self, names: Iterable[str]) -> None:
        """Until this transaction ends, let no other one count the sessions of those that have a limit."""
        limited = [group.id for group in map(self.get, self.limited(names)) if group is not None]
        if limited:
            self._sql.hold(id_token_groups, limited)

    def flush(self) -> None:
        """Write what is new and what changed."""
        self._groups.flush()

    def _load(self, names: Iterable[str]) -> None:
        wanted = {folded(name) for name in names} - self._by_key.keys()
        if wanted:
            self._groups.fetch(_group.query().where(self._sql.any_of(id_token_groups.c.name_key, wanted)))
            for key in wanted:
                self._by_key.setdefault(key, None)


def _index(by_key: dict[str, TokenGroup | None], group: TokenGroup) -> None:
    by_key[folded(group.name)] = group


class SqlUnknownTokens:
    """Implements :class:`csms.domain.repositories_tokens.UnknownTokens`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._seen: dict[tuple[int, str], UnknownToken] = {}

    def seen(self, charger_id: int, token: str, *, type: str, at: datetime, in_session: bool) -> None:  # noqa: A002
        key, sessions = (charger_id, folded(token)), int(in_session)
        known = self._seen.get(key)
        if known is None:
            self._seen[key] = UnknownToken(
                charger_id=charger_id, token=token, type=type, first_seen=at, last_seen=at, sessions=sessions
            )
        else:
            count, sessions = known.count + 1, known.sessions + sessions
            self._seen[key] = changed(known, last_seen=at, count=count, sessions=sessions)

    def page(self, *, charger_id: int | None = None, before_id: int = 0, limit: int = 100) -> Sequence[UnknownToken]:
        self.flush()
        table = unknown_tokens.c
        query = _unknown.query().where(~exists().where(id_tokens.c.token_key == table.token_key))
        if charger_id is not None:
            query = query.where(table.charger_id == charger_id)
        if before_id:
            query = query.where(table.id < before_id)
        return [_unknown.record(row) for row in self._sql.rows(query.order_by(table.id.desc()).limit(limit))]

    def flush(self) -> None:
        """Write what was seen, and forget what is too much."""
        if not self._seen:
            return
        rows = [_unknown.row_without_id(record) for _, record in sorted(self._seen.items())]
        charger_ids = {charger_id for charger_id, _ in self._seen}
        self._seen.clear()
        self._sql.insert(unknown_tokens, _unknown.columns_without_id, rows, _COUNT)
        table = unknown_tokens.c
        order = [(table.sessions > 0).desc(), table.last_seen.desc(), table.id.desc()]
        place = func.row_number().over(partition_by=table.charger_id, order_by=order)
        placed = (
            select(table.id, place.label("place")).where(self._sql.any_of(table.charger_id, charger_ids)).subquery()
        )
        too_many = select(placed.c.id).where(placed.c.place > KEPT_PER_CHARGER)
        self._sql.change(delete(unknown_tokens).where(table.id.in_(too_many)))
