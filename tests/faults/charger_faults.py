"""Chargers that misbehave as real ones do: half-open, twice there, repeating themselves, all at once, days late."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults.catalogue import fault
from tests.faults.chargers import LoadCharger16
from tests.faults.field import Field
from tests.faults.link import Link, Unanswered, open_link

REPEATS = 5


class Script(LoadCharger16):
    """A charger that a fault steers itself."""

    def __init__(self, field: Field, name: str) -> None:
        super().__init__(f"{field.prefix}{name}", field.addresses, field.ledger, pause_s=0.0)
        self.ledger = field.ledger

    async def hang_up(self) -> None:
        """Close the connection."""
        if self.link is not None:
            await self.link.close()
            self.link = None


@fault("half-open", touches="charger")
async def half_open(field: Field) -> None:
    """Every charger falls silent with its socket open, and comes back on another one, three times."""
    for _ in range(3):
        abandoned: list[Link] = []
        for charger in field.chargers:
            if charger.link is not None:
                abandoned.append(charger.link)
                charger.fall_silent()
        await field.all_answered()
        for link in abandoned:
            link.cut()


@fault("same-charger-on-two-gateways", touches="charger")
async def same_charger_twice(field: Field) -> None:
    """Two devices with one identity, one at each gateway, both reconnecting for ever: the newest wins, always."""
    twin, ends = Script(field, "twin"), Counter[int]()
    end = time.monotonic() + field.seconds(30, 5)

    async def insist(port: int) -> int:
        """Connect and send again and again; how often that was answered."""
        answered = 0
        for number in itertools.count(1):
            if time.monotonic() > end:
                return answered
            with suppress(Unanswered, TimeoutError):
                link = await open_link(
                    f"ws://127.0.0.1:{port}/ocpp/{twin.device_id}", "ocpp1.6", field.ledger, _nothing
                )
                for beat in range(3):
                    attempt = field.ledger.sent(twin.device_id, 0, port * 10000 + number * 3 + beat, "Heartbeat", {})
                    field.ledger.answered(attempt, await link.ask(attempt.unique_id, attempt.frame, 10.0))
                    answered += 1
                    await asyncio.sleep(0.05)
                if link.is_open:
                    await asyncio.sleep(0.1)
                ends[link.close_code if not link.is_open else 0] += 1
                link.cut()
        raise AssertionError("unreachable")

    answered = await asyncio.gather(*(insist(port) for port in field.addresses.ports))
    field.check(all(answered), f"a twin got no answer at all: {answered}")
    field.note("takeovers", ends[1008])
    await twin.boot()
    await twin.charge()
    await twin.hang_up()


@fault("retry-storm", touches="charger")
async def retry_storm(field: Field) -> None:
    """Chargers send every Start, MeterValues and Stop five times with new ids: one session, one row a sample."""
    stormers = [Insistent(field, f"storm{number}") for number in range(int(field.seconds(40, 8)))]
    await asyncio.gather(*(stormer.live(2) for stormer in stormers))
    different = [stormer.device_id for stormer in stormers if stormer.differed]
    field.check(not different, f"a repeated Start got another answer: {different}")
    field.note("repeats", sum(stormer.repeated for stormer in stormers))


class Insistent(Script):
    """Says everything five times, however it was answered."""

    def __init__(self, field: Field, name: str) -> None:
        super().__init__(field, name)
        self.repeated = 0
        self.differed = False

    async def live(self, sessions: int) -> None:
        """Charge that often."""
        await self.boot()
        for _ in range(sessions):
            await self.charge()
        await self.hang_up()

    async def say(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        answers: list[dict[str, Any]] = []
        for tries in itertools.count(1):
            try:
                answer = await self._ask(number, tries, action, payload)
            except Unanswered:
                await self._lost()
                continue
            answers.append(answer[2])
            if len(answers) == REPEATS or action not in ("StartTransaction", "MeterValues", "StopTransaction"):
                break
        self.repeated += len(answers) - 1
        self.differed |= action == "StartTransaction" and any(answer != answers[0] for answer in answers)
        return answers[0]


@fault("offline-backlog", touches="charger")
async def offline_backlog(field: Field) -> None:
    """Chargers that were offline for three days deliver all at once, with transaction ids -1, 0 and unknown ones."""
    late = [Late(field, f"late{number}") for number in range(int(field.seconds(20, 4)))]
    sessions = int(field.seconds(20, 6))
    began = time.monotonic()
    await asyncio.gather(*(charger.deliver(sessions) for charger in late))
    count = len(late) * sessions * (2 + Late.METERS)
    field.note("backlog", count)
    field.note("backlog messages a s", count / (time.monotonic() - began))
    field.expected.orphans.update({charger.device_id: sessions for charger in late})
    field.expected.readings.update(reading for charger in late for reading in charger.readings)


class Late(Script):
    """Has charged while it was offline, for another backend as far as csms can tell: no Stop has a Start."""

    METERS = 6

    def __init__(self, field: Field, name: str) -> None:
        super().__init__(field, name)
        self.readings: list[tuple[str, float]] = []

    async def deliver(self, sessions: int) -> None:
        """Send what was queued; of every session the meter values and the stop."""
        await self.boot()
        moment = datetime.now(UTC) - timedelta(days=3)
        for number in range(sessions):
            transaction_id = (-1, 0, 1_000_000 + number)[number % 3]
            for _ in range(self.METERS):
                moment += timedelta(minutes=1)
                reading_wh = self._read_meter()
                self.readings.append((self.device_id, float(reading_wh)))
                values = [{"timestamp": _at(moment), "sampledValue": [{"value": str(reading_wh)}]}]
                meter = {"connectorId": 1, "transactionId": transaction_id, "meterValue": values}
                await self.say("MeterValues", meter)
            moment += timedelta(minutes=1)
            stop = {"transactionId": transaction_id, "meterStop": self._read_meter(), "timestamp": _at(moment)}
            await self.say("StopTransaction", stop)
            await self.say("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
        await self.hang_up()


@fault("reconnect-storm", touches="charger gateway")
async def reconnect_storm(field: Field) -> None:
    """2,000 chargers lose their gateways at once, and all come back within one second."""
    crowd = [Script(field, f"c{number}") for number in range(int(field.seconds(2000, 100)))]
    await _all_connect(crowd, spread_s=field.seconds(20, 1))
    for charger in crowd:
        charger.cut()
    began = time.monotonic()
    waits = await _all_connect(crowd, spread_s=1.0)
    field.over()
    field.note("chargers", len(crowd))
    field.note("all back after s", time.monotonic() - began)
    field.note("median s", sorted(waits)[len(waits) // 2])
    await asyncio.gather(*(charger.hang_up() for charger in crowd))


async def _all_connect(crowd: Sequence[Script], *, spread_s: float) -> list[float]:
    """Connect and boot within ``spread_s``; how long each had to wait for its answer."""

    async def one(charger: Script, number: int) -> float:
        await asyncio.sleep(spread_s * number / len(crowd))
        began = time.monotonic()
        await charger.boot()
        return time.monotonic() - began

    return await asyncio.gather(*(one(charger, number) for number, charger in enumerate(crowd)))


@fault("cut-after-sending", touches="charger")
async def cut_after_sending(field: Field) -> None:
    """Chargers whose connection is cut right after they wrote a message, at every message, and that repeat it."""
    hasty = [Hasty(field, f"hasty{number}") for number in range(int(field.seconds(20, 5)))]
    await asyncio.gather(*(charger.live(2) for charger in hasty))


class Hasty(Script):
    """Cuts its connection after each first sending."""

    async def live(self, sessions: int) -> None:
        """Charge that often."""
        await self.boot()
        for _ in range(sessions):
            await self.charge()
        await self.hang_up()

    async def _ask(self, number: int, tries: int, action: str, payload: dict[str, Any]) -> list[Any]:
        if tries > 1:
            return await super()._ask(number, tries, action, payload)
        link = await self.connected()
        await link.send(self.ledger.sent(self.device_id, number, tries, action, payload).frame)
        await asyncio.sleep(self._random.uniform(0.0, 0.02))
        link.cut()
        raise Unanswered


def _at(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _nothing(_action: str, _payload: dict[str, Any]) -> None:
    return None
