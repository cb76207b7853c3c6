"""Networks that stall, lose, slow down and chop up what they carry, between every two parts of an installation."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

from tests.faults.catalogue import fault
from tests.faults.field import Field
from tests.faults.sites import ScaledOut
from tests.integration.processes import Service
from tests.servers.proxy import Fate, Link, Network

LATENCY_S = 0.3


class Proxied(ScaledOut):
    """Every process has a link of its own to RabbitMQ and to PostgreSQL, and chargers one to each gateway."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()
        self.charger_links: dict[str, Link] = {}
        self.broker_links: dict[str, Link] = {}
        self.database_links: dict[str, Link] = {}

    @property
    def links(self) -> list[Link]:
        """All."""
        kinds: tuple[Mapping[str, Link], ...] = (self.charger_links, self.broker_links, self.database_links)
        return [link for kind in kinds for link in kind.values()]

    def settings(self, name: str) -> dict[str, str]:
        broker, database = self.rabbitmq.ports["amqp"], self.postgresql.port
        self.broker_links[name] = self.network.link(broker)
        self.database_links[name] = self.network.link(database)
        settings = super().settings(name)
        return {
            **settings,
            "CSMS_BROKER_URL": _moved(settings["CSMS_BROKER_URL"], broker, self.broker_links[name]),
            "CSMS_DATABASE_URL": _moved(settings["CSMS_DATABASE_URL"], database, self.database_links[name]),
        }

    def add_gateway(self, name: str) -> None:
        super().add_gateway(name)
        self.charger_links[name] = self.network.link(self.charger_ports[-1])
        self.charger_ports[-1] = self.charger_links[name].port

    def broker_ports(self, service: Service) -> set[int]:
        return self.broker_links[service.name].far_ports()

    def database_ports(self, service: Service) -> set[int]:
        return self.database_links[service.name].far_ports()

    def end(self) -> None:
        super().end()
        self.network.close()


def _moved(url: str, port: int, link: Link) -> str:
    return url.replace(f"127.0.0.1:{port}", f"127.0.0.1:{link.port}")


def _sockets(service: Service, port: int) -> set[str]:
    """The open TCP connections of a process from or to a port of loopback, each by its inode."""
    mine = set()
    for descriptor in Path(f"/proc/{service.pid}/fd").iterdir():
        try:
            mine.add(os.readlink(descriptor))
        except FileNotFoundError:
            continue
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = {int(end.rpartition(":")[2], 16) for end in fields[1:3]}
        if fields[3] == "01" and port in ports and f"socket:[{fields[9]}]" in mine:
            found.add(fields[9])
    return found


async def _stalled(field: Field, link: Link, service: Service, port: int, *, longest_s: float) -> None:
    """Stall a link until the process has given up every connection over it."""
    before = await field.do(_sockets, service, port)
    field.check(before, f"{service.name} has no connection there")
    seconds = field.seconds(90, longest_s)
    began = time.monotonic()
    await field.do(link.stall)
    try:
        # The load goes on at the other gateway, or by the other worker.
        field.note("all answered again after s", await field.all_answered())
        await field.until(
            lambda: not before & _sockets(service, port),
            f"{service.name} gives up what it had over the stalled link",
            timeout_s=seconds,
        )
        field.note("given up after s", time.monotonic() - began)
        await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began)))
    finally:
        await field.do(link.resume)


@fault("link-stalled-charger-gateway", layout=Proxied, touches="gateway")
async def stalled_chargers(field: Field) -> None:
    """Nothing gets through between chargers and one gateway for a minute and a half, and no connection is closed."""
    gateway = await field.busy_gateway()
    link = field.site.charger_links[gateway.name]
    await _stalled(field, link, gateway, int(gateway.setting("CSMS_GATEWAY_PORT")), longest_s=70)


@fault("link-stalled-gateway-broker", layout=Proxied, touches="gateway broker")
async def stalled_gateway(field: Field) -> None:
    """The same between one gateway and RabbitMQ."""
    gateway = await field.busy_gateway()
    link = field.site.broker_links[gateway.name]
    await _stalled(field, link, gateway, link.port, longest_s=40)


