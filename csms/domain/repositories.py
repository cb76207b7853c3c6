"""What a unit of work offers. Storage implements these protocols; handlers, workers and the API use them.

A unit of work lives in one database transaction. Records that it hands out are tracked: change their fields, and the
change is written when the unit of work ends. Asking twice for a record gives the same object. Appends (samples, log
entries, outbox rows) are collected and written as multi-row inserts. Nothing here is asynchronous.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from csms.domain.command_model import Command
from csms.domain.messages import ChargerMessage, Notification
from csms.domain.model import (
    Charger,
    Connector,
    HourlyUse,
    IdToken,
    LogEntry,
    Measured,
    ReportedVariable,
    Sample,
    Session,
    SessionSummary,
    TransactionEventRecord,
)
from csms.domain.quirk_records import Deviations
from csms.domain.repositories_certificates import IssuedCertificates
from csms.domain.repositories_commands import Commands
from csms.domain.repositories_devices import Devices
from csms.domain.repositories_kept_answers import KeptAnswers
from csms.domain.repositories_people import Audit, People
from csms.domain.repositories_searches import Searches
from csms.domain.repositories_tokens import TokenGroups, UnknownTokens
from csms.domain.token_records import Stored


class Chargers(Protocol):
    """Charging stations and their connectors."""

    def get(self, charger_id: int) -> Charger | None: ...

    def by_device_id(self, device_id: str) -> Charger | None: ...

    def by_device_ids(self, device_ids: Iterable[str]) -> Mapping[str, Charger]:
        """The chargers with these OCPP identities, in one query; identities that nobody has are left out."""
        ...

    def device_ids(self, charger_ids: Iterable[int]) -> Mapping[int, str]:
        """The OCPP identities of these chargers, in one query; those that were removed are left out."""
        ...

    def add(self, charger: Charger) -> Charger:
        """Write a new charger at once, so that it has its ``id``; the existing one when ``device_id`` is taken."""
        ...

    def remove(self, device_id: str) -> bool:
        """Forget a charger with its connectors; its sessions and log stay. False when there is none."""
        ...

    def page(self, *, after: str = "", limit: int = 100) -> Sequence[Charger]:
        """Chargers in the order of ``device_id``, beginning behind ``after``."""
        ...

    def connector(self, charger_id: int, evse_id: int, connector_id: int) -> Connector:
        """The connector, made when it was not known."""
        ...

    def by_certificate_name(self, name: str) -> Charger | None:
        """The charger that the serial number ``name`` is bound to."""
        ...

    def connectors(self, charger_ids: Iterable[int]) -> Sequence[Connector]: ...

    def connected(self, charger_ids: Iterable[int]) -> frozenset[int]:
        """Those of these chargers that are connected, as far as we know. Locks nothing."""
        ...

    def connected_through(self, gateway: str) -> Sequence[Charger]:
        """Chargers that are connected, as far as we know, through ``gateway``."""
        ...

    def report(self, variables: Iterable[ReportedVariable]) -> None:
        """Remember device model variables, newest report wins."""
        ...


class Sessions(Protocol):
    """Charging sessions, the events that made them, and the samples in them."""

    def get(self, session_id: int) -> Session | None: ...

    def fetch(self, session_ids: Iterable[int]) -> Mapping[int, Session]:
        """These sessions by their ids, in one query; those that do not exist are left out."""
        ...

    def by_transaction(self, charger_id: int, transaction_id: str) -> Session | None: ...

    def by_start_key(self, charger_id: int, start_key: str) -> Session | None: ...

    def by_stop_key(self, charger_id: int, stop_key: str) -> Session | None:
        """The session that a stop with this business key was attached to, without naming it."""
        ...

    def active(self, charger_id: int) -> Sequence[Session]:
        """The charger's sessions in state active, oldest first."""
        ...

    def active_with_token(self, id_token: str) -> Sequence[Session]:
        """Sessions of all chargers that run on this token (compared without regard to case)."""
        ...

    def runs_elsewhere(self, charger_id: int, transaction_id: str) -> bool:
        """Whether an active session of another charger has this transaction id."""
        ...

    def active_with_group(self, group: str) -> Sequence[Session]:
        """Sessions of all chargers that run on a token of this group (compared without regard to case)."""
        ...

    def add(self, session: Session) -> Session:
        """Write a new session so that it has its ``id``; the existing one when the start key is taken."""
        ...

    def first_time(self, event: TransactionEventRecord) -> bool:
        """Record a 2.x event; False when (charger, transaction, seq_no) had been there before."""
        ...

    def page(
        self,
        *,
        active: bool | None = None,
        charger_id: int | None = None,
        before_id: int = 0,
        limit: int = 100,
    ) -> Sequence[Session]:
        """Newest first; ``before_id`` continues a listing."""
        ...

    def add_samples(self, samples: Iterable[Sample]) -> None:
        """Append; a sample whose business key is there already is dropped silently."""
        ...

    def samples(self, session_id: int, *, limit: int = 1000) -> Sequence[Sample]:
        """The session's samples in the order of their time."""
        ...

    def measured(self, measurand: str, session_ids: Iterable[int], *, limit: int) -> Mapping[int, Sequence[Measured]]:
        """The first ``limit`` numbers of one measurand, of each session, in as few queries as memory allows."""
        ...

    def summarise(self, summary: SessionSummary) -> None:
        """Write the summary of an ended session; a second one for the same session replaces the first."""
        ...

    def summary(self, session_id: int) -> SessionSummary | None: ...


