"""Chargers under load that behave as real ones do: what was not answered is sent again, after a reconnection."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from tests.integration.chargers import now

RECONNECT_S = 0.2
ANSWER_TIMEOUT_S = 30.0
ENERGY_WH = 500
"""Of every session."""


@dataclass(slots=True)
class Ledger:
    """What was answered: by unique id all messages, by transaction id the sessions."""

    answered: list[tuple[str, str, str]] = field(default_factory=list)
    """Charger, unique id, action."""
    refused: list[str] = field(default_factory=list)
    """CALLERRORs, which must not be: nothing was wrong with any message."""
    started: dict[tuple[str, int], int] = field(default_factory=dict)
    """(charger, transaction id) -> meterStart."""
    stopped: dict[tuple[str, int], int] = field(default_factory=dict)
    """(charger, transaction id) -> meterStop."""
    repeats: int = 0
    """Messages that were sent again."""


class LoadCharger:
    """A 1.6 charger that runs one session after the other, without a password."""

    def __init__(self, device_id: str, gateway_port: int, ledger: Ledger) -> None:
        self._device_id = device_id
        self._url = f"ws://127.0.0.1:{gateway_port}/ocpp/{device_id}"
        self._ledger = ledger
        self._numbers = itertools.count(1)
        self._socket: ClientConnection | None = None

    async def run(self, sessions: int, on_answer: Callable[[], Awaitable[None]]) -> None:
        """Boot, then run ``sessions``; ``on_answer`` is awaited after each."""
        await self._call("BootNotification", {"chargePointVendor": "Load", "chargePointModel": "One"})
        for number in range(sessions):
            await self._session(1000 * number)
            await on_answer()
        if self._socket is not None:
            await self._socket.close()

    async def _session(self, meter_wh: int) -> None:
        start = {"connectorId": 1, "idTag": f"TAG-{self._device_id}", "meterStart": meter_wh, "timestamp": now()}
        transaction = (await self._call("StartTransaction", start))["transactionId"]
        self._ledger.started[self._device_id, transaction] = meter_wh
        for step in (200, 400):
            sample = {"value": str(meter_wh + step)}
            meter = {"connectorId": 1, "transactionId": transaction}
            await self._call("MeterValues", {**meter, "meterValue": [{"timestamp": now(), "sampledValue": [sample]}]})
        stop = {"transactionId": transaction, "meterStop": meter_wh + ENERGY_WH, "timestamp": now()}
        await self._call("StopTransaction", stop)
        self._ledger.stopped[self._device_id, transaction] = meter_wh + ENERGY_WH

    async def _call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send until it is answered."""
        while True:
            unique_id = f"{action[:5]}-{next(self._numbers)}"
            try:
                socket = await self._connected()
                await socket.send(json.dumps([2, unique_id, action, payload]))
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    answer = await self._answer(socket, unique_id)
            except (ConnectionClosed, InvalidHandshake, ConnectionError):
                self._socket = None
                self._ledger.repeats += 1
                await asyncio.sleep(RECONNECT_S)
            else:
                self._ledger.answered.append((self._device_id, unique_id, action))
                return answer

    async def _answer(self, socket: ClientConnection, unique_id: str) -> dict[str, Any]:
        while True:
            frame = json.loads(await socket.recv())
            if frame[1] != unique_id:
                continue
            if frame[0] != 3:
                self._ledger.refused.append(str(frame))
            answer: dict[str, Any] = frame[2] if frame[0] == 3 else {}
            return answer

    async def _connected(self) -> ClientConnection:
        if self._socket is None:
            self._socket = await connect(self._url, subprotocols=[Subprotocol("ocpp1.6")])
        return self._socket
