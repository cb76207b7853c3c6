"""What a fault works with: the installation under load, and ways to break it and to look at it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from http.client import HTTPException
from random import Random
from typing import Any

from tests.faults.audit import Expected
from tests.faults.browser import Browser
from tests.faults.chargers import LoadCharger
from tests.faults.ledger import Ledger
from tests.faults.link import Addresses
from tests.faults.sites import Site
from tests.integration.processes import Service
from tests.servers.daemon import ServerFailed

PATIENCE_S = 60.0
LONGEST_STOP_S = 90.0


class FaultFailed(AssertionError):  # noqa: N818 - it names what happened
    """What a fault says of csms does not hold."""


class Field:
    """One run of one fault (or of two at once)."""

    def __init__(self, site: Site, ledger: Ledger, browser: Browser, prefix: str, *, short: bool) -> None:
        self.site: Any = site
        """Of the fault's own layout, which knows more than the common type."""
        self.ledger = ledger
        self.browser = browser
        self.prefix = prefix
        """Of the deviceIds of this run. Chargers of the fault's own begin with it, too."""
        self.chargers: list[LoadCharger] = []
        self.addresses = Addresses(site.charger_ports)
        self.expected = Expected()
        self.figures: dict[str, Any] = {}
        self.short = short
        self.random = Random(prefix)
        self.over_at = 0.0
        self.alone = True
        """Whether nothing else fails at the same time: some claims hold only then."""
        self.allowed: list[str] = []
        """Words of complaints in the logs that belong to the fault."""
        self.dead_letters = 0
        """Dead letters that must be there in the end."""

    def seconds(self, full: float, short: float) -> float:
        """A duration in the full or in the short run."""
        return short if self.short else full

    def over(self) -> None:
        """The cause is gone: what the fault does from here on is recovery. Without it: when the fault returns."""
        self.over_at = time.monotonic()

    def note(self, name: str, value: Any) -> None:
        """Report a figure."""
        self.figures[name] = round(value, 2) if isinstance(value, float) else value

    def check(self, holds: object, what: str) -> None:
        """Fail the fault unless this holds."""
        if not holds:
            raise FaultFailed(what)

    # --- waiting

    async def until(self, condition: Callable[[], object], what: str, *, timeout_s: float = PATIENCE_S) -> float:
        """Wait until this holds, without blocking; how long that took. It may ask servers: it is called in a thread."""
        began = time.monotonic()
        while not await asyncio.to_thread(condition):
            self.check(time.monotonic() - began < timeout_s, f"not within {timeout_s:.0f} s: {what}")
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def more_answers(self, count: int = 0) -> None:
        """Wait for that many further answers; 0: one for each charger."""
        wanted = self.ledger.answers + (count or len(self.chargers))
        await self.until(lambda: self.ledger.answers >= wanted, "chargers get answers")

    async def all_answered(self) -> float:
        """Wait until every charger has had an answer to something that it sends from now on; how long that took."""
        return await self.answered_since(time.monotonic())

    async def answered_since(self, moment: float) -> float:
        """Wait until every charger has had an answer to what it sent after this moment; how long after."""
        devices = {charger.device_id for charger in self.chargers}
        await self.until(lambda: devices <= self.ledger.answered_since(moment), "every charger is answered again")
        first = self.ledger.first_answers_since(moment)
        return max((first[device] for device in devices), default=moment) - moment

    # --- breaking

    async def do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call something that blocks."""
        return await asyncio.to_thread(call, *arguments)

    async def kill(self, service: Service, number: signal.Signals = signal.SIGKILL) -> int:
        """End a process by a signal; how it ended."""
        os.kill(service.pid, number)
        await self.until(lambda: not service.alive, f"{service.name} ends", timeout_s=LONGEST_STOP_S)
        return service.wait()

    async def start(self, *services: Service) -> None:
        """Start processes (again) and wait until they are ready."""
        await self.site.launch(*services)

    async def paused(self, service: Any, seconds: float) -> None:
        """SIGSTOP, a while, SIGCONT. Of a process or of a server."""
        service.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            service.resume()

    async def busy_worker(self) -> Service:
        """The worker that holds the first shard in the broker's eyes."""
        found: list[Service] = []

        def known() -> bool:
            try:
                worker = self.site.busy_worker()
            except (OSError, ServerFailed, HTTPException):
                worker = self.site.workers[0]  # nobody can tell
            found.extend([worker] if worker is not None else [])
            return bool(found)

        await self.until(known, "some worker holds the first shard")
        return found[0]

    async def busy_gateway(self) -> Service:
        """The gateway with the most chargers of the load."""
        ports: dict[int, int] = {}
        for charger in self.chargers:
            port = charger.port
            ports[port] = ports.get(port, 0) + 1
        port = max(ports, key=lambda one: ports[one])
        gateway: Service = self.site.gateways[self.site.charger_ports.index(port)]
        return gateway


FaultFunction = Callable[[Field], Awaitable[None]]
