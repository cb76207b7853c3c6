"""The OCPP worker: takes what chargers sent from a shard, and writes its effects, a batch in one transaction.

Shards whose turn it is at the same time share the transaction. In it: the fence (whoever has lost a shard writes
nothing), the message log, which tells repeats, what the handlers change, and the notifications in the outbox. After the
commit: the decisions that chargers wait for, then the notifications, then the acks. A repeat gets the stored answer
again and has no other effect.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
from twisted.internet.defer import Deferred

from csms import metrics
from csms.coroutines import spawn
from csms.domain import topology
from csms.domain.actions import ACTIONS, AnsweredBy, answered_by, handle
from csms.domain.command_model import Command
from csms.domain.condensing import condensed
from csms.domain.handling import Handled, Policy
from csms.domain.messages import (
    CALL_REFUSED,
    COMMAND_RESULT,
    COMMAND_SENT,
    ChargerMessage,
    Notification,
    Reply,
    decode,
    encode,
)
from csms.domain.model import LogEntry
from csms.domain.payloads import text
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.ports import Broker, BrokerError, Database, DatabaseUnavailable, Fenced, LastingConflict, Message
from csms.workers.outcomes import ACK, DeadLetter, Outcome
from csms.workers.relay import Relay
from csms.workers.turns import Turns

_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode


class Received(msgspec.Struct, frozen=True):
    """A charger's message, and the queue where its gateway waits for the decision."""

    message: ChargerMessage
    reply_to: str


@dataclass(slots=True)
class _Effects:
    """What a batch's transaction leaves to do after the commit."""

    outcomes: list[Outcome] = field(default_factory=list)
    replies: list[tuple[str, Reply]] = field(default_factory=list)
    rows: list[OutboxRow] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    repeats: int = 0
    """Messages that are in the log already."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one shard brings into a transaction."""

    shard: int
    epoch: int
    batch: Sequence[Received]
    published: Sequence[int]
    """Outbox rows that can be removed."""