class IdTokens(Protocol):
    """Cards and accounts. ``token`` is compared without regard to case."""

    def get(self, token: str) -> IdToken | None: ...

    def add(self, token: IdToken) -> IdToken:
        """Write a new token; the existing one when there is one."""
        ...

    def put(self, tokens: Iterable[IdToken]) -> Stored:
        """Write many at once, each a token of its own; those that are there already get the new fields."""
        ...

    def page(self, *, after: str = "", limit: int = 100) -> Sequence[IdToken]: ...

    def remove(self, token: IdToken) -> None:
        """Forget a token; sessions that ran on it stay."""
        ...


class MessageLog(Protocol):
    """Every message of every charger, once: the table ``charger_data``."""

    def answered(self, messages: Sequence[ChargerMessage], *, optimistic: bool = False) -> Mapping[str, str]:
        """The messages among these that had their effect before: message id -> the answer stored with them.

        ``optimistic``: believe that there is none unless this work has failed before. If there is one, :meth:`append`
        is a conflict; then the work runs again, and is told.
        """
        ...

    def append(self, entries: Iterable[LogEntry]) -> None:
        """Log these. One that is in the log already is a conflict."""
        ...

    def page(self, charger_id: int, *, limit: int = 100) -> Sequence[LogEntry]:
        """The charger's newest messages first."""
        ...


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """A notification or a command that waits to be published."""

    id: int
    exchange: str
    event_id: str
    """The message's id on the broker: the notification's, or the command's."""
    routing_key: str
    body: bytes
    notification: Notification | None = None
    """What it tells, as long as it is in the hands of who added it."""


class Outbox(Protocol):
    """Notifications and commands written in the transaction that caused them, published after it."""

    def add(self, notifications: Iterable[Notification], *, shard: int | None = None) -> Sequence[OutboxRow]:
        """Store these; their rows, in order, with ids. ``shard``: whose worker tells them, None: anybody."""
        ...

    def route(self, commands: Iterable[Command], *, shard: int | None = None) -> Sequence[OutboxRow]:
        """Store that these are to be put on their way; their rows, in order, with ids. ``shard``: as in ``add``."""
        ...

    def of_shard(self, shard: int, *, after: int, limit: int) -> Sequence[OutboxRow]:
        """Rows of a shard with ids above ``after``, oldest first: for whoever holds it now, however fresh they are."""
        ...

    def waiting(self, *, older_than: datetime, limit: int, of_shards: datetime | None = None) -> Sequence[OutboxRow]:
        """Rows left behind (by a worker that died), oldest first, locked against other workers.

        ``of_shards``: rows of shards must be older than this.
        """
        ...

    def published(self, ids: Sequence[int]) -> None:
        """Remove these rows."""
        ...