@fault("link-stalled-worker-broker", layout=Proxied, touches="worker broker")
async def stalled_worker(field: Field) -> None:
    """The same between the worker that holds the shards and RabbitMQ."""
    worker = await field.busy_worker()
    link = field.site.broker_links[worker.name]
    await _stalled(field, link, worker, link.port, longest_s=40)


@fault("link-stalled-worker-database", layout=Proxied, touches="worker database")
async def stalled_database(field: Field) -> None:
    """The same between the worker that holds the shards and PostgreSQL: statements and commits have no answer."""
    worker = await field.busy_worker()
    link = field.site.database_links[worker.name]
    before = await field.do(_sockets, worker, link.port)
    began = time.monotonic()
    await field.do(link.stall)
    try:
        await field.all_answered()  # by the other worker
        field.note("all answered again after s", time.monotonic() - began)
        await field.until(
            lambda: not before & _sockets(worker, link.port), "the worker gives it up", timeout_s=field.seconds(90, 50)
        )
        field.note("given up after s", time.monotonic() - began)
        await asyncio.sleep(max(0.0, field.seconds(90, 0) - (time.monotonic() - began)))
    finally:
        await field.do(link.resume)


@fault("network-slow", layout=Proxied, touches="gateway worker broker database")
async def slow_network(field: Field) -> None:
    """Everything takes 300 ms longer to every part and back."""
    await _for_a_while(field, "delay_s", LATENCY_S, field.seconds(60, 5))


@fault("network-sliced", layout=Proxied, touches="gateway worker broker database", chargers=6)
async def sliced_network(field: Field) -> None:
    """Everything arrives byte by byte, everywhere."""
    await _for_a_while(field, "slice_bytes", 1, field.seconds(40, 3))


async def _for_a_while(field: Field, name: str, value: float, seconds: float) -> None:
    before = field.ledger.answers
    for link in field.site.links:
        setattr(link, name, value)
    await asyncio.sleep(seconds)
    field.note("answers meanwhile", field.ledger.answers - before)
    for link in field.site.links:
        setattr(link, name, 0)


@fault("network-resets", layout=Proxied, touches="gateway worker broker database")
async def resetting_network(field: Field) -> None:
    """Every link loses all its connections every few seconds, at random moments."""
    end = time.monotonic() + field.seconds(90, 5)
    links, cuts = field.site.links, 0
    while time.monotonic() < end:
        await asyncio.sleep(field.random.uniform(0.0, 10.0 / len(links)))
        await field.do(field.random.choice(links).cut)
        cuts += 1
    field.note("cuts", cuts)


class _CommitCutter:
    """Cuts a connection to PostgreSQL at its COMMIT: before it arrives, or when it is answered."""

    def __init__(self, wanted: int, chance: Random) -> None:
        self.cuts = {Fate.CUT_BEFORE: 0, Fate.CUT_AFTER: 0}
        self.done = threading.Event()
        self._wanted = wanted
        self._chance = chance

    def __call__(self, data: bytes) -> Fate:
        if b"COMMIT" not in data or self.done.is_set():
            return Fate.PASS
        # Most of the time after it: these are the commits of which csms cannot know whether they happened.
        fate = self._chance.choice((Fate.PASS, Fate.PASS, Fate.CUT_AFTER, Fate.CUT_AFTER, Fate.CUT_BEFORE))
        if fate is not Fate.PASS:
            self.cuts[fate] += 1
            if sum(self.cuts.values()) >= self._wanted:
                self.done.set()
        return fate


@fault("commits-cut", layout=Proxied, touches="worker database", short=True)
async def commits_cut(field: Field) -> None:
    """Connections to PostgreSQL are cut during COMMIT, 200 times: did it happen or not?"""
    cutter = _CommitCutter(int(field.seconds(200, 12)), field.random)
    links = [field.site.database_links[worker.name] for worker in field.site.workers]
    for link in links:
        link.judge = cutter
    try:
        await field.until(cutter.done.is_set, "enough commits are cut", timeout_s=300.0)
    finally:
        for link in links:
            link.judge = None
    field.note("committed, unanswered", cutter.cuts[Fate.CUT_AFTER])
    field.note("never arrived", cutter.cuts[Fate.CUT_BEFORE])
