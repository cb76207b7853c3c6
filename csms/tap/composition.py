"""Builds the parts of a process from the settings and puts them in order.

Up: http (so that /health answers while the rest waits), database, broker, browsers' events, workers, gateway. Down: the
gateway takes nothing more and finishes what it took, workers finish their batches, then events, broker, database, http.
"""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from twisted.application.service import IService
from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.logger import Logger

from csms.api.access import create_sign_in_link
from csms.api.origins import own_url
from csms.api.service import HealthService, HttpService
from csms.broker.amqp import AmqpBroker
from csms.broker.dead_letters import AmqpDeadLetters
from csms.broker.memory import MemoryBroker
from csms.config.loading import ConfigError
from csms.config.settings import LogLevel, Settings
from csms.domain.repositories import OutboxRow
from csms.gateway.browser import Browsers, to_wire
from csms.gateway.event_feed import EventFeed
from csms.gateway.events import EventRing
from csms.gateway.identifiers import gateway_name
from csms.gateway.service import ChargerGateway
from csms.logs import TRAIL
from csms.parts import is_embedded, make_broker, make_database, shard_count
from csms.ports import BrokerState, DatabaseUnavailable, DeadLetters
from csms.simulator.service import Simulator
from csms.storage.database import SqlDatabase
from csms.storage.dead_letters import DeadLetterReplay, StoredDeadLetters
from csms.tap.collector import spare_collector
from csms.tap.depths import DepthWatch
from csms.tap.rules import consumed_queues, policy, retention
from csms.tap.stages import Process, Stage, end_at_the_next_signal
from csms.tap.standard_log import log_observer
from csms.walltime import run_steadily, utc
from csms.workers.relay import Relay
from csms.workers.service import Workers

DATABASE_PAUSE_S = 2.0
"""Between two tries while the database is away at the start."""

_log = Logger(namespace="csms.tap")
# Twisted's types know the reactor only by its smallest interface.
reactor: Any = _reactor

TwistdOptions = Mapping[str, Any] | None


def all_in_one(settings: Settings, twistd_options: TwistdOptions) -> IService:
    """Gateway, workers, console and API."""
    site = Composition(settings)
    stages = [
        *site.first_stages(),
        *site.http_stages(),
        *site.shared_stages(),
        *site.event_stages(),
        *site.worker_stages(),
        *site.gateway_stages(),
    ]
    return _process("csms", settings, stages, twistd_options, site)


def gateway_alone(settings: Settings, twistd_options: TwistdOptions) -> IService:
    """Chargers' and browsers' connections, console and API."""
    site = Composition(settings)
    stages = [
        *site.first_stages(),
        *site.http_stages(),
        *site.shared_stages(),
        *site.event_stages(),
        *site.gateway_stages(),
    ]
    return _process("csms-gateway", settings, stages, twistd_options, site)


def worker_alone(settings: Settings, twistd_options: TwistdOptions) -> IService:
    """Workers."""
    site = Composition(settings)
    stages = [*site.first_stages(), *site.health_stages(), *site.shared_stages(), *site.worker_stages()]
    return _process("csms-worker", settings, stages, twistd_options, site)


def simulator_alone(settings: Settings, twistd_options: TwistdOptions) -> IService:
    """Virtual chargers."""
    simulator = Simulator(settings.simulator, reactor)
    stages = [Stage("simulator", simulator.start, simulator.stop)]
    return _process("csms-simulator", settings, stages, twistd_options)


def _process(
    name: str,
    settings: Settings,
    stages: Sequence[Stage],
    twistd_options: TwistdOptions,
    site: Composition | None = None,
) -> IService:
    def stopping() -> None:
        end_at_the_next_signal()
        if site is not None:
            site.stop_begins()

    observer = log_observer(settings.log, twistd_options)
    TRAIL.on = settings.log.level is LogLevel.DEBUG
    stages = [*stages, Stage("garbage collector", spare_collector)]
    return Process(name, stages, reactor=reactor, observer=observer, stopping=stopping)


async def _run_steadily() -> None:
    run_steadily(reactor)


