"""The relay: brings notifications and commands from the outbox to their exchanges, each at least once and in order.

A row is written in the transaction that caused it, published after the commit, and removed once the broker has
confirmed. A worker that dies anywhere in between leaves rows behind. So none is lost, and one that is published twice
carries the same id. A command that the broker returns, because no gateway holds its charger, has its end, or is kept
for the charger.

What a shard's worker tells is told in order: whoever takes a shard publishes first what its last holder has left, and
while the broker takes nothing, rows of a shard wait in the outbox and are published from there. All other rows that
are left behind are published by the sweep of any worker.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Collection, Iterable, Sequence
from datetime import timedelta
from functools import partial

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from csms import metrics
from csms.coroutines import spawn
from csms.domain import command_life
from csms.domain.commands import to_publish
from csms.domain.handling import Notes
from csms.domain.identifiers import new_id
from csms.domain.messages import COMMAND
from csms.domain.repositories import OutboxRow, UnitOfWork
from csms.domain.topology import COMMANDS_EXCHANGE, notification_type
from csms.ports import Broker, BrokerState, Database, DatabaseError, Message, Unroutable
from csms.walltime import utc
from csms.workers.readings import HeldReadings, covered

_log = Logger(namespace="csms.workers")

PUBLISH_DEADLINE_S = 8.0
STALE_S = 10.0
"""Rows older than this were left behind: a living worker has published or given up by then."""
SHARD_DEADLINE_S = 60.0
"""Of rows of a shard. One that is given up while later ones wait on would be told after them: a broker that only hangs,
or is left for another node, must have had time for all."""
SHARD_STALE_S = SHARD_DEADLINE_S + 10.0
WINDOW = 5000
"""Notifications unconfirmed at once; with more, workers wait before they take the next batch."""
FINISH_S = 3.0
_SWEEP_LIMIT = 500
_REMOVE_AFTER_S = 1.0
_CATCH_UP_PAUSE_S = 1.0
_FIRST_AGAIN_S = 10.0
_LAST_AGAIN_S = 600.0


class Relay:
    """Publishes the outbox rows of this process, and those that others left behind."""

    def __init__(self, broker: Broker, database: Database, clock: IReactorTime) -> None:
        self._broker = broker
        self._database = database
        self._clock = clock
        self._unconfirmed: set[int] = set()
        self._confirmed: list[int] = []
        self._leaving: set[int] = set()
        """Taken to be removed, and not known to be."""
        self._tries: dict[int, _Try] = {}
        self._behind: dict[int, list[OutboxRow] | None] = {}
        """Shards whose rows wait in the outbox for the broker -> those written since it is read, None before that."""
        self._catching_up: dict[int, Deferred[None]] = {}
        self._room: list[Deferred[None]] = []
        self._quiet: list[Deferred[None]] = []
        self._readings = HeldReadings(clock, publish=self._tell_held, drop=self.give_back)
        self._removal: IDelayedCall | None = None
        self._removing = DeferredLock()
        self._finished = False

    # --- for the worker that has committed rows

    def publish(self, rows: Sequence[OutboxRow], *, shard: int | None = None) -> None:
        """Publish ``rows`` in order, without waiting for the confirms. ``shard``: that they were written for."""
        if not rows:
            return
        if shard is None:
            spawn(self._confirm(self._send(rows, PUBLISH_DEADLINE_S)), "confirms of notifications")
        elif self._must_wait(shard):
            self._keep_back(rows, shard)
        else:
            self._put_out(self._readings.pass_on(rows, shard))

    async def catch_up(self, shard: int) -> int:
        """Publish what the outbox has of a shard, in order; up to which id. Raises DatabaseError."""
        self.forget(shard)
        after = 0
        while True:
            read = partial(_read_shard, shard=shard, after=after)
            rows = await self._database.transact(read, name="outbox of a shard")
            settled, others_stand_for = self._settled, covered(rows)
            self._put_out([row for row in rows if row.id not in settled | others_stand_for])
            self.give_back(others_stand_for - settled)
            after = rows[-1].id if rows else after
            if len(rows) < _SWEEP_LIMIT:
                return after
            await self.room()

    async def room(self) -> None:
        """Wait until the broker has confirmed enough of what was published. Ends when publishes time out, too."""
        while len(self._unconfirmed) >= WINDOW:
            waiting: Deferred[None] = Deferred()
            self._room.append(waiting)
            await waiting

    def take_confirmed(self) -> list[int]:
        """Ids of rows to remove in the caller's transaction; to be given back if that fails."""
        confirmed, self._confirmed = self._confirmed, []
        self._leaving.update(confirmed)
        return confirmed

    def removed(self, ids: Iterable[int]) -> None:
        """These are removed."""
        self._leaving.difference_update(ids)

    def give_back(self, ids: Collection[int]) -> None:
        """These are to be removed still."""
        self._confirmed.extend(ids)
        self._leaving.difference_update(ids)
        self._remove_soon()

    def forget(self, shard: int) -> None:
        """Hold nothing of the shard any more: it is told from the outbox, here or by another worker."""
        self._readings.forget(shard)

    # --- in the background

    async def sweep(self) -> None:
        """Publish, oldest first, what was left behind; done when the broker has confirmed it or has not."""
        if self._broker.state is not BrokerState.UP:
            return
        now_s = self._clock.seconds()
        now = utc(self._clock)
        stale, shards_stale = now - timedelta(seconds=STALE_S), now - timedelta(seconds=SHARD_STALE_S)
        rows = await self._database.transact(
            lambda uow: uow.outbox.waiting(older_than=stale, of_shards=shards_stale, limit=_SWEEP_LIMIT),
            name="outbox sweep",
        )
        found = {row.id for row in rows}
        self._tries = {row_id: again for row_id, again in self._tries.items() if row_id in found}
        settled = self._settled
        due = [row for row in rows if row.id not in settled and self._is_due(row.id, now_s)]
        if due:
            metrics.OUTBOX_LEFT_BEHIND.inc(len(due))
            for row_id in await self._confirm(self._send(due, PUBLISH_DEADLINE_S)):
                self._tries.setdefault(row_id, _Try()).failed(self._clock.seconds())
            await self.remove()

    async def finish(self) -> None:
        """Publish what is held, wait a little for the outstanding confirms, then remove the rows.

        A sweep will find the rest.
        """
        self._readings.close()
        if self._unconfirmed:
            quiet: Deferred[None] = Deferred()
            self._quiet.append(quiet)
            with contextlib.suppress(DeferredTimeout):
                await quiet.addTimeout(FINISH_S, self._clock)
        self._finished = True
        for catching_up in tuple(self._catching_up.values()):
            catching_up.cancel()
        if self._removal is not None:
            self._removal.cancel()
            self._removal = None
        await self.remove()

    async def remove(self) -> None:
        """Remove confirmed rows in transactions of their own, one at a time; what fails is tried again later."""
        async with self._removing:
            if ids := self.take_confirmed():
                await self._remove(ids)

    async def _remove(self, ids: Sequence[int]) -> None:
        try:
            await self._database.transact(lambda uow: uow.outbox.published(ids), name="outbox removal")
        except DatabaseError as error:
            _log.warn("{count} published outbox rows stay for now: {error}", count=len(ids), error=error)
            self.give_back(ids)
        except BaseException:
            self.give_back(ids)
            raise
        else:
            self.removed(ids)

    # --- inside

    def _tell_held(self, rows: Sequence[OutboxRow], shard: int) -> None:
        if self._must_wait(shard):
            self._keep_back(rows, shard)
        else:
            self._put_out(rows)

    def _must_wait(self, shard: int) -> bool:
        return shard in self._behind or self._broker.state is not BrokerState.UP

    def _keep_back(self, rows: Sequence[OutboxRow], shard: int) -> None:
        if self._finished:
            return
        if shard not in self._behind:
            self._behind[shard] = None
            self._catching_up[shard] = spawn(self._when_up(shard), f"outbox of shard {shard}")
        elif (since := self._behind[shard]) is not None:
            since += rows

    async def _when_up(self, shard: int) -> None:
        """Bring a shard's rows out when the broker takes them again, those first that have waited in the outbox."""
        try:
            while (told := await self._tell_waiting(shard)) is None:
                await self._pause(_CATCH_UP_PAUSE_S)
            since = self._behind[shard] or []
        finally:
            del self._behind[shard]
        self._put_out([row for row in since if row.id > told])

    async def _tell_waiting(self, shard: int) -> int | None:
        """Publish what waits of a shard as soon as the broker is there; up to which id, None when that did not work."""
        self._behind[shard] = None
        await self._broker.when_up()
        self._behind[shard] = []
        try:
            told = await self.catch_up(shard)
        except DatabaseError as error:
            _log.warn("the outbox of shard {shard} has to wait: {error}", shard=shard, error=error)
            return None
        return told if self._broker.state is BrokerState.UP else None

    async def _pause(self, seconds: float) -> None:
        over: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._clock.callLater(seconds, over.callback, None)
        await over

    def _put_out(self, rows: Sequence[OutboxRow]) -> None:
        """Publish rows of a shard, whose turn it is."""
        if not rows:
            return
        spawn(self._confirm(self._send(rows, SHARD_DEADLINE_S)), "confirms of notifications")

    def _send(self, rows: Sequence[OutboxRow], deadline_s: float) -> list[tuple[OutboxRow, Awaitable[None]]]:
        now = utc(self._clock)
        sent: list[tuple[OutboxRow, Awaitable[None]]] = []
        for row in rows:
            kind = COMMAND if row.exchange == COMMANDS_EXCHANGE else notification_type(row.routing_key)
            message = Message(body=row.body, message_id=row.event_id, type=kind, timestamp=now)
            publishing = self._broker.publish(row.exchange, row.routing_key, message, deadline_s=deadline_s)
            sent.append((row, publishing))
        self._unconfirmed.update(row.id for row in rows)
        metrics.OUTBOX_UNCONFIRMED.set(len(self._unconfirmed))
        return sent

    async def _confirm(self, sent: Sequence[tuple[OutboxRow, Awaitable[None]]]) -> list[int]:
        """Wait for each confirm; the rows that got none. They run side by side: waiting in order costs no time."""
        error: Exception | None = None
        failed: list[int] = []
        returned: list[OutboxRow] = []
        for row, publishing in sent:
            try:
                await publishing
            except Exception as failure:
                if isinstance(failure, Unroutable) and row.exchange == COMMANDS_EXCHANGE:
                    returned.append(row)
                else:
                    error = failure
                    failed.append(row.id)
            else:
                self._confirmed.append(row.id)
        try:
            if returned:
                await self._returned(returned)
        finally:
            self._unconfirmed.difference_update(row.id for row, _ in sent)
            self._remove_soon()
            self._tell()
        metrics.OUTBOX_UNCONFIRMED.set(len(self._unconfirmed))
        if error is not None:
            _log.warn(
                "{count} messages of the outbox are not confirmed and stay in it: {error}",
                count=len(failed),
                error=error,
            )
        return failed

    async def _returned(self, rows: Sequence[OutboxRow]) -> None:
        """Nobody holds the chargers of these commands. If that cannot be noted, the sweep finds the rows again."""
        now = utc(self._clock)

        def note(uow: UnitOfWork) -> list[OutboxRow]:
            notes = Notes(new_id(int(now.timestamp() * 1000)), now)
            command_life.not_routed(uow, [row.event_id for row in rows], now, notes)
            uow.outbox.published([row.id for row in rows])
            return to_publish(uow, notes)

        try:
            told = await self._database.transact(note, name="commands not routed")
        except DatabaseError as error:
            _log.warn("{count} commands cannot be noted as not routed: {error}", count=len(rows), error=error)
        else:
            self.publish(told)

    @property
    def _settled(self) -> set[int]:
        """Rows that this process has published, or is about to remove."""
        return self._unconfirmed.union(self._confirmed, self._leaving)

    def _is_due(self, row_id: int, now_s: float) -> bool:
        again = self._tries.get(row_id)
        return again is None or again.at_s <= now_s

    def _remove_soon(self) -> None:
        """In a second, unless some batch's transaction takes the ids along before."""
        if self._removal is None and self._confirmed and not self._finished:
            self._removal = self._clock.callLater(_REMOVE_AFTER_S, self._remove_now)

    def _remove_now(self) -> None:
        self._removal = None
        spawn(self.remove(), "outbox removal")

    def _tell(self) -> None:
        if len(self._unconfirmed) < WINDOW:
            self._fire(self._room)
        if not self._unconfirmed:
            self._fire(self._quiet)

    @staticmethod
    def _fire(waiting: list[Deferred[None]]) -> None:
        fired = waiting[:]
        waiting.clear()
        for deferred in fired:
            if not deferred.called:
                deferred.callback(None)


def _read_shard(uow: UnitOfWork, shard: int, after: int) -> Sequence[OutboxRow]:
    return uow.outbox.of_shard(shard, after=after, limit=_SWEEP_LIMIT)


class _Try:
    """When a row that this process has published in vain is due again: with growing pauses.

    The in-process broker confirms only when every consumer has acked; a webhook that takes minutes must not make
    browsers see its notification every few seconds.
    """

    __slots__ = ("_pause_s", "at_s")

    def __init__(self) -> None:
        self._pause_s = _FIRST_AGAIN_S
        self.at_s = 0.0

    def failed(self, now_s: float) -> None:
        self.at_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LAST_AGAIN_S)
