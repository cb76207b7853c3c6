"""One transaction and all that can be done in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import func, select

from csms.domain.messages import CONNECTION_OPENED, ChargerMessage
from csms.storage.analytics import SqlAnalytics, SqlConsumed
from csms.storage.certificates import SqlIssuedCertificates
from csms.storage.chargers import SqlChargers
from csms.storage.cluster import SqlGateways, SqlShards
from csms.storage.commands import SqlCommands
from csms.storage.devices import SqlDevices
from csms.storage.kept_answers import SqlKeptAnswers
from csms.storage.letters import SqlLetters
from csms.storage.log import SqlMessageLog
from csms.storage.mentions import Mentions
from csms.storage.outbox import SqlOutbox
from csms.storage.people import SqlAudit, SqlPeople
from csms.storage.quirks import SqlDeviations
from csms.storage.searches import SqlSearches
from csms.storage.sessions import SqlSessions
from csms.storage.sql import Sql
from csms.storage.tables import chargers, charging_sessions, hourly_use, outbox
from csms.storage.token_groups import SqlTokenGroups, SqlUnknownTokens
from csms.storage.tokens import SqlIdTokens
from csms.storage.web import SqlWebAccess

# Parents before children, and always in this order, so that transactions do not wait for each other in a circle.
_FLUSHED = (
    "chargers",
    "devices",
    "token_groups",
    "id_tokens",
    "unknown_tokens",
    "deviations",
    "sessions",
    "analytics",
    "commands",
    "issued_certificates",
    "people",
    "audit",
    "outbox",
    "log",
)
_NOTIFICATIONS_PER_MESSAGE = 1.5


class SqlUnitOfWork:
    """Implements :class:`csms.domain.repositories.UnitOfWork`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    @cached_property
    def chargers(self) -> SqlChargers:
        return SqlChargers(self._sql)

    @cached_property
    def devices(self) -> SqlDevices:
        return SqlDevices(self._sql)

    @cached_property
    def sessions(self) -> SqlSessions:
        return SqlSessions(self._sql)

    @cached_property
    def id_tokens(self) -> SqlIdTokens:
        return SqlIdTokens(self._sql)

    @cached_property
    def token_groups(self) -> SqlTokenGroups:
        return SqlTokenGroups(self._sql)

    @cached_property
    def unknown_tokens(self) -> SqlUnknownTokens:
        return SqlUnknownTokens(self._sql)

    @cached_property
    def deviations(self) -> SqlDeviations:
        return SqlDeviations(self._sql)

    @cached_property
    def log(self) -> SqlMessageLog:
        return SqlMessageLog(self._sql)

    @cached_property
    def outbox(self) -> SqlOutbox:
        return SqlOutbox(self._sql)

    @cached_property
    def gateways(self) -> SqlGateways:
        return SqlGateways(self._sql)

    @cached_property
    def shards(self) -> SqlShards:
        return SqlShards(self._sql)

    @cached_property
    def consumed(self) -> SqlConsumed:
        return SqlConsumed(self._sql)

    @cached_property
    def analytics(self) -> SqlAnalytics:
        return SqlAnalytics(self._sql)

    @cached_property
    def web(self) -> SqlWebAccess:
        return SqlWebAccess(self._sql)

    @cached_property
    def search(self) -> SqlSearches:
        return SqlSearches(self._sql)

    @cached_property
    def kept_answers(self) -> SqlKeptAnswers:
        return SqlKeptAnswers(self._sql)

    @cached_property
    def people(self) -> SqlPeople:
        return SqlPeople(self._sql)

    @cached_property
    def audit(self) -> SqlAudit:
        return SqlAudit(self._sql)

    @cached_property
    def commands(self) -> SqlCommands:
        return SqlCommands(self._sql)

    @cached_property
    def issued_certificates(self) -> SqlIssuedCertificates:
        return SqlIssuedCertificates(self._sql)

    @cached_property
    def letters(self) -> SqlLetters:
        """Dead letters of the broker that lives in this process."""
        return SqlLetters(self._sql)

    def preload(self, messages: Sequence[ChargerMessage]) -> None:
        if not messages:
            return
        mentions = Mentions(messages)
        self.chargers.load(mentions.charger_ids, mentions.with_connectors)
        self.devices.load(with_status=mentions.with_status, with_bounds=mentions.with_bounds)
        limited: set[str] = set()
        if mentions.tokens:
            self.id_tokens.load(mentions.tokens)
            groups = self.id_tokens.groups_of(mentions.tokens)
            limited = self.token_groups.limited(groups) if groups else limited
            self.id_tokens.hold(mentions.charging)
            self.token_groups.hold(limited & self.id_tokens.groups_of(mentions.charging))
        if mentions.with_sessions or mentions.tokens:
            self.sessions.load(
                mentions.with_sessions,
                tokens=mentions.tokens,
                groups=limited,
                transactions=mentions.transactions,
                starts=mentions.start_keys,
                stops=mentions.stop_keys,
                events=mentions.events,
            )
        self.sessions.expect(mentions.starts)
        opened = [message.charger_id for message in messages if message.message_type == CONNECTION_OPENED]
        if opened:
            self.commands.load_open(opened)
        self._sql.want_ids(outbox, round(_NOTIFICATIONS_PER_MESSAGE * len(messages)), ahead=True)

    def counts(self) -> Mapping[str, Any]:
        self.flush()
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        totals = select(
            select(func.count()).select_from(chargers).scalar_subquery().label("chargers"),
            select(func.count()).where(chargers.c.connected).scalar_subquery().label("connected"),
            select(func.count())
            .where(charging_sessions.c.state == "active")
            .scalar_subquery()
            .label("sessions_active"),
            select(func.coalesce(func.sum(hourly_use.c.energy_wh), 0.0))
            .where(hourly_use.c.hour >= midnight)
            .scalar_subquery()
            .label("energy_today_wh"),
        )
        row = self._sql.first(totals)
        return {} if row is None else dict(row._mapping)

    def flush(self) -> None:
        """Write everything that is not written yet."""
        for name in _FLUSHED:
            if name in self.__dict__:
                getattr(self, name).flush()
        self._sql.send()
