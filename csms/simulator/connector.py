"""The life of one connector: a car comes, is plugged in, charges, and leaves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from csms.simulator.curves import Car, random_car
from csms.simulator.dialects import Dialect, Reading, Transaction
from csms.simulator.mailbox import Mailbox

Payload = dict[str, Any]


class Station(Protocol):
    """What a connector needs of the charger that it belongs to."""

    @property
    def dialect(self) -> Dialect: ...
    @property
    def mailbox(self) -> Mailbox: ...
    def now(self) -> datetime: ...
    def random_token(self) -> str: ...
    def new_transaction_id(self) -> str: ...
    async def ask(self, action: str, payload: Payload) -> Payload | None:
        """The answer to a message that is not queued; None when there is none."""
        ...


class VirtualConnector:
    """One connector, which is one EVSE. ``run`` lives as long as the charger does."""

    def __init__(
        self,
        evse: int,
        station: Station,
        clock: IReactorTime,
        random: Random,
        *,
        speed: float,
        meter_interval_s: float,
    ) -> None:
        self.evse = evse
        self.status = "Available"
        self.transaction: Transaction | None = None
        self._station = station
        self._clock = clock
        self._random = random
        self._speed = speed
        self._meter_interval_s = meter_interval_s
        self._register_wh = float(random.randrange(50_000, 5_000_000))
        self._changed_at = station.now()
        self._nap: tuple[IDelayedCall, Deferred[None]] | None = None
        self._wanted: tuple[str, int | None] | None = None
        self._stop_reason: str | None = None
        self._operative = True

    @property
    def free(self) -> bool:
        """Whether a remote start makes sense."""
        return self.transaction is None and self._operative

    def remote_start(self, id_token: str, remote_start_id: int | None) -> None:
        """Let a car come at once, for this token."""
        self._wanted = id_token, remote_start_id
        self._wake()

    def stop(self, reason: str) -> None:
        """End the running transaction, if there is one."""
        self._stop_reason = reason
        self._wake()

    def set_operative(self, operative: bool) -> None:
        """Take the connector out of service, or back. A running transaction goes on."""
        self._operative = operative
        self._wake()

    def status_message(self) -> tuple[str, Payload]:
        """StatusNotification as of now."""
        return self._station.dialect.status(self.evse, self.status, self._changed_at)

    async def run(self) -> None:
        """Car after car."""
        await self._sleep(self._random.uniform(0.5, 12.0))
        while True:
            await self._set_status("Available" if self._operative else "Unavailable")
            if self._operative:
                await self._one_car()
            await self._sleep(self._random.uniform(10.0, 90.0) / min(self._speed, 10.0))

    async def _one_car(self) -> None:
        id_token, remote_start_id = self._wanted or (self._station.random_token(), None)
        remote, self._wanted, self._stop_reason = self._wanted is not None, None, None
        await self._set_status("Preparing")
        if not remote and not await self._authorized(id_token):
            await self._sleep(self._random.uniform(2.0, 5.0))
            return
        car = random_car(self._random)
        transaction = Transaction(
            evse=self.evse,
            id_token=id_token,
            id=self._station.new_transaction_id(),
            remote_start_id=remote_start_id,
        )
        self.transaction = transaction
        dialect, mailbox = self._station.dialect, self._station.mailbox
        reading = self._reading(0.0, car)
        answer = await mailbox.post(lambda: dialect.start(transaction, reading))
        if answer is not None:
            dialect.started(transaction, answer)
        if answer is not None and dialect.accepts(answer):
            await self._set_status("Charging")
            await self._charge(car, transaction)
        else:
            self._stop_reason = "DeAuthorized"
        last, reason = self._reading(0.0, car), self._stop_reason or "Local"
        await mailbox.post(lambda: dialect.stop(transaction, last, reason))
        self.transaction = None
        await self._set_status("Finishing")
        await self._sleep(self._random.uniform(1.0, 6.0))

    async def _authorized(self, id_token: str) -> bool:
        answer = await self._station.ask(*self._station.dialect.authorize(id_token))
        # Offline, a charger lets people charge and tells later (LocalAuthorizeOffline).
        return answer is None or self._station.dialect.accepts(answer)

    async def _charge(self, car: Car, transaction: Transaction) -> None:
        dialect = self._station.dialect
        while not car.content and self._stop_reason is None:
            before = self._clock.seconds()
            power_w = car.power_w(self._random)
            await self._sleep(self._meter_interval_s)
            elapsed_s = (self._clock.seconds() - before) * self._speed
            self._register_wh += car.charge(power_w, elapsed_s)
            self._station.mailbox.post(self._metered(dialect, transaction, self._reading(power_w, car)))

    def _metered(
        self, dialect: Dialect, transaction: Transaction, reading: Reading
    ) -> Callable[[], tuple[str, Payload]]:
        return lambda: dialect.meter(transaction, reading)

    def _reading(self, power_w: float, car: Car) -> Reading:
        return Reading(
            at=self._station.now(), register_wh=self._register_wh, power_w=power_w, soc_percent=car.soc_percent
        )

    async def _set_status(self, status: str) -> None:
        if status != self.status:
            self.status, self._changed_at = status, self._station.now()
            await self._station.ask(*self.status_message())

    async def _sleep(self, seconds: float) -> None:
        """Wait, unless something happens before."""
        nap: Deferred[None] = Deferred(lambda _: timer.cancel() if timer.active() else None)
        timer = self._clock.callLater(seconds, nap.callback, None)
        self._nap = timer, nap
        await nap
        self._nap = None

    def _wake(self) -> None:
        if self._nap is not None:
            timer, nap = self._nap
            self._nap = None
            timer.cancel()
            nap.callback(None)