class Composition:
    """The parts of one process. What needs the number of shards is made when the database has told it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting = {"start": "starting"}
        """What the start waits for, as /health tells it."""
        self._stopping = False
        self._database: SqlDatabase | None = None
        self._shards = 0
        self._broker: MemoryBroker | AmqpBroker | None = None
        self._depths: DepthWatch | None = None
        self._replay: DeadLetterReplay | None = None
        self._dead_letters: DeadLetters | None = None
        self._relay: Relay | None = None
        self._ring = EventRing(settings.http.events_kept, to_wire, shared=not is_embedded(settings.broker))
        self._browsers: Browsers | None = None
        self._feed: EventFeed | None = None
        self._workers: Workers | None = None
        self._gateway: ChargerGateway | None = None
        self._http: HttpService | None = None
        self._health: HealthService | None = None

    def readiness(self) -> Mapping[str, str]:
        """Part -> why it does not do its work; empty when all do."""
        if self._stopping:
            return {"process": "it stops"}
        if self._waiting:
            return self._waiting
        reasons = {
            "broker": self._broker.reason if self._broker and self._broker.state is not BrokerState.UP else "",
            "events": "no events come yet" if self._feed and not self._feed.ready else "",
            "workers": self._workers.ready_reason if self._workers else "",
            "gateway": self._gateway.ready_reason if self._gateway else "",
        }
        return {part: reason for part, reason in reasons.items() if reason}

    def stop_begins(self) -> None:
        """From now on /health says not ready, so that nobody is sent here any more."""
        self._stopping = True

    # --- stages

    def first_stages(self) -> list[Stage]:
        """What the others build on. It fails for settings that cannot be right."""
        return [Stage("clock", _run_steadily), Stage("database", self._make_database)]

    def http_stages(self) -> list[Stage]:
        """Console, browsers, REST, health and metrics."""
        return [Stage("http", self._start_http, self._stop_http)]

    def health_stages(self) -> list[Stage]:
        """/health and /metrics alone, if a port is set for them."""
        return [Stage("health", self._start_health, self._stop_health)] if self._settings.worker.http_port else []

    def shared_stages(self) -> list[Stage]:
        """Database and broker."""
        return [
            Stage("database", self._start_database, self._stop_database),
            Stage("broker", self._start_broker, self._stop_broker),
        ]

    def event_stages(self) -> list[Stage]:
        """Notifications for browsers."""
        return [Stage("events", self._start_events, self._stop_events)]

    def worker_stages(self) -> list[Stage]:
        """Whoever handles messages."""
        return [Stage("workers", self._start_workers, self._stop_workers)]

    def gateway_stages(self) -> list[Stage]:
        """Chargers, and when they can come, the way in for people."""
        return [Stage("gateway", self._start_gateway, self._stop_gateway), Stage("welcome", self._welcome)]

    async def _make_database(self) -> None:
        self._database = make_database(self._settings.database, reactor)

    # --- http

    async def _start_http(self) -> None:
        assert self._database is not None
        self._browsers = Browsers(self._ring, self._settings.http, clock=reactor, now=_now, fill=self._fill_ring)
        self._http = HttpService(
            self._settings.http,
            database=self._database,
            events=self._browsers,
            happenings=self._ring,
            publish=self._publish,
            dead_letters=lambda: self._dead_letters,
            webhooks=self._settings.webhooks,
            readiness=self.readiness,
            reactor=reactor,
            now=_now,
        )
        await self._http.start()

    def _publish(self, rows: Sequence[OutboxRow]) -> None:
        """For requests and the gateway; before the broker is there, the rows wait in the outbox for a sweep."""
        if self._relay is not None:
            self._relay.publish(rows)

    async def _stop_http(self) -> None:
        if self._http is not None:
            await self._http.stop()

    async def _start_health(self) -> None:
        self._health = HealthService(self._settings.worker.http_port, readiness=self.readiness, reactor=reactor)
        await self._health.start()

    async def _stop_health(self) -> None:
        if self._health is not None:
            await self._health.stop()

    # --- database and broker

    async def _start_database(self) -> None:
        """A server that is away is waited for; a file that cannot be opened will not get better by waiting."""
        assert self._database is not None
        told = ""
        while True:
            try:
                await self._database.start()
                self._shards = await shard_count(self._database, self._settings)
            except DatabaseUnavailable as error:
                if self._settings.database.url.startswith("sqlite:"):
                    raise
                reason = str(error)
                self._waiting = {"database": reason}
                if reason != told:
                    _log.warn("waiting for the database: {reason}", reason=reason)
                    told = reason
                await deferLater(reactor, DATABASE_PAUSE_S)
            else:
                break
        self._waiting = {}
        if self._shards != self._settings.broker.shards:
            _log.info(
                "this installation has {shards} shards: broker.shards counts at the first start only",
                shards=self._shards,
            )

    async def _stop_database(self) -> None:
        if self._database is not None:
            await self._database.stop()

    async def _start_broker(self) -> None:
        assert self._database is not None
        letters = StoredDeadLetters(self._database)
        self._broker = make_broker(
            self._settings.broker,
            shards=self._shards,
            name=f"csms {_host_and_pid()}",
            reactor=reactor,
            consumed_queues=consumed_queues(self._settings, self._shards),
            store_dead_letter=letters.add,
        )
        await self._broker.start()
        self._relay = Relay(self._broker, self._database, reactor)
        self._depths = DepthWatch(self._broker, reactor)
        self._depths.start()
        if isinstance(self._broker, AmqpBroker):
            self._dead_letters = AmqpDeadLetters(self._broker)
        else:
            self._dead_letters = letters
            self._replay = DeadLetterReplay(letters, self._broker.publish, clock=reactor)
            self._replay.start()

    async def _stop_broker(self) -> None:
        if self._relay is not None:
            await self._relay.finish()
        if self._replay is not None:
            await self._replay.stop()
        if self._depths is not None:
            self._depths.stop()
        if self._broker is not None:
            await self._broker.stop()

    # --- browsers' events

    async def _start_events(self) -> None:
        assert self._broker is not None
        assert self._browsers is not None
        self._feed = EventFeed(
            self._broker,
            gateway_name(self._settings.gateway),
            self._ring,
            clock=reactor,
            now=_now,
            followers=self._browsers.__len__,
        )
        self._feed.start()

    async def _fill_ring(self) -> bool:
        return self._feed is not None and await self._feed.follow()

    async def _stop_events(self) -> None:
        if self._feed is not None:
            await self._feed.stop()

    # --- workers

    async def _start_workers(self) -> None:
        assert self._broker is not None
        assert self._database is not None
        assert self._relay is not None
        settings = self._settings.worker
        try:
            self._workers = Workers(
                settings,
                broker=self._broker,
                database=self._database,
                relay=self._relay,
                webhooks=self._settings.webhooks,
                shards=self._shards,
                policy=policy(self._settings),
                certificates=self._settings.certificates,
                kept=retention(self._settings),
                reactor=reactor,
                name=settings.name or _host_and_pid(),
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error
        await self._workers.start()

    async def _stop_workers(self) -> None:
        if self._workers is not None:
            await self._workers.stop()

    # --- gateway

    async def _start_gateway(self) -> None:
        assert self._broker is not None
        assert self._database is not None
        settings = self._settings.gateway
        if is_embedded(self._settings.broker):
            # Nobody else could take the chargers.
            settings = dataclasses.replace(settings, drain_s=0.0)
        self._gateway = ChargerGateway(
            settings,
            self._broker,
            self._database,
            shards=self._shards,
            reactor=reactor,
            operator=self._settings.certificates.operator,
            publish=self._publish,
        )
        await self._gateway.start()

    async def _stop_gateway(self) -> None:
        if self._gateway is not None:
            await self._gateway.stop()

    async def _welcome(self) -> None:
        """Say where to look, and let the first person in."""
        assert self._http is not None
        assert self._database is not None
        http = dataclasses.replace(self._settings.http, port=self._http.port)
        _log.info("console at {url}/", url=own_url(http))
        try:
            if await self._database.read(lambda uow: uow.web.any_session(now=_now()), name="anybody signed in"):
                return
            link = await create_sign_in_link(self._database, http, _now())
        except DatabaseUnavailable as error:
            _log.warn("no sign-in link now, `csms-admin sign-in-link` makes one: {reason}", reason=str(error))
        else:
            _log.info("nobody is signed in yet; this link lets in whoever opens it first: {link}", link=link)


def _host_and_pid() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _now() -> datetime:
    return utc(reactor)
