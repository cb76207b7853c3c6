"""All workers of a process: made from the settings, started and stopped together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, Protocol

from twisted.internet.defer import DeferredList
from twisted.logger import Logger

from csms.config.settings import CertificateSettings, WebhookSettings, WorkerSettings
from csms.coroutines import spawn
from csms.domain import topology
from csms.domain.handling import Policy
from csms.domain.retention import Retention
from csms.ports import Broker, Database, Delivery
from csms.walltime import utc
from csms.workers.analytics import HourlyWork
from csms.workers.charging_events import SummaryWork
from csms.workers.contact import Contact
from csms.workers.loop import Loop, LoopSettings, Work
from csms.workers.notifications import NotificationWorker
from csms.workers.ocpp import Batches, ShardWork
from csms.workers.relay import Relay
from csms.workers.signing import Signing, make_signer
from csms.workers.turns import Turns
from csms.workers.upkeep import Chore, disconnect_silent_gateways, sweep_commands, sweep_reservations
from csms.workers.webhook import HttpPoster

_log = Logger(namespace="csms.workers")

SWEEP_OUTBOX_S = 5.0
SWEEP_GATEWAYS_S = 15.0
SWEEP_COMMANDS_S = 3.0
SWEEP_RESERVATIONS_S = 10.0
COMMANDS_AT_ONCE = 200
SIGN_S = 2.0
MAINTAIN_S = 3600.0
LINGER_S = 0.2
"""Of summaries and rollups, for which nobody waits: one transaction for many notifications costs little more than one
for each."""
SHARD_LINGER_S = 0.05
"""Of messages that were answered already, while no charger waits for a decision; none for one that comes alone."""
BATCHES_AT_ONCE = 3
"""While some are in the database, one is in Python, which does one thing at a time."""


class Worker(Protocol):
    """Something that consumes a queue."""

    @property
    def trouble(self) -> str: ...

    def start(self) -> None: ...

    async def stop(self) -> None: ...


async def _together(*stoppables: Worker | Chore) -> None:
    """Stop all at the same time."""
    stopping = [spawn(stoppable.stop(), "stop of a worker") for stoppable in stoppables]
    await DeferredList(stopping)


class Workers:
    """The workers that ``settings.run`` names. Broker and database are started before and stopped after them."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        broker: Broker,
        database: Database,
        relay: Relay,
        webhooks: Sequence[WebhookSettings],
        shards: int,
        policy: Policy,
        certificates: CertificateSettings,
        kept: Retention,
        reactor: Any,
        name: str,
    ) -> None:
        """Raises ValueError for a worker, a webhook or an authority that cannot be."""
        self.name = name
        self._settings = settings
        self._broker = broker
        self._database = self._contact = Contact(database, reactor)
        self._webhooks = webhooks
        self._shards = shards
        self._policy = policy
        self._reactor = reactor
        self._relay = relay
        self._certificates = certificates
        self._kept = kept
        self._stopping = False
        self._turns = Turns(reactor)
        self._signing: Signing | None = None
        self._chores: list[Chore] = []
        self._shard_loops: list[Worker] = []
        self._consumers: list[Worker] = []
        kinds: dict[str, Callable[[], None]] = {
            "ocpp": self._add_ocpp,
            "charging_events": self._add_charging_events,
            "notifications": self._add_notifications,
            "analytics": self._add_analytics,
        }
        for kind in dict.fromkeys(settings.run.split()):
            if kind not in kinds:
                raise ValueError(f"[worker] run: there is no worker {kind!r}, only {', '.join(kinds)}")
            kinds[kind]()

    @property
    def ready_reason(self) -> str:
        """Why the workers get nothing done at the moment, for a person; empty when all is well."""
        return "; ".join(worker.trouble for worker in self._all if worker.trouble)

    @property
    def _all(self) -> list[Worker]:
        return [*self._shard_loops, *self._consumers]

    async def start(self) -> None:
        """Begin to consume, as soon as the broker lets us; returns at once."""
        _log.info("worker {name} runs {run}", name=self.name, run=self._settings.run)
        await self._contact.start()
        for worker in self._all:
            worker.start()
        for chore in self._chores:
            chore.start()

    async def stop(self) -> None:
        """Finish the batches in hand, give back what is untouched, and bring out what was committed.

        Whoever makes notifications stops first: the in-process broker confirms one when its consumers have acked.
        """
        self._stopping = True
        if self._signing is not None:
            self._signing.stop()
        await _together(*self._chores, *self._shard_loops)
        await self._relay.finish()
        await _together(*self._consumers)
        await self._contact.stop()

    # --- one method a worker

    def _add_ocpp(self) -> None:
        turns = Turns(self._reactor, at_once=BATCHES_AT_ONCE, most=self._settings.batch_size)
        batches = Batches(self._database, self._policy, turns)
        for shard, queue in enumerate(topology.shard_queues(self._shards)):
            work = ShardWork(shard, broker=self._broker, database=self._database, relay=self._relay, batches=batches)
            self._shard_loops.append(self._loop(queue, work, turns, SHARD_LINGER_S, attrgetter("awaited")))
        self._add_chore("outbox sweep", self._relay.sweep, SWEEP_OUTBOX_S)
        self._add_chore("sweep of silent gateways", self._sweep_gateways, SWEEP_GATEWAYS_S)
        self._add_chore("sweep of commands", self._sweep_commands, SWEEP_COMMANDS_S)
        self._add_chore("sweep of reservations", self._sweep_reservations, SWEEP_RESERVATIONS_S)
        self._add_signing()
        self._add_chore("maintenance of the database", self._maintain, MAINTAIN_S)

    def _add_signing(self) -> None:
        sign = make_signer(self._certificates, reactor=self._reactor, now=self._now)
        if sign is not None:
            self._signing = Signing(sign, self._certificates, database=self._database, relay=self._relay, now=self._now)
            self._add_chore("signing of certificates", self._signing.sign_due, SIGN_S)

    def _add_charging_events(self) -> None:
        self._consumers.append(self._loop(topology.CHARGING_EVENTS, SummaryWork(self._database), self._turns, LINGER_S))

    def _add_analytics(self) -> None:
        work = HourlyWork(self._database, self._reactor)
        self._consumers.append(self._loop(topology.ANALYTICS, work, self._turns, LINGER_S))

    def _add_notifications(self) -> None:
        worker = NotificationWorker(
            self._webhooks,
            broker=self._broker,
            clock=self._reactor,
            prefetch=self._settings.prefetch,
            make_poster=partial(HttpPoster, reactor=self._reactor),
        )
        self._consumers.append(worker)

    def _loop(
        self,
        queue: str,
        work: Work[Any],
        turns: Turns,
        linger_s: float,
        is_urgent: Callable[[Delivery], bool] = lambda _: False,
    ) -> Worker:
        settings = LoopSettings(
            batch_size=self._settings.batch_size,
            prefetch=self._settings.prefetch,
            attempts=self._settings.poison_attempts,
            retry_max_s=self._settings.retry_max_s,
            linger_s=linger_s,
        )
        return Loop(
            queue,
            work,
            broker=self._broker,
            clock=self._reactor,
            settings=settings,
            turns=turns,
            contact=self._contact,
            is_urgent=is_urgent,
        )

    def _add_chore(self, name: str, task: Callable[[], Any], interval_s: float) -> None:
        self._chores.append(Chore(name, task, interval_s=interval_s, clock=self._reactor))

    # --- chores

    async def _sweep_gateways(self) -> None:
        now = self._now()
        rows = await self._database.transact(
            lambda uow: disconnect_silent_gateways(uow, now), name="sweep of silent gateways"
        )
        self._relay.publish(rows)

    async def _sweep_commands(self) -> None:
        looked_at = COMMANDS_AT_ONCE
        while looked_at == COMMANDS_AT_ONCE:
            looked_at, rows = await self._database.transact(
                partial(sweep_commands, now=self._now(), limit=COMMANDS_AT_ONCE), name="sweep of commands"
            )
            self._relay.publish(rows)

    async def _sweep_reservations(self) -> None:
        now = self._now()
        rows = await self._database.transact(lambda uow: sweep_reservations(uow, now), name="sweep of reservations")
        self._relay.publish(rows)

    async def _maintain(self) -> None:
        await self._database.maintain(self._now(), self._kept, enough=lambda: self._stopping)

    def _now(self) -> datetime:
        return utc(self._reactor)
