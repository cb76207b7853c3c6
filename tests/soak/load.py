"""Who asks something of csms during a soak: simulated chargers, browsers, programs."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from tests.faults.browser import Browser, Frame
from tests.faults.sites import ScaledOut
from tests.integration.people import get, post
from tests.integration.processes import Service

PATHS = (
    "/api/v1/chargers?limit=50",
    "/api/v1/sessions?limit=50",
    "/api/v1/commands?limit=20",
    "/api/v1/id-tokens?limit=20",
    "/api/v1/overview",
    "/health",
)
COMMANDS: tuple[tuple[str, dict[str, Any]], ...] = (("GetConfiguration", {}), ("ClearCache", {}))
_VERSION = "ocpp1.6"


class Watcher(Browser):
    """A browser that keeps nothing."""

    seen = 0

    def _note(self, frame: Frame) -> None:
        self._last_id = frame["id"]
        self.seen += 1


class Load:
    """Of one installation."""

    def __init__(self, site: ScaledOut, chargers: int) -> None:
        self._site = site
        self._random = Random(1)
        self.answers: Counter[str] = Counter()
        self.seen = 0
        share = chargers // len(site.charger_ports)
        self.simulators = [self._simulator(number, port, share) for number, port in enumerate(site.charger_ports)]
        self.charger_ids = [f"SOAK{n}-{c:04d}" for n in range(len(site.charger_ports)) for c in range(1, share + 1)]
        self._tasks: list[asyncio.Task[None]] = []
        self._watchers: list[Watcher] = []

    def _simulator(self, number: int, port: int, chargers: int) -> Service:
        settings = {
            "CSMS_SIMULATOR_URL": f"ws://127.0.0.1:{port}/ocpp",
            "CSMS_SIMULATOR_CHARGERS": str(chargers),
            "CSMS_SIMULATOR_PREFIX": f"SOAK{number}-",
            "CSMS_SIMULATOR_VERSIONS": _VERSION if number == 0 else "ocpp1.6 ocpp2.0.1",
            "CSMS_SIMULATOR_SPEED": "30",
            "CSMS_SIMULATOR_METER_INTERVAL_S": "15",
            "CSMS_SIMULATOR_SEED": str(number + 1),
        }
        return Service("csms-simulator", self._site.directory, settings, name=f"simulator-{number}")

    async def start(self, browsers: int) -> None:
        """Begin."""
        for simulator in self.simulators:
            simulator.launch()
        for number in range(browsers):
            watcher = self._watcher(number)
            self._watchers.append(watcher)
            await watcher.start()
        self._tasks = [asyncio.create_task(work) for work in (self._come_and_go(), self._read(), self._command())]

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for watcher in self._watchers:
            await watcher.stop()
        for simulator in self.simulators:
            await asyncio.to_thread(simulator.terminate)

    def destroy(self) -> None:
        """End the processes in any case."""
        for simulator in self.simulators:
            simulator.destroy()

    def _watcher(self, number: int) -> Watcher:
        ports = [gateway.http_port for gateway in self._site.gateways]
        return Watcher(lambda: ports[number % 2 :] + ports[: number % 2], self._site.cookie)

    async def _come_and_go(self) -> None:
        """A browser that looks for a moment, again and again."""
        for number in itertools.count():
            watcher = self._watcher(number)
            try:
                await watcher.start()
                await asyncio.sleep(3.0)
            except TimeoutError:
                self.answers["browser not let in"] += 1
            finally:
                await watcher.stop()
            self.seen += watcher.seen

    async def _read(self) -> None:
        for path in itertools.cycle(PATHS):
            await self._ask("GET", get, path)
            await asyncio.sleep(0.5)

    async def _command(self) -> None:
        for action, payload in itertools.cycle(COMMANDS):
            charger = self._random.choice(self.charger_ids)
            await self._ask("POST", post, f"/api/v1/chargers/{charger}/commands/{action}", payload)
            await asyncio.sleep(1.0)

    async def _ask(self, method: str, call: Callable[..., Any], path: str, *body: Any) -> None:
        port = self._random.choice(self._site.gateways).http_port
        try:
            answer = await asyncio.to_thread(lambda: call(port, path, *body, self._site.cookie))
            outcome = str(answer[0]) if method == "POST" else "200"
        except (AssertionError, OSError, ValueError) as error:
            outcome = type(error).__name__
        self.answers[f"{method} {outcome}"] += 1
