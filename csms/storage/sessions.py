"""Charging sessions, and the 2.x events that made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Select, and_, select, union

from csms.domain.model import Measured, Sample, Session, SessionState, SessionSummary, TransactionEventRecord
from csms.storage.keys import digest, folded
from csms.storage.samples import SqlSamples
from csms.storage.sql import OR_CONFLICT, Clauses, Sql, replace
from csms.storage.tables import charging_sessions, session_summaries, transaction_events
from csms.storage.tracking import Shape, Tracked

_session = Shape(
    Session,
    charging_sessions,
    stored={"flags": lambda flags: " ".join(sorted(flags))},
    loaded={"flags": lambda text: set(text.split()), "state": SessionState},
    derived={
        "transaction_key": lambda s: None if s.transaction_id is None else digest(s.transaction_id),
        "start_key_digest": lambda s: digest(s.start_key),
        "stop_key_digest": lambda s: digest(s.stop_key) if s.stop_key else None,
        "id_token_key": lambda s: digest(folded(s.id_token)),
        "group_key": lambda s: digest(folded(s.group_id_token)) if s.group_id_token else None,
    },
)
_summary = Shape(SessionSummary, session_summaries)
_event = Shape(
    TransactionEventRecord,
    transaction_events,
    derived={"transaction_key": lambda e: digest(e.transaction_id), "recorded_at": lambda _: datetime.now(UTC)},
)
_REPLACE_SUMMARY = replace(_summary.columns, ("session_id",))

_table = charging_sessions.c
_Event = tuple[int, str, int]


def _by_id(clauses: Clauses) -> Select[Any]:
    return _session.query().where(clauses.any_of(_table.id, "ids"))


def _mentioned(clauses: Clauses, *names: str) -> Select[Any]:
    """The active sessions of chargers, and those that are found by a value of the columns ``names``.

    Tokens and groups are looked for among the active ones of all chargers, all other values with their charger.
    """
    active = _table.state == SessionState.ACTIVE.value
    parts = [select(_table.id).where(clauses.any_of(_table.charger_id, "charger_ids"), active)]
    for name in names:
        column = _table[name]
        if name in ("id_token_key", "group_key"):
            parts.append(select(_table.id).where(clauses.any_of(column, name), active))
        else:
            keys = clauses.keys((_table.charger_id, column), name)
            found = and_(_table.charger_id == keys.c.charger_id, column == keys.c[name])
            parts.append(select(_table.id).join(keys, found))
    ids = parts[0] if len(parts) == 1 else union(*parts)
    return _session.query().where(_table.id.in_(ids))


def _known_events(clauses: Clauses) -> Select[Any]:
    table = transaction_events.c
    columns = (table.charger_id, table.transaction_key, table.seq_no)
    keys = clauses.keys(columns, "events")
    return select(*columns).join(keys, and_(*(column == keys.c[column.name] for column in columns)))


class SqlSessions:
    """Implements :class:`csms.domain.repositories.Sessions`.

    Queries only load; the answer is always looked up among the records in memory, where changes of this transaction
    show that are not written yet.
    """

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._by_charger: defaultdict[int, list[Session]] = defaultdict(list)
        self._sessions = Tracked(sql, _session, partial(_index, self._by_charger))
        self._all_active: set[int] = set()
        self._asked_tokens: set[str] = set()
        self._asked_groups: set[str] = set()
        self._asked_transactions: set[tuple[int, str]] = set()
        self._asked_starts: set[tuple[int, str]] = set()
        self._asked_stops: set[tuple[int, str]] = set()
        self._asked_events: set[_Event] = set()
        self._known_events: set[_Event] = set()
        self._new_events: list[TransactionEventRecord] = []
        self._summaries: dict[int, SessionSummary] = {}
        self._samples = SqlSamples(sql)

    def get(self, session_id: int) -> Session | None:
        known = self._sessions.get(session_id)
        if known is None:
            found = self._sessions.fetch(_session.query().where(_table.id == session_id))
            known = found[0] if found else None
        return known

    def fetch(self, session_ids: Iterable[int]) -> Mapping[int, Session]:
        wanted = set(session_ids)
        unknown = {session_id for session_id in wanted if self._sessions.get(session_id) is None}
        if unknown:
            self._sessions.fetch(self._sql.made(_by_id), ids=unknown)
        found = ((session_id, self._sessions.get(session_id)) for session_id in wanted)
        return {session_id: session for session_id, session in found if session is not None}

    def by_transaction(self, charger_id: int, transaction_id: str) -> Session | None:
        def wanted(session: Session) -> bool:
            return session.transaction_id == transaction_id

        known = self._find(charger_id, wanted)
        if known is None and (charger_id, transaction_id) not in self._asked_transactions:
            self._asked_transactions.add((charger_id, transaction_id))
            key = digest(transaction_id)
            query = _session.query().where(_table.charger_id == charger_id, _table.transaction_key == key)
            self._sessions.fetch(query)
            known = self._find(charger_id, wanted)
        return known

    def by_start_key(self, charger_id: int, start_key: str) -> Session | None:
        def wanted(session: Session) -> bool:
            return session.start_key == start_key

        known = self._find(charger_id, wanted)
        if known is None and (charger_id, start_key) not in self._asked_starts:
            self._asked_starts.add((charger_id, start_key))
            key = digest(start_key)
            query = _session.query().where(_table.charger_id == charger_id, _table.start_key_digest == key)
            self._sessions.fetch(query)
            known = self._find(charger_id, wanted)
        return known

    def by_stop_key(self, charger_id: int, stop_key: str) -> Session | None:
        def wanted(session: Session) -> bool:
            return session.stop_key == stop_key

        known = self._find(charger_id, wanted)
        if known is None and (charger_id, stop_key) not in self._asked_stops:
            self._asked_stops.add((charger_id, stop_key))
            key = digest(stop_key)
            query = _session.query().where(_table.charger_id == charger_id, _table.stop_key_digest == key)
            self._sessions.fetch(query)
            known = self._find(charger_id, wanted)
        return known

    def active(self, charger_id: int) -> Sequence[Session]:
        if charger_id not in self._all_active:
            self._all_active.add(charger_id)
            state = SessionState.ACTIVE.value
            self._sessions.fetch(_session.query().where(_table.charger_id == charger_id, _table.state == state))
        return _oldest_first(self._by_charger[charger_id])

    def active_with_token(self, id_token: str) -> Sequence[Session]:
        token = folded(id_token)
        if token not in self._asked_tokens:
            self._asked_tokens.add(token)
            query = _session.query().where(_table.id_token_key == digest(token))
            self._sessions.fetch(query.where(_table.state == SessionState.ACTIVE.value))
        return _oldest_first(one for one in self._sessions.known() if folded(one.id_token) == token)

    def runs_elsewhere(self, charger_id: int, transaction_id: str) -> bool:
        query = _session.query().where(_table.state == SessionState.ACTIVE.value)
        self._sessions.fetch(query.where(_table.transaction_key == digest(transaction_id)).limit(2))
        return any(
            one.transaction_id == transaction_id and one.charger_id != charger_id and one.state is SessionState.ACTIVE
            for one in self._sessions.known()
        )

    def active_with_group(self, group: str) -> Sequence[Session]:
        name = folded(group)
        if name not in self._asked_groups:
            self._asked_groups.add(name)
            query = _session.query().where(_table.group_key == digest(name))
            self._sessions.fetch(query.where(_table.state == SessionState.ACTIVE.value))
        return _oldest_first(one for one in self._sessions.known() if folded(one.group_id_token) == name)

    def add(self, session: Session) -> Session:
        if not self._sql.careful:
            # A conflict is found when the row is written; then the work runs again, and looks.
            self._asked_starts.add((session.charger_id, session.start_key))
            self._asked_transactions.add((session.charger_id, session.transaction_id or ""))
        existing = self.by_start_key(session.charger_id, session.start_key)
        if existing is None and session.transaction_id is not None:
            existing = self.by_transaction(session.charger_id, session.transaction_id)
        return existing if existing is not None else self._sessions.add(session)

    def first_time(self, event: TransactionEventRecord) -> bool:
        key = (event.charger_id, event.transaction_id, event.seq_no)
        if key not in self._asked_events:
            self._ask_events([key])
        if key in self._known_events:
            return False
        self._known_events.add(key)
        self._new_events.append(event)
        return True

    def page(
        self,
        *,
        active: bool | None = None,
        charger_id: int | None = None,
        before_id: int = 0,
        limit: int = 100,
    ) -> Sequence[Session]:
        self._sessions.flush()
        query = _session.query()
        if active is not None:
            state = SessionState.ACTIVE.value
            query = query.where(_table.state == state if active else _table.state != state)
        if charger_id is not None:
            query = query.where(_table.charger_id == charger_id)
        if before_id:
            query = query.where(_table.id < before_id)
        return self._sessions.fetch(query.order_by(_table.id.desc()).limit(limit))

    def add_samples(self, samples: Iterable[Sample]) -> None:
        self._samples.add(samples)

    def samples(self, session_id: int, *, limit: int = 1000) -> Sequence[Sample]:
        return self._samples.of_session(session_id, limit)

    def measured(self, measurand: str, session_ids: Iterable[int], *, limit: int) -> Mapping[int, Sequence[Measured]]:
        return self._samples.measured(measurand, session_ids, limit)

    def summarise(self, summary: SessionSummary) -> None:
        self._summaries[summary.session_id] = summary

    def summary(self, session_id: int) -> SessionSummary | None:
        if session_id in self._summaries:
            return self._summaries[session_id]
        row = self._sql.first(_summary.query().where(session_summaries.c.session_id == session_id))
        return None if row is None else _summary.record(row)

    def load(
        self,
        charger_ids: set[int],
        *,
        tokens: set[str],
        groups: set[str],
        transactions: set[tuple[int, str]],
        starts: set[tuple[int, str]],
        stops: set[tuple[int, str]],
        events: set[_Event],
    ) -> None:
        """Fetch the chargers' active sessions and all others that are mentioned, in at most two queries."""
        mentioned = {
            "id_token_key": {digest(folded(token)) for token in tokens},
            "group_key": {digest(folded(group)) for group in groups},
            "transaction_key": [(charger_id, digest(text)) for charger_id, text in transactions],
            "start_key_digest": [(charger_id, digest(text)) for charger_id, text in starts],
            "stop_key_digest": [(charger_id, digest(text)) for charger_id, text in stops],
        }
        wanted = {name: values for name, values in mentioned.items() if values}
        self._sessions.fetch(self._sql.made(_mentioned, *wanted), charger_ids=charger_ids, **wanted)
        self._all_active |= charger_ids
        self._asked_tokens |= {folded(token) for token in tokens}
        self._asked_transactions |= transactions
        self._asked_groups |= {folded(group) for group in groups}
        self._asked_starts |= starts
        self._asked_stops |= stops
        if events:
            self._ask_events(events)

    def expect(self, count: int) -> None:
        """Say how many sessions may begin."""
        self._sql.want_ids(charging_sessions, count, ahead=True)

    def flush(self) -> None:
        """Write what is new and what changed."""
        self._sessions.flush()
        if self._new_events:
            rows = [_event.row(event) for event in self._new_events]
            self._new_events.clear()
            self._sql.insert(transaction_events, _event.columns, rows, OR_CONFLICT)
        if self._summaries:
            summaries = [_summary.row(summary) for _, summary in sorted(self._summaries.items())]
            self._summaries.clear()
            self._sql.insert(session_summaries, _summary.columns, summaries, _REPLACE_SUMMARY)
        self._samples.flush()

    def _find(self, charger_id: int, wanted: Callable[[Session], bool]) -> Session | None:
        return next(filter(wanted, self._by_charger[charger_id]), None)

    def _ask_events(self, events: Iterable[_Event]) -> None:
        asked = {(charger_id, digest(text), seq_no): (charger_id, text, seq_no) for charger_id, text, seq_no in events}
        for row in self._sql.rows(self._sql.made(_known_events), events=list(asked)):
            self._known_events.add(asked[row[0], row[1], row[2]])
        self._asked_events.update(asked.values())


def _index(by_charger: defaultdict[int, list[Session]], session: Session) -> None:
    by_charger[session.charger_id].append(session)


def _oldest_first(sessions: Iterable[Session]) -> list[Session]:
    running = (session for session in sessions if session.state is SessionState.ACTIVE)
    return sorted(running, key=lambda session: (session.started_at, session.id))
