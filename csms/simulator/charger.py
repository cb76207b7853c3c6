"""A virtual charging station: boots, keeps its connectors going, obeys commands, survives lost connections."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from csms.coroutines import spawn
from csms.ocpp.versions import Version
from csms.simulator.commands import commands_of
from csms.simulator.connector import VirtualConnector
from csms.simulator.dialects import dialect_of
from csms.simulator.link import Link, NoAnswer, Refused
from csms.simulator.mailbox import Mailbox

Payload = dict[str, Any]
TOKENS = tuple(f"SIM-CARD-{number:03d}" for number in range(1, 201))
"""The cards of the simulated drivers."""
_BOOT_RETRY_S = 10.0


class VirtualCharger:
    """One charger. Its ``client`` gives it a link when there is a connection, and takes it away again."""

    def __init__(
        self,
        device_id: str,
        version: Version,
        clock: IReactorTime,
        random: Random,
        *,
        connectors: int,
        speed: float,
        meter_interval_s: float,
        start: datetime,
    ) -> None:
        self.device_id = device_id
        self.version = version
        self.dialect = dialect_of(version)
        self.mailbox = Mailbox(clock)
        self.hang_up: Callable[[], None] | None = None
        self._clock = clock
        self._random = random
        # The wall clock is read once; from then on the reactor's clock counts.
        self._start, self._start_s = start, clock.seconds()
        self._link: Link | None = None
        self._reason = "PowerUp"
        self._accepted = False
        self._heartbeat_s = 300.0
        self._lives: list[Deferred[None]] = []
        self.connectors = [
            VirtualConnector(number, self, clock, random, speed=speed, meter_interval_s=meter_interval_s)
            for number in range(1, connectors + 1)
        ]
        self._commands = commands_of(version, self)

    def now(self) -> datetime:
        """The charger's own clock."""
        return self._start + timedelta(seconds=self._clock.seconds() - self._start_s)

    def random_token(self) -> str:
        """Somebody's card."""
        return self._random.choice(TOKENS)

    def new_transaction_id(self) -> str:
        """2.x chargers name their transactions; 1.6 chargers are told."""
        return "" if self.version.is_16 else str(UUID(int=self._random.getrandbits(128), version=4))

    def online(self, link: Link) -> None:
        """There is a connection."""
        self._link = link
        self._live(self._greet(link))

    def offline(self) -> None:
        """The connection is gone."""
        self._link = None
        self.mailbox.offline()

    def obey(self, action: str, payload: Payload) -> Payload | None:
        """Answer a command of the CSMS."""
        command = self._commands.get(action)
        return None if command is None else command(payload)

    def later(self, seconds: float, task: Callable[[], object]) -> None:
        """Do something after the answer to a command is out."""

        async def wait_and_do() -> None:
            await self._sleep(seconds)
            task()

        self._live(wait_and_do())

    def reset(self, reason: str = "RemoteReset") -> None:
        """Lose the connection and come back as after a restart. Transactions go on, as after a soft reset of 2.x."""
        self._reason, self._accepted = reason, False
        if self.hang_up is not None:
            self.hang_up()

    def tell(self, action: str, payload: Payload) -> None:
        """Send a message whose answer does not matter."""
        self._live(self.ask(action, payload))

    def boot_message(self) -> tuple[str, Payload]:
        """BootNotification."""
        return self.dialect.boot(self.device_id, reason=self._reason)

    async def ask(self, action: str, payload: Payload) -> Payload | None:
        """The answer to a message that is not queued; None when there is none."""
        if self._link is None or not self._accepted:
            return None
        try:
            return await self._link.call(action, payload)
        except (NoAnswer, Refused):
            return None

    def start(self) -> None:
        """Let the cars come."""
        for connector in self.connectors:
            self._live(connector.run())
        self._live(self._beat())

    def stop(self) -> None:
        """Freeze: nothing happens any more."""
        lives, self._lives = self._lives, []
        for life in lives:
            life.cancel()

    async def _greet(self, link: Link) -> None:
        """Boot if need be, report every connector, then deliver what has waited."""
        while not self._accepted:
            try:
                answer = await link.call(*self.boot_message())
            except Refused:
                answer = {"status": "Rejected", "interval": 0}
            except NoAnswer:
                return
            self._accepted = answer.get("status") == "Accepted"
            interval_s = float(answer.get("interval") or _BOOT_RETRY_S)
            if self._accepted:
                self._heartbeat_s = interval_s
            else:
                await self._sleep(interval_s)
        if link is self._link:
            for connector in self.connectors:
                await self.ask(*connector.status_message())
            if link is self._link:
                self.mailbox.online(link)

    async def _beat(self) -> None:
        while True:
            await self._sleep(self._heartbeat_s)
            await self.ask("Heartbeat", {})

    async def _sleep(self, seconds: float) -> None:
        nap: Deferred[None] = Deferred(lambda _: timer.cancel() if timer.active() else None)
        timer = self._clock.callLater(seconds, nap.callback, None)
        await nap

    def _live(self, coroutine: Any) -> None:
        async def guarded() -> None:
            with suppress(CancelledError):
                await coroutine

        life = spawn(guarded(), f"simulated charger {self.device_id}")
        self._lives.append(life)
        life.addCallback(lambda _: self._lives.remove(life) if life in self._lives else None)


def wall_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)