class Gateways(Protocol):
    """Which gateways are alive, so that chargers of a dead one do not look connected for ever."""

    def alive(self, name: str, *, started_at: datetime, now: datetime) -> None: ...

    def silent_since(self, moment: datetime) -> Sequence[str]:
        """Names of gateways not heard of since ``moment``; they are forgotten by this call."""
        ...


class Shards(Protocol):
    """The number of shards, and the fence that keeps a worker which lost a shard from writing."""

    def count(self, *, default: int) -> int:
        """The number of shards of this installation; ``default`` is stored when none was yet."""
        ...

    def take(self, shard: int) -> int:
        """Begin a new epoch of the shard: every holder of an older one is fenced from now on."""
        ...

    def fence(self, epochs: Mapping[int, int]) -> None:
        """Raise ``ports.Fenced`` unless these are the newest epochs of the shards; holds them until the end."""
        ...


class Consumed(Protocol):
    """Events that a consumer has had its effect of, so that a second delivery does nothing."""

    def first_times(
        self, consumer: str, event_ids: Sequence[str], now: datetime, *, optimistic: bool = False
    ) -> frozenset[str]:
        """Record these; returns the ones that had not been there.

        ``optimistic``: believe that none had unless this work has failed before. If one had, that is a conflict; then
        the work runs again, and is told.
        """
        ...


class Analytics(Protocol):
    """Hourly rollups."""

    def add_use(self, uses: Iterable[HourlyUse]) -> None:
        """Add each to the row of its charger and hour."""
        ...

    def use(self, charger_id: int, *, since: datetime, until: datetime) -> Sequence[HourlyUse]: ...

    def registers(self, session_ids: Iterable[int]) -> Mapping[int, tuple[float, datetime]]:
        """What was last added up of sessions: energy (Wh since the start) and time; those without are left out."""
        ...

    def set_register(self, session_id: int, energy_wh: float, at: datetime) -> None:
        """Note how far a session was added up, from where :meth:`registers` has told. Nobody else can meanwhile."""
        ...


class WebAccess(Protocol):
    """Sign-in links and browser sessions. Only hashes are stored."""

    def add_link(self, token_hash: str, *, expires_at: datetime) -> None: ...

    def use_link(self, token_hash: str, *, now: datetime) -> bool:
        """True once, before the link expires."""
        ...

    def add_session(self, token_hash: str, *, created_at: datetime, expires_at: datetime, user_id: int = 0) -> None:
        """``user_id`` 0 is the built-in admin; whose a session is: :meth:`People.entered`."""
        ...

    def remove_session(self, token_hash: str) -> None: ...

    def any_session(self, *, now: datetime) -> bool:
        """Whether anybody is signed in, so that a first-start link is not printed without need."""
        ...


class UnitOfWork(Protocol):
    """One transaction and all that can be done in it."""

    @property
    def chargers(self) -> Chargers: ...
    @property
    def devices(self) -> Devices: ...
    @property
    def issued_certificates(self) -> IssuedCertificates: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def id_tokens(self) -> IdTokens: ...
    @property
    def token_groups(self) -> TokenGroups: ...
    @property
    def unknown_tokens(self) -> UnknownTokens: ...
    @property
    def deviations(self) -> Deviations: ...
    @property
    def log(self) -> MessageLog: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def gateways(self) -> Gateways: ...
    @property
    def shards(self) -> Shards: ...
    @property
    def consumed(self) -> Consumed: ...
    @property
    def analytics(self) -> Analytics: ...
    @property
    def web(self) -> WebAccess: ...
    @property
    def search(self) -> Searches: ...
    @property
    def kept_answers(self) -> KeptAnswers: ...
    @property
    def people(self) -> People: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def commands(self) -> Commands: ...

    def preload(self, messages: Sequence[ChargerMessage]) -> None:
        """Fetch in a few set-based queries what handling these messages will ask for. Changes no result."""
        ...

    def counts(self) -> Mapping[str, Any]:
        """Totals for metrics and the console's head line: chargers, connected, sessions active, energy today."""
        ...
