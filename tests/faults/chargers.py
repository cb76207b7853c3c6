"""The load: chargers of 1.6 and 2.0.1 that run one session after the other, and repeat what was not answered."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from datetime import UTC, datetime
from random import Random
from typing import Any

from tests.faults.ledger import Ledger, Session
from tests.faults.link import Addresses, Link, Unanswered, open_link

ANSWER_TIMEOUT_S = 15.0
READINGS = 3
"""Of each session."""
STEP_WH = 100
Payload = dict[str, Any]


class LoadCharger:
    """A charger without a password. ``pause_s``: between two messages, on average."""

    subprotocol = ""

    def __init__(self, device_id: str, addresses: Addresses, ledger: Ledger, *, pause_s: float) -> None:
        self.device_id = device_id
        self.link: Link | None = None
        self.commands: list[tuple[str, Payload]] = []
        """CALLs of csms that came."""
        self.command_answers: dict[str, Payload] = {}
        self._addresses = addresses
        self._ledger = ledger
        self._pause_s = pause_s
        self._random = Random(device_id)
        self._turn = self._random.randrange(100)
        self._numbers = itertools.count(1)
        self._register_wh = 1000
        self._finishing = False

    @property
    def port(self) -> int:
        """Of the gateway where it is, or will try next."""
        return self._addresses.port(self._turn)

    async def run(self) -> None:
        """Boot, then charge until :meth:`finish`."""
        await self.boot()
        while not self._finishing:
            await self.charge()
        if self.link is not None:
            await self.link.close()

    def finish(self) -> None:
        """Let the session that runs be the last."""
        self._finishing = True

    async def boot(self) -> None:
        """BootNotification."""
        raise NotImplementedError

    async def charge(self) -> None:
        """One session."""
        raise NotImplementedError

    async def say(self, action: str, payload: Payload) -> Payload:
        """Send until it is answered; the answer."""
        number = next(self._numbers)
        for tries in itertools.count(1):
            try:
                answer = await self._ask(number, tries, action, payload)
            except Unanswered:
                await self._lost()
                continue
            if answer[0] == 3:
                await asyncio.sleep(self._pause_s * self._random.uniform(0.5, 1.5))
                result: Payload = answer[2]
                return result
            await asyncio.sleep(1.0)
        raise AssertionError("unreachable")

    async def connected(self) -> Link:
        """The connection, made if there is none."""
        if self.link is None:
            url = f"ws://127.0.0.1:{self.port}/ocpp/{self.device_id}"
            self.link = await open_link(url, self.subprotocol, self._ledger, self._obey)
        return self.link

    def fall_silent(self) -> None:
        """Lose the network: read no more, leave the socket open, and use another one from now on."""
        link, self.link = self.link, None
        if link is not None:
            link.fall_silent()

    def cut(self) -> None:
        """Lose the connection without a word."""
        link, self.link = self.link, None
        if link is not None:
            link.cut()

    async def _ask(self, number: int, tries: int, action: str, payload: Payload) -> list[Any]:
        link = await self.connected()
        attempt = self._ledger.sent(self.device_id, number, tries, action, payload)
        try:
            answer = await link.ask(attempt.unique_id, attempt.frame, ANSWER_TIMEOUT_S)
        except TimeoutError as error:
            self._ledger.timeouts += 1
            link.cut()
            raise Unanswered from error
        self._ledger.answered(attempt, answer)
        return answer

    async def _lost(self) -> None:
        if self.link is not None:
            self._ledger.closed[self.link.close_code] += 1
            self.link = None
        self._turn += 1
        await asyncio.sleep(self._random.uniform(0.1, 0.5))

    def _obey(self, action: str, payload: Payload) -> Payload | None:
        self.commands.append((action, payload))
        return self.command_answers.get(action)

    # --- sessions

    def _begin(self) -> Session:
        session = Session(self.device_id, self._register_wh)
        self._ledger.sessions.append(session)
        return session

    def _read_meter(self) -> int:
        self._register_wh += STEP_WH
        return self._register_wh

    def _end(self, session: Session, stop_wh: int) -> None:
        session.stop_wh = stop_wh
        self._register_wh += STEP_WH  # so that the next session starts at another value


class LoadCharger16(LoadCharger):
    """OCPP 1.6."""

    subprotocol = "ocpp1.6"

    async def boot(self) -> None:
        await self.say("BootNotification", {"chargePointVendor": "Load", "chargePointModel": "One"})

    async def charge(self) -> None:
        await self._status("Preparing")
        tag, session = f"TAG-{self.device_id}"[:20], self._begin()
        await self.say("Authorize", {"idTag": tag})
        start = {"connectorId": 1, "idTag": tag, "meterStart": session.start_wh, "timestamp": now()}
        transaction_id = (await self.say("StartTransaction", start))["transactionId"]
        session.transaction_id = str(transaction_id)
        for _ in range(READINGS):
            reading_wh = self._read_meter()
            values = [{"timestamp": now(), "sampledValue": [{"value": str(reading_wh)}]}]
            await self.say("MeterValues", {"connectorId": 1, "transactionId": transaction_id, "meterValue": values})
            session.readings_wh.append(reading_wh)
        stop_wh = self._read_meter()
        stop = {"transactionId": transaction_id, "idTag": tag, "meterStop": stop_wh, "timestamp": now()}
        await self.say("StopTransaction", stop)
        self._end(session, stop_wh)
        await self._status("Available")

    async def _status(self, status: str) -> None:
        payload = {"connectorId": 1, "errorCode": "NoError", "status": status, "timestamp": now()}
        await self.say("StatusNotification", payload)
        self._ledger.statuses[self.device_id] = status


class LoadCharger201(LoadCharger):
    """OCPP 2.0.1."""

    subprotocol = "ocpp2.0.1"

    async def boot(self) -> None:
        station = {"vendorName": "Load", "model": "Two"}
        await self.say("BootNotification", {"reason": "PowerUp", "chargingStation": station})

    async def charge(self) -> None:
        await self._status("Occupied")
        session = self._begin()
        session.transaction_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        token = {"idToken": f"TAG-{self.device_id}", "type": "ISO14443"}
        await self._event(session, "Started", "Authorized", 0, session.start_wh, idToken=token)
        for seq_no in range(1, READINGS + 1):
            await self._event(session, "Updated", "MeterValuePeriodic", seq_no, self._read_meter())
        stop_wh = self._read_meter()
        await self._event(session, "Ended", "EVDeparted", READINGS + 1, stop_wh, evse={"id": 1})
        self._end(session, stop_wh)
        await self._status("Available")

    async def _event(
        self, session: Session, kind: str, trigger: str, seq_no: int, reading_wh: int, **more: Any
    ) -> None:
        moment = now()
        contexts = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}
        sample = {
            "value": reading_wh,
            "measurand": "Energy.Active.Import.Register",
            "context": contexts.get(kind, "Sample.Periodic"),
        }
        payload = {
            "eventType": kind,
            "timestamp": moment,
            "triggerReason": trigger,
            "seqNo": seq_no,
            "transactionInfo": {"transactionId": session.transaction_id},
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": moment, "sampledValue": [sample]}],
            **more,
        }
        await self.say("TransactionEvent", payload)
        session.readings_wh.append(reading_wh)

    async def _status(self, status: str) -> None:
        payload = {"timestamp": now(), "connectorStatus": status, "evseId": 1, "connectorId": 1}
        await self.say("StatusNotification", payload)
        self._ledger.statuses[self.device_id] = status


def load_chargers(
    prefix: str, count: int, addresses: Addresses, ledger: Ledger, *, pause_s: float
) -> list[LoadCharger]:
    """``count`` chargers, two of three with 1.6."""
    kinds = (LoadCharger16, LoadCharger201, LoadCharger16)
    return [kinds[n % 3](f"{prefix}{n}", addresses, ledger, pause_s=pause_s) for n in range(count)]


def now() -> str:
    """The time, as chargers write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