class Batches:
    """The transactions of a process' shards: one for all batches whose turn it is at the same time.

    When such a transaction fails by itself, each batch has one of its own, so that a message which cannot be handled
    concerns its own shard only.
    """

    def __init__(self, database: Database, policy: Policy, turns: Turns | None = None) -> None:
        self._database = database
        self._policy = policy
        self._turns = turns
        self._gathered: list[tuple[_Part, Deferred[_Effects]]] = []
        if turns is not None:
            turns.on_admitted(self._begin)

    async def commit(self, part: _Part) -> _Effects:
        """Write the effects of a batch; what is to be done after the commit."""
        if self._turns is not None and self._turns.admitting:
            done: Deferred[_Effects] = Deferred()
            self._gathered.append((part, done))
            return await done
        [effects] = await self._transact([part])
        return effects

    def _begin(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            spawn(self._commit(gathered), "batches of the shards")

    async def _commit(self, gathered: Sequence[tuple[_Part, Deferred[_Effects]]]) -> None:
        try:
            effects = await self._transact([part for part, _ in gathered])
        except Exception as error:
            if len(gathered) > 1 and (isinstance(error, LastingConflict) or not isinstance(error, DatabaseUnavailable)):
                for one in gathered:
                    if not one[1].called:
                        await self._commit([one])
                return
            for _, done in gathered:
                if not done.called:
                    done.errback(error)
        else:
            for (_, done), effect in zip(gathered, effects, strict=True):
                if not done.called:
                    done.callback(effect)

    async def _transact(self, parts: Sequence[_Part]) -> Sequence[_Effects]:
        return await self._database.transact(partial(_handle, parts, self._policy), name="ocpp batch")


class ShardWork:
    """The work of one shard."""

    def __init__(self, shard: int, *, broker: Broker, database: Database, relay: Relay, batches: Batches) -> None:
        self._shard = shard
        self._broker = broker
        self._database = database
        self._relay = relay
        self._batches = batches
        self._epoch = 0

    def decode(self, message: Message) -> Received:
        """Read a message of a gateway; raises :class:`csms.domain.messages.BadMessage`."""
        return Received(decode(ChargerMessage, message.body), message.reply_to)

    async def begin(self) -> None:
        """Take the shard: whoever held it before can write no more, and what it has not told is told first."""
        shard = self._shard
        self._epoch = await self._database.transact(lambda uow: uow.shards.take(shard), name="take shard")
        await self._relay.catch_up(shard)

    async def commit(self, batch: Sequence[Received]) -> Sequence[Outcome]:
        """Write all effects, then tell of them."""
        await self._relay.room()
        published = self._relay.take_confirmed()
        try:
            effects = await self._batches.commit(_Part(self._shard, self._epoch, batch, published))
        except BaseException as error:
            self._relay.give_back(published)
            if isinstance(error, Fenced):
                self._relay.forget(self._shard)
            raise
        self._relay.removed(published)
        self._reply(effects.replies)
        if effects.repeats:
            # Perhaps of a commit whose answer was lost: what it wrote is told now, before what comes after it.
            await self._relay.catch_up(self._shard)
        else:
            self._relay.publish(effects.rows, shard=self._shard)
        for (action, outcome), count in effects.counts.items():
            metrics.HANDLED.labels(action, outcome).inc(count)
        return effects.outcomes

    # --- after the commit

    def _reply(self, replies: Sequence[tuple[str, Reply]]) -> None:
        if not replies:
            return
        sent = [
            self._broker.publish(
                topology.DEFAULT_EXCHANGE,
                reply_to,
                Message(
                    body=encode(reply),
                    message_id=f"{reply.message_id}.reply",
                    type="Reply",
                    correlation_id=reply.message_id,
                    persistent=False,
                ),
                mandatory=False,
            )
            for reply_to, reply in replies
        ]
        spawn(_ignore_losses(sent), "replies")


# --- in a database thread


def _handle(parts: Sequence[_Part], policy: Policy, uow: UnitOfWork) -> list[_Effects]:
    """Write the effects of all parts; those of each, in their order."""
    uow.shards.fence({part.shard: part.epoch for part in parts})
    uow.outbox.published([row_id for part in parts for row_id in part.published])
    uow.preload([received.message for part in parts for received in part.batch])
    placed = [[_with_charger(received.message, uow) for received in part.batch] for part in parts]
    known = [message for messages in placed for message in messages if message is not None]
    answers = dict(uow.log.answered(known, optimistic=True))
    return [_effects(part, messages, answers, policy, uow) for part, messages in zip(parts, placed, strict=True)]


def _effects(
    part: _Part,
    messages: Sequence[ChargerMessage | None],
    answers: dict[str, str],
    policy: Policy,
    uow: UnitOfWork,
) -> _Effects:
    """Handle one shard's messages; ``answers``: to those that are in the log already."""
    effects = _Effects()
    entries: list[LogEntry] = []
    notifications: list[Notification] = []
    commands: list[Command] = []
    for received, message in zip(part.batch, messages, strict=True):
        if message is None:
            effects.outcomes.append(DeadLetter(f"charger {received.message.device_id} does not exist (any more)"))
            continue
        stored = answers.get(message.message_id)
        if stored is None:
            handled = handle(message, uow, policy)
            notifications += handled.notifications
            commands += handled.commands
            stored = answers[message.message_id] = _answer(message, handled)
            error = handled.error.value if handled.error is not None else message.fault
            entries.append(_log_entry(message, stored, error))
            outcome = "done" if handled.error is None else "refused"
        else:
            outcome = "repeated"
            effects.repeats += 1
        effects.counts[_label(message), outcome] += 1
        if stored and received.reply_to:
            effects.replies.append((received.reply_to, _reply(message, stored)))
        effects.outcomes.append(ACK)
    uow.log.append(entries)
    if commands:
        effects.rows += uow.outbox.route(commands, shard=part.shard)
    if notifications:
        effects.rows += uow.outbox.add(condensed(notifications), shard=part.shard)
    return effects


async def _ignore_losses(sent: Sequence[Awaitable[None]]) -> None:
    """A reply that is lost costs nothing: the charger repeats itself and gets the stored answer."""
    for publishing in sent:
        with contextlib.suppress(BrokerError):
            await publishing


def _with_charger(message: ChargerMessage, uow: UnitOfWork) -> ChargerMessage | None:
    """``message`` with the key that its charger has now: it may have been removed, and added again, since."""
    charger = uow.chargers.get(message.charger_id)
    if charger is not None and charger.device_id == message.device_id:
        return message
    charger = uow.chargers.by_device_id(message.device_id)
    return None if charger is None else msgspec.structs.replace(message, charger_id=charger.id)


def _answer(message: ChargerMessage, handled: Handled) -> str:
    """What a worker's decision looks like in the message log: an object (CALLRESULT), an array (CALLERROR), nothing."""
    if not _decides(message):
        return ""
    if handled.error is not None:
        return _to_json([handled.error.name, handled.error_description]).decode()
    if handled.answer is not None:
        return _to_json(handled.answer).decode()
    raise TypeError(f"{message.message_type} waits for a decision, and none was made")


def _decides(message: ChargerMessage) -> bool:
    """Whether the charger's answer is up to us."""
    if (message.ocpp_version, message.message_type) not in ACTIONS:
        return False
    by = answered_by(message.ocpp_version, message.message_type, message.payload)
    return by is AnsweredBy.WORKER


def _label(message: ChargerMessage) -> str:
    """The action as a metric's label, of which there may not be arbitrarily many."""
    return message.message_type if (message.ocpp_version, message.message_type) in ACTIONS else "other"


def _reply(message: ChargerMessage, stored: str) -> Reply:
    """The reply to ``message`` from an answer in the log."""
    answer = _from_json(stored)
    if isinstance(answer, dict):
        return Reply(message_id=message.message_id, connection_id=message.connection_id, payload=answer)
    code, description = answer
    return Reply(
        message_id=message.message_id,
        connection_id=message.connection_id,
        error_code=code,
        error_description=description,
    )


def _action(message: ChargerMessage) -> str:
    """What the message log is searched by: a command, its answer and a refused CALL are found as their action."""
    if message.message_type in (COMMAND_SENT, COMMAND_RESULT, CALL_REFUSED):
        return text(message.payload, "action", 50) or message.message_type
    return message.message_type


def _log_entry(message: ChargerMessage, answer: str, error: str) -> LogEntry:
    return LogEntry(
        charger_id=message.charger_id,
        message_id=message.message_id,
        connection_id=message.connection_id,
        unique_id=message.unique_id,
        action=_action(message),
        ocpp_version=message.ocpp_version,
        gateway=message.gateway,
        received_at=message.timestamp,
        raw=message.raw_data,
        answer=answer,
        error=error,
    )
